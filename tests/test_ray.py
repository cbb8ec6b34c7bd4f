"""`--ray` on a cluster of three nodes on the loopback: a head without CPUs, and two of one core."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import ray_jobs

from tfpipeline import corpus, extract, predict
from tfpipeline.data.clips import write_manifest
from tfpipeline.workflows.many_machines import predict as many_predict
from tfpipeline.workflows.many_machines import rounds
from tfpipeline.workflows.many_machines.cluster import Resources, ray_cluster
from tfpipeline.workflows.many_machines.parts import Parts

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ray[data]'")

ROOT = Path(__file__).parent.parent
STORE_BYTES = 80 * 2**20


def start_node(cluster, cpus):
    return cluster.add_node(
        num_cpus=cpus,
        num_gpus=0,
        node_ip_address="127.0.0.2",  # 127.0.0.1 would become the machine's own address
        object_store_memory=STORE_BYTES,
        include_dashboard=False,
        include_log_monitor=False,
        no_monitor=True,
    )


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests/fixtures'}")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(shutdown_at_exit=False)
        for cpus in (0, 1, 1):
            start_node(cluster, cpus)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def clips(tmp_path_factory, tiny_corpus):
    """A folder of eight good clips, one of no audio, one too short, and one that is deadly."""
    folder = tmp_path_factory.mktemp("ray") / "clips"
    folder.mkdir()
    for number, path in enumerate(tiny_corpus["path"][:8]):
        shutil.copy(path, folder / f"{number}.wav")
    (folder / "text.wav").write_text("no audio")
    (folder / "empty.flac").touch()
    shutil.copy(folder / "0.wav", folder / "deadly.wav")
    shutil.copy(folder / "1.wav", os.fsencode(folder) + b"/\xff, no UTF-8.wav")
    return folder


def make_files(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}").write_bytes(bytes(number))
    return [str(folder / f"{number}") for number in range(count)]


def sizes_job(files, folder):
    parts = Parts(folder, {}, resume=True, overwrite=False)
    inputs = pa.table({"path": pa.array(map(os.fsencode, files), pa.binary())})
    return rounds.Job(str(folder), {}, ray_jobs.open_sizes), parts, inputs


def sizes(parts):
    return [size for _, table in parts.tables() for size in table["size"].to_pylist()]


def rows_of(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_those_of_the_local_command(
    cluster, clips, tiny_run, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(clips.parent)
    monkeypatch.setattr(many_predict, "read_recordings", ray_jobs.read_or_die)
    argv = ["--run", str(tiny_run), "clips", "gone.wav"]
    local, remote = tmp_path / "local.csv", tmp_path / "remote.csv"
    assert predict.main([*argv, "--out", str(local)]) == 1
    assert predict.main([*argv, "--out", str(remote), "--ray", cluster.address]) == 1
    assert "error: 4 of 13 files could not be judged" in capsys.readouterr().err
    expected, received = rows_of(local), rows_of(remote)
    assert [row["path"] for row in received] == [row["path"] for row in expected]
    for own, other in zip(received, expected, strict=True):
        if own["path"] == "clips/deadly.wav":
            assert own["status"] == "crashed"
            assert own["reason"].startswith("clips/deadly.wav: the process that judged it died")
            continue
        for key, value in own.items():
            try:
                assert float(value) == pytest.approx(float(other[key]), abs=1e-6)
            except ValueError:
                evidence = key == "evidence"  # it holds scores
                assert value.rpartition(":")[0] == other[key].rpartition(":")[0] or not evidence
                assert value == other[key] or evidence
    # The same run, the same files: the local command takes the table for its own.
    assert not (tmp_path / "remote.csv.partial").exists()
    assert predict.main([*argv, "--out", str(remote), "--resume"]) == 1
    assert rows_of(remote) == received


def test_a_file_that_kills_its_process_costs_its_own_row_alone(cluster, tmp_path):
    files = make_files(tmp_path / "files", 40)
    files[7] += "-deadly"
    Path(files[7]).touch()
    del files[11]
    job, parts, inputs = sizes_job(files, tmp_path / "parts")
    with ray_cluster(cluster.address) as resources:
        assert resources == Resources(cpus=2, gpus=0)
        assert rounds.run_rounds(job, parts, inputs, resources) == [7]
    assert sizes(parts) == [n for n in range(40) if n not in (7, 11)]


def test_a_killed_node_loses_nothing(cluster, tmp_path, monkeypatch):
    files = make_files(tmp_path / "files", 60)
    job, parts, inputs = sizes_job(files, tmp_path / "parts")
    node, check, results = start_node(cluster, 1), rounds._check_result, []

    def kill_behind_two(*result):
        results.append(result)
        if len(results) == 2:
            cluster.remove_node(node, allow_graceful=False)
        check(*result)

    monkeypatch.setattr(rounds, "_check_result", kill_behind_two)
    with ray_cluster(cluster.address):
        assert rounds.run_rounds(job, parts, inputs, Resources(3, 0)) == []
    assert sizes(parts) == list(range(60))


def test_a_killed_driver_resumes(cluster, clips, tiny_run, tmp_path, monkeypatch, capsys):
    # Sizes in place of verdicts, so that no worker needs a model.
    code = (
        "import os, signal, sys\n"
        "import pyarrow as pa, ray_jobs\n"
        "from tfpipeline.workflows.many_machines import cluster, rounds\n"
        "from test_ray import sizes_job\n"
        "files, folder, address = sys.argv[3:], sys.argv[1], sys.argv[2]\n"
        "results = []\n"
        "def die(result, folder):\n"
        "    results.append(result)\n"
        "    len(results) == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "rounds._check_result = die\n"
        "with cluster.ray_cluster(address) as resources:\n"
        "    rounds.run_rounds(*sizes_job(files, __import__('pathlib').Path(folder)), resources)\n"
    )
    files = make_files(tmp_path / "files", 60)
    folder = tmp_path / "parts"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), cluster.address, *files],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests:{ROOT}/tests/fixtures"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    earlier = {file: file.stat().st_mtime_ns for file in folder.glob("part-*")}
    assert len(earlier) >= 3
    job, parts, inputs = sizes_job(files, folder)
    assert parts.missing(60, 1)
    with ray_cluster(cluster.address) as resources:
        assert rounds.run_rounds(job, parts, inputs, resources) == []
    assert sizes(parts) == list(range(60))
    assert all(file.stat().st_mtime_ns == when for file, when in earlier.items() if file.exists())


def test_machines_that_see_less_are_told_in_a_line(cluster, tmp_path):
    job, parts, inputs = sizes_job(make_files(tmp_path / "files", 4), tmp_path / "parts")
    elsewhere = rounds.Job(str(tmp_path / "other"), {}, ray_jobs.open_sizes)
    blind = rounds.Job(job.folder, {}, ray_jobs.open_blind)
    wrong = rounds.Job(job.folder, {}, ray_jobs.open_wrong)
    with ray_cluster(cluster.address) as resources:
        for own, message in (
            (elsewhere, "does not see .*other. The run, the recordings and the output must be on"),
            (blind, "a machine of the cluster does not see .*files"),
            (wrong, "no such model here"),
        ):
            with pytest.raises(OSError, match=message):
                rounds.run_rounds(own, parts, inputs, resources)
    assert parts.missing(4, 9) == [(0, 4)]


def test_extract_and_verify_are_those_of_one_machine(cluster, tiny_corpus, tmp_path, capsys):
    clips = tiny_corpus.copy()
    (tmp_path / "bad.wav").write_text("no audio")
    clips.loc[3, "path"] = str(tmp_path / "bad.wav")
    write_manifest(tmp_path / "t.csv", clips)
    data = f"manifest:{tmp_path / 't.csv'}"
    found = []
    for name, ray in (("local", []), ("remote", ["--ray", cluster.address])):
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
