"""`--ray` without Ray: chunks go through the same functions, one by one, in this process."""

import csv
import json
import os
import shutil
import sys
import types
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import soundfile
from ray_jobs import assert_same

from tfpipeline import corpus, extract, predict
from tfpipeline.data.clips import write_manifest
from tfpipeline.workflows.many_machines import extract as many_extract
from tfpipeline.workflows.many_machines import predict as many_predict
from tfpipeline.workflows.many_machines import rounds
from tfpipeline.workflows.many_machines import verify as many_verify
from tfpipeline.workflows.many_machines.cluster import Resources, ray_cluster


class Died(BaseException):
    """A process that died."""


@pytest.fixture
def in_process(monkeypatch):
    """Chunks that were worked on; one that dies is lost, as on a cluster."""
    worked = []

    @contextmanager
    def no_cluster(address):
        assert address == "auto"
        yield Resources(cpus=2, gpus=0)

    def results(job, inputs, chunks, resources):
        worker = rounds.Worker(job)
        for first, end in chunks:
            worked.append((first, end))
            (row,) = rounds._chunk(inputs, first, end).to_pylist()
            try:
                yield worker(rounds._read(row, job) if job.read else row)
            except Died:
                continue

    monkeypatch.setattr(rounds, "_results", results)
    for module in (many_predict, many_extract, many_verify):
        monkeypatch.setattr(module, "ray_cluster", no_cluster)
    return worked


