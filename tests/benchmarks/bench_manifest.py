"""How soon a large manifest yields its first batch, and in how much memory; run by hand.

    python tests/benchmarks/bench_manifest.py CLIPS.csv [--rows 200000] [--cache none]

Links the files of a small manifest until there are enough, each of its own path, in a temporary
folder beside it; then prints what reading, looking at every clip (the first time, and once that is
known), the first batch and a hundred more take, and the peak of the memory used.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pandas as pd

from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.pipeline import training_batches

BATCH = 32
WINDOW = 64_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--cache", default="none")
    flags = parser.parse_args()
    small = pd.read_csv(flags.clips)
    own = Path(flags.clips).resolve().parent
    with tempfile.TemporaryDirectory(dir=own) as folder:
        table = _link(small, own, Path(folder), flags.rows)
        os.environ["TFPIPELINE_CACHE"] = str(Path(folder) / "cache")
        started = time.perf_counter()
        clips = load_corpus(f"manifest:{table}")
        _say("reading", started, f"{len(clips)} rows")
        for what in ("looking at every clip", "the same once more"):
            started = time.perf_counter()
            kept, audio, _ = open_audio(clips, flags.cache)
            _say(what, started, f"cache {flags.cache}")
        train = (kept["part"] == "train").to_numpy()
        started = time.perf_counter()
        batches = training_batches(
            audio.subset(train), kept[train].reset_index(drop=True), WINDOW, BATCH, seed=0
        )
        batches = iter(batches)
        next(batches)
        _say("first batch", started, f"of {BATCH}")
        started = time.perf_counter()
        for _ in range(100):
            next(batches)
        _say("100 batches", started, f"{100 * BATCH / (time.perf_counter() - started):.0f} clips/s")
        del batches  # it reads ahead, and the files go
    return 0


def _link(small: pd.DataFrame, own: Path, folder: Path, rows: int) -> Path:
    """A manifest of `rows` linked clips; every round has readers and recordings of its own."""
    made = []
    for number in range(rows):
        clip = small.iloc[number % len(small)]
        turn = number // len(small)
        path = folder / "clips" / str(turn) / Path(clip["path"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(own / clip["path"], path)
        made.append((path.relative_to(folder), clip["label"], f"{clip['speaker']}{turn}"))
    table = folder / "manifest.csv"
    pd.DataFrame(made, columns=["path", "label", "speaker"]).to_csv(table, index=False)
    return table


def _say(what: str, started: float, note: str) -> None:
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:24s} {seconds:8.2f} s   peak {memory:.2f} GB   {note}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
