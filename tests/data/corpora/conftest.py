"""Replicas of published data sets, made of real speech; and a cache of the tests' own."""

import pytest
from replicas import Speech


@pytest.fixture
def pieces(recordings):
    """Short pieces of real speech, each time from the beginning."""
    return Speech(recordings)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Audio that comes out of tables goes into a folder of the test."""
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "own cache"))
    return tmp_path / "own cache"
