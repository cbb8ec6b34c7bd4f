"""A manifest of a million clips: read, split, summarized, fingerprinted; run by hand.

    python tests/benchmarks/bench_million.py [--rows 1000000] [--keep FOLDER]

Makes empty files, a thousand a folder, and their table as CSV and as Parquet, in a temporary
folder; then each step runs in a process of its own, and its time and peak memory are printed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.config import SplitConfig

FILES_A_FOLDER = 1000
SPEAKERS = 5000
SPLITS = {
    "stable": SplitConfig(),
    "balanced": SplitConfig(rule="balanced", stratify=("label", "language")),
    "each a group": SplitConfig(rule="balanced", by=()),
    "random": SplitConfig(rule="random"),
}
STEPS = (*SPLITS, "automatic", "fingerprint")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", metavar="FOLDER", help="make the files there, once")
    parser.add_argument("--step", nargs=2, metavar=("TABLE", "STEP"), help="one step, measured")
    flags = parser.parse_args()
    if flags.step:
        return _measure(*flags.step)
    with tempfile.TemporaryDirectory() as own:
        folder = Path(flags.keep or own)
        if not (folder / "clips.parquet").exists():
            _make(folder, flags.rows)
        for table in ("clips.csv", "clips.parquet"):
            for step in STEPS:
                command = [sys.executable, __file__, "--step", str(folder / table), step]
                subprocess.run(command, check=True)
    return 0


def _make(folder: Path, rows: int) -> None:
    """Empty files and their table: 5,000 speakers, three spoofs of each recording."""
    random = np.random.default_rng(0)
    names = []
    for start in range(0, rows, FILES_A_FOLDER):
        below = folder / "audio" / f"{start // FILES_A_FOLDER:04d}"
        below.mkdir(parents=True, exist_ok=True)
        for number in range(start, min(start + FILES_A_FOLDER, rows)):
            os.close(os.open(below / f"{number:07d}.wav", os.O_CREAT))
            names.append(f"audio/{below.name}/{number:07d}.wav")
    number = np.arange(rows)
    spoof = number % 4 > 0
    recording = number // 4
    pd.DataFrame(
        {
            "path": names,
            "label": np.where(spoof, "spoof", "bonafide"),
            "speaker": [
                f"s{n:04d}" for n in random.integers(0, SPEAKERS, rows // 4 + 1)[recording]
            ],
            "attack": np.where(spoof, "a" + pd.Series(number % 4).astype(str), "-"),
            "source": [f"r{n:06d}" for n in recording],
            "language": np.array(["de", "en", "fr"])[recording % 3],
            "seconds": random.uniform(1, 9, rows).round(2),
        }
    ).to_csv(folder / "clips.csv", index=False)
    pd.read_csv(folder / "clips.csv").to_parquet(folder / "clips.parquet")


def _measure(table: str, step: str) -> int:
    from tfpipeline.data.clips import check_parts, corpus_fingerprint
    from tfpipeline.data.corpora import load_corpus
    from tfpipeline.data.inspection import summarize
    from tfpipeline.data.splits import split_clips

    marks = [("", time.perf_counter())]
    clips = load_corpus(f"manifest:{table}", split=step == "automatic")
    marks.append(("read", time.perf_counter()))
    if step in SPLITS:
        clips, said = split_clips(clips, SPLITS[step], table)
        print(said)
        check_parts(clips, table, SPLITS[step].columns)
        marks.append(("split", time.perf_counter()))
    if step == "fingerprint":
        corpus_fingerprint(clips)
        marks.append(("fingerprint", time.perf_counter()))
    else:
        summarize(clips)
        marks.append(("summarize", time.perf_counter()))
    told = ", ".join(
        f"{name} {now - before:.1f} s" for (_, before), (name, now) in itertools.pairwise(marks)
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{Path(table).name:14s} {step:12s} {len(clips)} clips: {told}; "
        f"total {marks[-1][1] - marks[0][1]:.1f} s, peak {memory:.2f} GB",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
