import io
import os
import sys
import threading
from types import SimpleNamespace

import pytest

from tfpipeline.prediction import inputs
from tfpipeline.prediction.inputs import audio_from_pipe, is_pipe, list_inputs


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "b.wav",
        "a.FLAC",
        "notes.txt",
        "x[1].wav",
        "in/deep/c.mp3",
        "in/d.opus",
        ".hidden/e.wav",
        "in/.f.wav",
        "empty/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stdin(monkeypatch, contents):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(contents)))


def test_folders_patterns_and_files_in_the_order_named(tree):
    below = ["in/d.opus", "in/deep/c.mp3"]
    assert list_inputs(["."]) == [f"./{name}" for name in ("a.FLAC", "b.wav", "x[1].wav", *below)]
    assert list_inputs(["in", "b.wav"]) == [*below, "b.wav"]
    assert list_inputs(["*.wav"]) == ["b.wav", "x[1].wav"]
    assert list_inputs(["**/*.mp3"]) == ["in/deep/c.mp3"]
    assert list_inputs(["in/**"]) == below
    assert list_inputs(["i*"]) == below
    assert list_inputs(["*.txt"]) == ["notes.txt"]  # an ending that is named is meant
    assert list_inputs(["x[1].wav"]) == ["x[1].wav"]  # a file before a pattern
    assert list_inputs(["none.wav"]) == ["none.wav"]  # judged, and found missing


def test_each_file_once_where_it_is_named_first(tree):
    assert list_inputs(["in/d.opus", "b.wav", "./in/d.opus", "in", str(tree / "b.wav")]) == [
        "in/d.opus",
        "b.wav",
        "in/deep/c.mp3",
    ]
    assert list_inputs(["-", "b.wav", "-"]) == ["-", "b.wav"]


def test_a_list_of_files(tree, monkeypatch):
    (tree / "list").write_bytes("b.wav\r\n\nin\n*.wav\nü.wav\n".encode())
    found = ["b.wav", "in/d.opus", "in/deep/c.mp3", "*.wav", "ü.wav"]
    assert list_inputs([], "list") == found
    stdin(monkeypatch, b"b.wav\n\xff.wav")
    assert list_inputs(["a.FLAC"], "-") == ["a.FLAC", "b.wav", os.fsdecode(b"\xff.wav")]


def test_nothing_to_judge_is_said(tree):
    for named, listed, message in (
        (["empty"], None, r"empty: expected a folder with audio files"),
        (["*.aiff"], None, r"\*\.aiff: expected a pattern that audio files match"),
        ([], None, "there is nothing to judge"),
        (["-"], "-", "standard input can be one thing"),
    ):
        with pytest.raises(ValueError, match=message):
            list_inputs(named, listed)
    with pytest.raises(FileNotFoundError, match="nolist: expected a list of files"):
        list_inputs([], "nolist")


def test_what_is_left_out_is_counted_by_extension(tree, capsys):
    for name in (
        "a.webm",
        "b.AMR",
        "c.3gp",
        "d.sph",
        "e.wma",
        "f.mp2",
        "g.aiff",
        "h.jpg",
        "i.jpg",
        "README",
    ):
        (tree / "in" / name).touch()
    assert len(list_inputs(["in"])) == 9
    assert capsys.readouterr().err == (
        "in: 3 files left out, whose extensions are not audio's: 2 .jpg, 1 without extension\n"
    )
    assert len(list_inputs(["in/*"])) == 9
    assert "in/*: 3 files left out" in capsys.readouterr().err
    os.mkfifo(tree / "in/pipe.wav")  # would wait for ever
    assert "in/pipe.wav" not in list_inputs(["in"])


def fed(contents, path):
    """A named pipe that somebody writes to."""
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(contents,), daemon=True).start()
    return path


def test_a_list_may_come_out_of_a_pipe(tree):
    assert list_inputs([], str(fed(b"b.wav\nin\n", tree / "pipe")))[0] == "b.wav"
    with pytest.raises(FileNotFoundError, match=r"in: expected a list .* a folder"):
        list_inputs([], "in")


def test_audio_out_of_a_pipe_has_a_limit(tree, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_FILE_BYTES", 1000)
    stdin(monkeypatch, bytes(1000))
    assert is_pipe("-")
    with audio_from_pipe("-") as path:
        assert path.read_bytes() == bytes(1000)
    assert not path.exists()
    pipe = fed(bytes(1001), tree / "pipe.wav")
    assert is_pipe(str(pipe))
    assert not is_pipe("b.wav")
    assert not is_pipe("none.wav")
    with pytest.raises(ValueError, match=r"pipe\.wav: at most 0 MB"), audio_from_pipe(str(pipe)):
        pass
