import io
import os
import sys
from types import SimpleNamespace

import pytest

from tfpipeline.serving.inputs import audio_from_stdin, list_inputs


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.wav", "a.FLAC", "notes.txt", "x[1].wav", "in/deep/c.mp3", "in/d.opus",
                 ".hidden/e.wav", "in/.f.wav", "empty/notes.txt"):  # fmt: skip
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
        "in/d.opus", "b.wav", "in/deep/c.mp3",
    ]  # fmt: skip
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
    with pytest.raises(FileNotFoundError, match="--files-from nolist: no such file"):
        list_inputs([], "nolist")


def test_audio_on_standard_input_has_a_limit(monkeypatch):
    stdin(monkeypatch, bytes(1000))
    with audio_from_stdin(1000) as path:
        assert path.read_bytes() == bytes(1000)
    assert not path.exists()
    stdin(monkeypatch, bytes(1001))
    with pytest.raises(ValueError, match="-: at most 0 MB"), audio_from_stdin(1000):
        pass
