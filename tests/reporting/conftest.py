"""A score table whose metrics can be told by looking at it."""

import pytest
from score_tables import make_table


@pytest.fixture
def table():
    return make_table()
