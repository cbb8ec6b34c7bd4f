"""What `--run` means, wherever the command is given."""

from pathlib import Path

import pytest

from tfpipeline.cli import SAVED_MODELS, run_folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def make(folder, *files):
    Path(folder).mkdir(parents=True)
    for file in files:
        (Path(folder) / file).touch()


def test_a_name_is_of_a_run_in_saved_models():
    assert run_folder("cnn") == SAVED_MODELS / "cnn"
    make("cnn/1")  # a root for serving
    assert run_folder("cnn") == SAVED_MODELS / "cnn"


def test_a_folder_here_counts_if_it_holds_a_run_and_there_is_no_other():
    make("cnn", "config.yaml")
    assert run_folder("cnn") == Path("cnn")
    make("saved_models/cnn")
    assert run_folder("cnn") == SAVED_MODELS / "cnn"


@pytest.mark.parametrize("name", ["./cnn", "runs/cnn", "cnn/", "/runs/cnn"])
def test_what_has_a_separator_is_a_folder(name):
    make("saved_models/cnn", "config.yaml")
    assert run_folder(name) == Path(name)
