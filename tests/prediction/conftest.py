"""Speech as `decode` gives it."""

import pytest

from tfpipeline.data.audio.decode import on_grid


@pytest.fixture(scope="session")
def speech(speech):
    """On the grid of 16 bits."""
    return on_grid(speech)
