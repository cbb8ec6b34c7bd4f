"""`--ray` on a cluster of three nodes on the loopback: a head without CPUs, and two of one core."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import ray_jobs

from tfpipeline import predict
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


def with_gate(files):
    """The same with a pipe at the start: whoever is to read it waits."""
    gate = Path(files[0]).with_name(ray_jobs.GATE)
    os.mkfifo(gate)
    return [str(gate), *files[1:]], gate


def open_gate(gate):
    """Whoever comes next finds an empty file."""
    gate.unlink()
    gate.touch()


def test_rows_are_those_of_the_local_command(cluster, clips, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(clips.parent)
    monkeypatch.setattr(many_predict, "read_recordings", ray_jobs.read_or_die)
    argv = ["clips", "gone.wav", "--run", str(tiny_run)]
    found = []
    for name, ray in (("local", []), ("remote", ["--ray", cluster.address])):
        out = tmp_path / f"{name}.jsonl"
        assert predict.main([*argv, "--out", str(out), *ray]) == 1
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        found.append({row["path"]: row for row in rows})
    local, remote = found
    assert list(local) == list(remote)
    lost = remote.pop("clips/deadly.wav")
    assert (lost["status"], lost["score"]) == ("crashed", None)
    del local["clips/deadly.wav"]
    assert {row["status"] for row in local.values()} == {"ok", "not audio", "empty", "missing"}
    ray_jobs.assert_same(remote.values(), local.values())


@pytest.mark.slow
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
    files, gate = with_gate(make_files(tmp_path / "files", 60))
    job, parts, inputs = sizes_job(files, tmp_path / "parts")
    check, killed = rounds._check_result, []

    def kill_who_waits(*result):
        if not killed:
            with open(gate, "wb"):  # somebody reads it now
                name = Path(f"{gate}.node").read_text()
                (node,) = [node for node in cluster.list_all_nodes() if node.node_id == name]
                cluster.remove_node(node, allow_graceful=False)
                killed.append(node)
            open_gate(gate)
        check(*result)

    monkeypatch.setattr(rounds, "_check_result", kill_who_waits)
    with ray_cluster(cluster.address) as resources:
        assert rounds.run_rounds(job, parts, inputs, resources) == []
    start_node(cluster, 1)
    assert killed
    assert sizes(parts) == list(range(60))


@pytest.mark.slow
def test_a_killed_driver_resumes(cluster, tmp_path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from tfpipeline.workflows.many_machines import cluster, rounds\n"
        "from test_ray import sizes_job\n"
        "results = []\n"
        "def die(result, folder):\n"
        "    results.append(result)\n"
        "    len(results) == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "rounds._check_result = die\n"
        "folder, address, *files = sys.argv[1:]\n"
        "with cluster.ray_cluster(address) as resources:\n"
        "    rounds.run_rounds(*sizes_job(files, Path(folder)), resources)\n"
    )
    files, gate = with_gate(make_files(tmp_path / "files", 60))
    folder = tmp_path / "parts"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), cluster.address, *files],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/tests:{ROOT}/tests/fixtures"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    open_gate(gate)
    earlier = {file: file.stat().st_mtime_ns for file in folder.glob("part-*")}
    assert len(earlier) >= 3
    job, parts, inputs = sizes_job(files, folder)
    assert (0, 1) in parts.missing(60, 1)
    with ray_cluster(cluster.address) as resources:
        assert rounds.run_rounds(job, parts, inputs, resources) == []
    assert sizes(parts) == list(range(60))
    assert {file: file.stat().st_mtime_ns for file in earlier} == earlier


@pytest.mark.slow
def test_machines_that_see_less_are_told_in_a_line(cluster, tmp_path):
    job, parts, inputs = sizes_job(make_files(tmp_path / "files", 4), tmp_path / "parts")
    elsewhere = rounds.Job(str(tmp_path / "other"), {}, ray_jobs.open_sizes)
    wrong = rounds.Job(job.folder, {}, ray_jobs.open_wrong)
    with ray_cluster(cluster.address) as resources:
        for own, message in (
            (elsewhere, "does not see .*other. The run, the recordings and the output must be on"),
            (wrong, "no such model here"),
        ):
            with pytest.raises(OSError, match=message):
                rounds.run_rounds(own, parts, inputs, resources)
    assert parts.missing(4, 9) == [(0, 4)]
