"""Batched against unbatched requests, over gRPC and REST: run by hand, not collected by pytest.

python tests/benchmarks/bench_serving.py served/ [--model NAME] [--clips 64] [--repeats 5]
The folder is a serving root, or one exported version. The protocol stand-in runs in a process of
its own on this machine, so that client and server share its cores; the ways take turns, so that a
busy machine slows all alike. The ratios travel, the times do not.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

BATCH = 32

ROOT = Path(__file__).parents[2]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="a serving root, or the folder of one version")
    parser.add_argument("--model", help="of a root with several")
    parser.add_argument("--clips", type=int, default=2 * BATCH)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with serving_root(Path(options.folder)) as root, running(root) as server:
        model = options.model or next(iter(server["models"]))
        version = max(server["models"][model]["versions"])
        base = next(p for p in (root / model, root) if (p / str(version)).is_dir())
        measure(server, model, base / str(version), options)
    return 0


def measure(server: dict, model: str, version: Path, options) -> None:
    """Prints clips a second of each way, and where the time of one request goes."""
    import numpy as np
    import tensorflow as tf

    from tfpipeline.serving.client.client import Batching, open_client

    contract = json.loads((version / "assets.extra" / "contract.json").read_text())
    window = contract["window_samples"]
    clips = np.random.default_rng(0).standard_normal((options.clips, window)) * 0.1
    clips = clips.clip(-1, 1).astype(np.float32)
    wavs = [wav(clip) for clip in clips]
    loaded = tf.saved_model.load(str(version))
    score, score_audio = (loaded.signatures[n] for n in ("windows", "audio_bytes"))

    def graph(rows):
        for start in range(0, options.clips, rows):
            score(windows=tf.constant(clips[start : start + rows]))

    def graph_audio(rows):
        for start in range(0, options.clips, rows):
            score_audio(audio=tf.constant(wavs[start : start + rows]))

    ways = {"graph alone, windows": graph, "graph alone, WAV": graph_audio}
    clients = {}
    for protocol, address in (("gRPC", server["grpc"]), ("REST", server["rest"])):
        for rows in (1, BATCH):
            size = Batching(rows, 32 * 2**20 - 1)
            clients[protocol, rows] = open_client(f"{address}/{model}", batching=size)
        ways[f"{protocol}, windows"] = lambda rows, p=protocol: clients[p, rows].score_windows(
            clips
        )
        ways[f"{protocol}, WAV"] = lambda rows, p=protocol: clients[p, rows].score_audio(wavs)
    seconds = {(way, rows): [] for way in ways for rows in (1, BATCH)}
    for repeat in range(options.repeats + 1):
        for (way, rows), found in seconds.items():
            start = time.perf_counter()
            ways[way](rows)
            if repeat:  # the first warms up
                found.append((time.perf_counter() - start) / options.clips)
    each = {key: 1e3 * float(np.median(found)) for key, found in seconds.items()}
    print(
        f"{model}: {options.clips} clips of {window / 16_000:g} s, median of {options.repeats}, "
        f"{os.cpu_count()} cores shared by client and server"
    )
    print(f"{'':22s}   ms a clip, one a request   {BATCH} a request   batched / unbatched")
    for way in ways:
        one, many = each[way, 1], each[way, BATCH]
        print(f"{way:22s} {one:27.2f} {many:14.2f} {one / many:18.2f} x")
    print("Of a request of one clip, ms:")
    for protocol in ("gRPC", "REST"):
        client = clients[protocol, 1]
        empty = median_ms(client.contract, options.repeats * 10)
        for kind, row in (("windows", clips[0]), ("WAV", wavs[0])):
            encode = median_ms(lambda row=row, c=client: c._transport.encode(row), 20)
            whole, inside = each[f"{protocol}, {kind}", 1], each[f"graph alone, {kind}", 1]
            rest = whole - inside - encode
            print(
                f"{protocol + ', ' + kind:22s} whole {whole:6.2f} = graph {inside:5.2f} + encoding "
                f"{encode:5.2f} + protocol and decoding {rest:5.2f} (an empty request: {empty:.2f})"
            )
    for client in clients.values():
        client.close()


def median_ms(call, repeats: int) -> float:
    import numpy as np

    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return 1e3 * float(np.median(found))


def wav(clip) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, clip, 16_000, subtype="PCM_16", format="WAV")
    return file.getvalue()


@contextmanager
def serving_root(folder: Path):
    """The folder, or a root around one version."""
    if not (folder / "saved_model.pb").is_file():
        yield folder
        return
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "model").mkdir()
        (Path(root) / "model" / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        yield Path(root)


@contextmanager
def running(root: Path):
    """The stand-in, as the command starts it; yields what it prints."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tf_serving_stand_in.serve",
            "--root",
            str(root),
            "--grpc-port",
            "0",
            "--rest-port",
            "0",
            "--json",
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'fixtures'}"},
    )
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
