"""Files a second on a Ray cluster of one and of two nodes, and the driver's memory; run by hand.

    python tests/benchmarks/bench_ray.py RUN FOLDER [--rounds 3] [--paths 1000000]

In one run it prints (a) files/s of `predict --ray` over the audio files of FOLDER, on one node and
on two nodes of one core each, on the loopback, in turns, the start of models included and told
apart by a second list of half the length; (b) the peak memory and the seconds of a driver that
has so many paths judged by workers that answer at once.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PATIENCE_MS = "600000"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paths", type=int, default=1_000_000)
    parser.add_argument("--driver", metavar="ADDRESS", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.driver:
        return _drive(flags.driver, flags.paths, Path(flags.folder))
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests/benchmarks"))),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_agent_register_timeout_ms": PATIENCE_MS,
    }
    from ray.cluster_utils import Cluster

    cluster = Cluster(shutdown_at_exit=True)
    _add(cluster, 0)
    _add(cluster, 1)
    files = sorted(str(path) for path in Path(flags.folder).rglob("*.wav"))
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(flags.rounds):
        rates[1].append(_rate(flags.run, files, cluster.address))
        second = _add(cluster, 1)
        rates[2].append(_rate(flags.run, files, cluster.address))
        cluster.remove_node(second)
    for nodes, found in rates.items():
        print(f"{nodes} nodes: {statistics.median(found):.1f} files/s, {sorted(found)}")
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    print(f"ratio: median {statistics.median(ratios):.2f}, {sorted(ratios)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, flags.run, folder, "--paths", str(flags.paths)]
        subprocess.run([*command, "--driver", cluster.address], check=True)
    cluster.shutdown()
    return 0


def _add(cluster, cpus: int):
    ports = {
        f"{name}_port": _free_port()
        for name in ("dashboard_agent_listen", "runtime_env_agent", "metrics_agent")
    }
    return cluster.add_node(
        num_cpus=cpus,
        num_gpus=0,
        node_ip_address="127.0.0.2",
        include_dashboard=False,
        include_log_monitor=False,
        no_monitor=True,
        **ports,
    )


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.2", 0))
        return tried.getsockname()[1]


def _rate(run: str, files: list[str], address: str) -> float:
    """Files a second, by the difference between all files and half of them."""
    whole, half = _seconds(run, files, address), _seconds(run, files[::2], address)
    print(f"{len(files)} files {whole:.1f} s, {len(files[::2])} files {half:.1f} s", flush=True)
    return len(files[1::2]) / (whole - half)


def _seconds(run: str, files: list[str], address: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "list").write_text("\n".join(files))
        command = [sys.executable, "-m", "tfpipeline.predict", "--run", run, "--ray", address]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--files-from", f"{folder}/list", "--out", f"{folder}/out.parquet"],
            check=True,
        )
        return time.perf_counter() - began


def open_blind(settings: dict):
    """Rows of files that nobody looks at."""
    from tfpipeline.workflows.many_machines.predict import _lost_row, as_table

    return lambda inputs: (
        as_table([_lost_row(name.decode()) for name in inputs["name"].to_pylist()]),
        [],
    )


def _drive(address: str, count: int, folder: Path) -> int:
    """`judge_files_on_cluster` with workers that answer at once."""
    import bench_ray

    from tfpipeline.workflows.many_machines import predict, rounds

    names = [f"/shared/corpus/speaker-{n % 1000:04d}/recording-{n:08d}.flac" for n in range(count)]
    predict.Job = lambda folder, settings, open, read: rounds.Job(
        folder, settings, bench_ray.open_blind
    )
    run = sys.argv[1]
    began, before = time.perf_counter(), _peak()
    out = str(folder / "rows.parquet")
    failed = predict.judge_files_on_cluster(names, Path(run), address, out)
    seconds = time.perf_counter() - began
    assert failed == count
    print(
        f"driver: {count} paths in {seconds:.0f} s, peak memory {_peak() / 1e6:.2f} GB, of them "
        f"{before / 1e6:.2f} GB before the first chunk"
    )
    return 0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
