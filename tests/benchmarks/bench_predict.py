"""How fast `tfpipeline.predict` judges: files, a file of three hours, one file; run by hand.

    python tests/benchmarks/bench_predict.py RUN [--hours 3] [--only files long cold]

In one run it prints (a) clips/s of `predict --out` over the WAV files of the demo corpus, and over
FLAC files of the same, and the ratio to the bare compiled model on a batch held in memory, in
interleaved rounds; the start of the process is not counted; (b) how many times faster than real
time a FLAC file of three hours, made of the corpus's speech at 24 kHz, is judged, and the peak
memory of the whole process; (c) the seconds of a whole process that judges one file, until its row
is there, and of processor.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import soundfile
import soxr

from tfpipeline.data.demo.corpus import load_demo

ROUNDS, BATCH = 5, 32
RATE = 24_000
COLD = 3
PARTS = ("files", "long", "cold")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--hours", type=float, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    flags = parser.parse_args()
    paths = load_demo()["path"].to_list()
    with tempfile.TemporaryDirectory() as folder:
        if "cold" in flags.only:
            _cold(flags.run, paths)
        if "long" in flags.only:
            _long(flags.run, paths, flags.hours, Path(folder))
        if "files" in flags.only:
            _files(flags.run, paths, Path(folder))
    return 0


def _files(run: str, paths: list[str], folder: Path) -> None:
    from tfpipeline.prediction import scorers as judges
    from tfpipeline.prediction.predict_files import make_row, score_files
    from tfpipeline.prediction.recordings import Recording
    from tfpipeline.prediction.rows import RowFile

    flac = []
    for number, path in enumerate(paths):
        flac.append(str(folder / f"{number}.flac"))
        soundfile.write(flac[-1], *soundfile.read(path, dtype="int16"))
    scorer = judges.LocalScorer(Path(run))
    held = (0.1 * np.random.default_rng(0).standard_normal((BATCH, scorer.window))).astype("f")
    batches = len(paths) // BATCH

    def bare() -> float:
        for _ in range(batches):
            scorer.score_windows(held)
        return batches * BATCH

    def from_files(paths: list[str]) -> float:
        file = RowFile(folder / "rows.jsonl", {"judge": scorer.name}, overwrite=True)
        for recording in score_files((Recording(p, p, scorer.window) for p in paths), scorer):
            file.add(make_row(recording, scorer))
        file.close()
        return len(paths)

    ways = {"bare": bare, "WAV": lambda: from_files(paths), "FLAC": lambda: from_files(flac)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, work in ways.items():
            started = time.perf_counter()
            done = work()
            if number:  # the first round fills caches
                rates[name].append(done / (time.perf_counter() - started))
    one = statistics.median(rates["bare"])
    for name in ("WAV", "FLAC"):
        other = statistics.median(rates[name])
        paired = statistics.median(f / b for f, b in zip(rates[name], rates["bare"], strict=True))
        print(
            f"files: {len(paths)} {name} clips; held in memory {one:.1f} clips/s, predict "
            f"{other:.1f}, ratio {other / one:.3f} (median of paired rounds {paired:.3f})"
        )


def _long(run: str, paths: list[str], hours: float, folder: Path) -> None:
    speech = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths[:80:4]])
    speech = soxr.resample(speech, 16_000, RATE)
    path = folder / "long.flac"
    left = round(hours * 3600 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        while left > 0:
            file.write(speech[:left])
            left -= len(speech)
    for extra in ([], ["--timeline-to", str(folder)]):
        # By itself in a child of a child, whose memory is not the largest of others.
        code = (
            "import resource, subprocess, sys, time\n"
            "began = time.perf_counter()\n"
            "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
            "assert done.returncode == 0, done.stderr\n"
            "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
            "print(time.perf_counter() - began, peak / 2**20)\n"
        )
        argv = [sys.executable, "-m", "tfpipeline.predict", "--run", run, "--json", str(path)]
        said = subprocess.run(
            [sys.executable, "-c", code, *argv, *extra], check=True, capture_output=True, text=True
        ).stdout
        seconds, peak = map(float, said.split())
        print(
            f"long: {hours:g} h of FLAC at {RATE} Hz {' '.join(extra)[:10]}: {seconds:.1f} s, "
            f"{hours * 3600 / seconds:.0f} x real time, peak {peak:.2f} GiB"
        )


def _cold(run: str, paths: list[str]) -> None:
    argv = [sys.executable, "-m", "tfpipeline.predict", "--run", run, "--json", paths[0]]
    for number in range(COLD):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            process.stdout.readline()
            first = time.perf_counter() - began
            process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"cold {number + 1}: row after {first:.2f} s, end {time.perf_counter() - began:.2f} s, "
            f"{used:.2f} s of processor"
        )


if __name__ == "__main__":
    sys.exit(main())