@pytest.fixture
def clips(tmp_path, tiny_corpus, monkeypatch):
    """The folder `clips` here: good ones, one of two minutes, and some that cannot be judged."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, path in enumerate(tiny_corpus["path"][:8]):
        shutil.copy(path, folder / f"{number}.wav")
    (folder / "text.wav").write_text("no audio")
    (folder / "empty.flac").touch()
    shutil.copy(folder / "0.wav", folder / "deadly.wav")
    shutil.copy(folder / "1.wav", os.fsencode(folder) + b"/\xff, no UTF-8.wav")
    waveform, rate = soundfile.read(folder / "2.wav")
    # Noise, or all windows would score the same but for the last bit, which says what is evidence.
    noise = 0.01 * np.random.default_rng(0).standard_normal(30 * len(waveform))
    soundfile.write(folder / "long.flac", np.tile(waveform, 30) + noise, rate)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def deadly(monkeypatch):
    """Who reads `deadly.wav` dies."""
    read = many_predict.read_recordings

    def read_or_die(settings, inputs):
        if any(b"deadly" in name for name in inputs["name"].to_pylist()):
            raise Died
        return read(settings, inputs)

    monkeypatch.setattr(many_predict, "read_recordings", read_or_die)


def rows_of(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file) if path.endswith(".csv") else map(json.loads, file))


def test_rows_are_those_of_the_local_command(in_process, clips, deadly, tiny_run, capsys):
    argv = ["--run", str(tiny_run), "clips", "gone.wav"]
    assert predict.main([*argv, "--out", "local.jsonl"]) == 1
    assert predict.main([*argv, "--out", "ray.jsonl", "--ray", "auto"]) == 1
    assert "error: 4 of 14 files could not be judged: see ray.jsonl" in capsys.readouterr().err
    local, remote = rows_of("local.jsonl"), rows_of("ray.jsonl")
    place = [row["path"] for row in local].index("clips/deadly.wav")
    lost = remote[place]
    assert (lost["status"], lost["score"]) == ("crashed", None)
    assert lost["reason"].startswith("clips/deadly.wav: the process that judged it died")
    assert in_process.count((place, place + 1)) >= rounds.TRIES_ALONE
    assert_same([*remote[:place], *remote[place + 1 :]], [*local[:place], *local[place + 1 :]])
    # Parquet holds the same; a folder's parts are in the order of the names.
    for out in ("ray.csv", "ray.parquet", "parts"):
        assert predict.main([*argv, "--out", out, "--ray", "auto"]) == 1
    one, parts = pa.parquet.read_table("ray.parquet"), pa.parquet.read_table("parts")
    assert one.equals(parts)
    shown = [os.fsencode(row["path"]).decode("utf-8", "backslashreplace") for row in remote]
    assert one["path"].to_pylist() == shown
    assert "clips/\\xff, no UTF-8.wav" in shown
    for name in ("score", "evidence", "status", "remarks"):
        assert one[name].to_pylist() == [row[name] for row in remote]
    assert [row["path"] for row in rows_of("ray.csv")] == [row["path"] for row in remote]
    # The local command takes the table for its own.
    assert not os.path.exists("ray.csv.partial")
    before = rows_of("ray.csv")
    assert predict.main([*argv, "--out", "ray.csv", "--resume"]) == 1
    assert rows_of("ray.csv") == before


def test_a_stopped_command_resumes(in_process, clips, tiny_run, monkeypatch, capsys):
    check, results = rounds._check_result, []

    def stop_at_three(*result):
        results.append(result)
        if len(results) == 3:
            raise KeyboardInterrupt
        check(*result)

    monkeypatch.setattr(rounds, "_check_result", stop_at_three)
    argv = ["clips", "--run", str(tiny_run), "--out", "ray.csv", "--ray", "auto"]
    assert predict.main(argv) == 130
    first = list(in_process)
    monkeypatch.setattr(rounds, "_check_result", check)
    assert predict.main(argv) == 2
    assert "Resume it with --resume" in capsys.readouterr().err
    assert predict.main(["more.wav", *argv, "--resume"]) == 2
    assert "was begun with other files" in capsys.readouterr().err
    assert predict.main([*argv, "--resume"]) == 1
    assert set(first).isdisjoint(in_process[len(first) :])
    names = [row["path"] for row in rows_of("ray.csv")]
    assert len(names) == len(set(names)) == 13
    assert predict.main([*argv, "--resume"]) == 2
    assert "ray.csv is complete" in capsys.readouterr().err


def test_a_machine_that_sees_less_ends_the_command(in_process, clips, tiny_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    job = rounds.Job(str(tmp_path / "parts"), {"run": str(run), "fingerprint": "another"}, None)
    (tmp_path / "parts").mkdir()
    assert rounds.Worker(job).error.endswith("at the same path.")
    assert "does not see" in rounds.Worker(job).error
    (tmp_path / "parts/_job.json").touch()
    job = rounds.Job(job.folder, job.settings, many_predict.open_judge)
    assert "is another run there, or has changed" in rounds.Worker(job).error
    shutil.rmtree(run)
    assert f"does not see the run {run}" in rounds.Worker(job).error


def test_a_recording_that_only_the_command_sees_ends_it(
    in_process, clips, tiny_run, monkeypatch, capsys
):
    def blind(settings):
        return lambda recordings: (pa.table({}), [own.path for own in recordings])

    monkeypatch.setattr(many_predict, "open_judge", blind)
    monkeypatch.setattr(rounds, "_absent", list)
    argv = ["--run", str(tiny_run), "clips/0.wav", "--out", "parts", "--ray", "auto"]
    assert predict.main(argv) == 2
    assert "a machine of the cluster does not see" in capsys.readouterr().err
    assert not list((clips.parent / "parts").glob("part-*"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "x.txt"], "--out ends in .csv, .jsonl, .parquet, or is a folder"),
        ([], "--ray needs --out"),
        (["--out", "x.csv", "--explain"], "--ray gives rows alone"),
        (["-", "--out", "x.csv"], "Received: -, which is a pipe"),
    ],
)
def test_bad_usage_is_one_line(clips, tiny_run, capsys, flags, message):
    assert predict.main(["clips/0.wav", *flags, "--run", str(tiny_run), "--ray", "auto"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("head", ValueError, "--ray takes auto, HOST:PORT"),
        ("127.0.0.1:0", ValueError, "--ray takes auto, HOST:PORT"),
        ("127.0.0.1:9", OSError, r"needs a running Ray cluster. Received: none at 127\.0\.0\.1:9"),
    ],
)
def test_no_cluster_is_one_line(monkeypatch, address, kind, message):
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(data=None))
    monkeypatch.setitem(sys.modules, "ray.data", types.SimpleNamespace())
    with pytest.raises(kind, match=message), ray_cluster(address):
        pass


def test_no_ray_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ValueError, match=r"Install it: pip install 'ray\[data\]'"),
        ray_cluster("auto"),
    ):
        pass


def test_extract_and_verify_are_those_of_one_machine(in_process, tiny_corpus, tmp_path, capsys):
    clips = tiny_corpus.copy()
    (tmp_path / "bad.wav").write_text("no audio")
    clips.loc[3, "path"] = str(tmp_path / "bad.wav")
    write_manifest(tmp_path / "t.csv", clips)
    data = f"manifest:{tmp_path / 't.csv'}"
    found = []
    for name, ray in (("local", []), ("remote", ["--ray", "auto"])):
        out = str(tmp_path / f"{name}.csv")
        assert corpus.main(["verify", data, "--json", "--out", out, *ray]) == 1
        found.append(json.loads(capsys.readouterr().out))
        flags = ["--features", "baseline", "--window-seconds", "2", *ray]
        out = str(tmp_path / f"{name}.parquet")
        assert extract.main(["--data", data, "--out", out, *flags]) == 1
        capsys.readouterr()
    assert found[0] == found[1]
    assert (tmp_path / "local.csv").read_text() == (tmp_path / "remote.csv").read_text()
    local, remote = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("local", "remote"))
    assert list(local) == list(remote)
    words = local.columns[:7]
    assert local[words].equals(remote[words])
    np.testing.assert_allclose(local.iloc[:, 7:], remote.iloc[:, 7:], rtol=1e-5, atol=1e-6)
    lists = [(tmp_path / f"{n}.skipped.csv").read_text() for n in ("local", "remote")]
    assert lists[0] == lists[1]
