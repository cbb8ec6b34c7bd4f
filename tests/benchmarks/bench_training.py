"""How much of the bare training step's speed a real epoch reaches; run by hand.

    python tests/benchmarks/bench_training.py [MANIFEST] [--set a.b=value …]

Prints clips/s of the same compiled step on (a) one batch held in memory, (b) the pipeline over
decoded audio in memory, (c) over decoded audio on disk, as `corpus cache` leaves it, (d) straight
from files, (e) straight from FLAC files of the same; interleaved rounds, medians, and the ratios of
(b) to (e) to (a), and to (b). Then the same of scoring: all training clips by `ClipScorer` against
the compiled model on one batch. Without a manifest the demo corpus is used.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pandas as pd
import soundfile
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.decode import decode
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.corpora import load_clips
from tfpipeline.models.detector import ClipScorer, build_detector
from tfpipeline.models.families import find_family
from tfpipeline.training.fit import device_settings, training_stream

ROUNDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", nargs="?")
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--steps", type=int, default=20, help="of a round")
    flags = parser.parse_args()
    config = load_config(CONFIGS / f"{flags.model}.yaml", flags.overrides)
    if flags.manifest:
        config = config.replace({"data.corpus": f"manifest:{flags.manifest}"})
    clips = load_clips(config.data)
    train = clips[clips["part"] == "train"].reset_index(drop=True)

    settings = device_settings(config.training, find_family(config.model.name).kind == "image")
    keras.config.set_dtype_policy(settings["precision"])
    detector = build_detector(config)
    keras.config.set_dtype_policy("float32")
    detector.model.compile(
        "adam", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=settings["jit"]
    )
    folder = tempfile.TemporaryDirectory()
    flac = _as_flac(train, Path(folder.name))
    streams = {
        name: iter(training_stream(config, detector, open_audio(own, cache)[1], own))
        for name, cache, own in (
            ("cached", "memory", train),
            ("on disk", "disk", train),
            ("files", "none", train),
            ("FLAC files", "none", flac),
        )
    }
    held = next(streams["cached"])
    batch = config.training.batch_size

    def round_of(next_batch) -> float:
        started = time.perf_counter()
        for _ in range(flags.steps):
            x, y, weight = next_batch()
            detector.model.train_on_batch(x, y, weight)
        return flags.steps * batch / (time.perf_counter() - started)

    sources = {"held in memory": lambda: held}
    sources |= {name: stream.__next__ for name, stream in streams.items()}
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for number in range(ROUNDS + 1):
        for name, source in sources.items():
            rate = round_of(source)
            if number:  # the first round compiles and fills the prefetch buffers
                rates[name].append(rate)
    bare = statistics.median(rates["held in memory"])
    print(f"{config.name}, batch {batch}, {settings}, {len(train)} clips")
    for name, measured in rates.items():
        median = statistics.median(measured)
        paired = {
            other: statistics.median(
                one / two for one, two in zip(measured, rates[other], strict=True)
            )
            for other in ("held in memory", "cached")
        }
        print(
            f"{name:15s} {median:7.1f} clips/s   {median / bare:.3f} of held in memory (median of "
            f"paired rounds {paired['held in memory']:.3f}; to cached {paired['cached']:.3f})"
        )
    _scoring(detector, open_audio(train, "memory")[1], batch)
    folder.cleanup()
    return 0


def _as_flac(clips: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The same clips, as FLAC files."""
    paths = []
    for number, path in enumerate(clips["path"]):
        paths.append(str(folder / f"{number}.flac"))
        soundfile.write(paths[-1], decode(path).waveform, SAMPLE_RATE)
    return clips.assign(path=paths)


def _scoring(detector, audio, batch: int) -> None:
    scorer = ClipScorer(detector.model, detector.window, batch)
    model = tf.function(lambda waveform: detector.model(waveform, training=False))
    held = tf.random.normal([batch, detector.window], stddev=0.1)
    rates = {"held in memory": [], "all clips": []}
    for number in range(ROUNDS + 1):
        started = time.perf_counter()
        for _ in range(audio.n_clips // batch):
            model(held)
        middle = time.perf_counter()
        scorer.score_clips(audio)
        ended = time.perf_counter()
        if number:
            rates["held in memory"].append(audio.n_clips // batch * batch / (middle - started))
            rates["all clips"].append(audio.n_clips / (ended - middle))
    bare, own = (statistics.median(values) for values in rates.values())
    print(
        f"scoring: held in memory {bare:.1f} clips/s, all clips {own:.1f}, ratio {own / bare:.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
