"""What `--run` means, wherever the command is given; and names that look like flags."""

import importlib
from pathlib import Path

import pytest

from tfpipeline import predict, train
from tfpipeline.__main__ import COMMANDS
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


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_begins_with_a_dash_gets_a_hint(command, capsys):
    main = importlib.import_module(f"tfpipeline.{command}").main
    Path("-clip").touch()
    for name in ("-clip", "-none.wav", "-h.wav"):
        for given in ([name], ["list", name], ["--out", name]):
            with pytest.raises(SystemExit, match="2"):
                main(given)
            assert f"is read as a flag: write ./{name}" in capsys.readouterr().err
    # What looks like a number is the name of a file, where files are all that is needed.
    for flag in ("--wrong", "--data.cache") if command == "predict" else ("--wrong", "-9.5"):
        with pytest.raises(SystemExit, match="2"):
            main(["list", flag])
        assert "./" not in capsys.readouterr().err.partition("error:")[2]


def test_files_behind_two_dashes_are_files():
    with pytest.raises(SystemExit, match="2"):
        predict.main(["--run", "cnn", "-a.wav"])
    assert predict.main(["--run", "cnn", "--", "-a.wav", "--timeline=b.wav"]) == 2  # no such run


def test_the_hint_names_two_dashes_where_files_are_taken(capsys):
    for main, hint in ((predict.main, True), (train.main, False)):
        with pytest.raises(SystemExit, match="2"):
            main(["--run", "cnn", "-a.wav"])
        assert ("or name the files behind --" in capsys.readouterr().err) == hint
