"""How much of the bare training step's speed a real epoch reaches; run by hand.

    python tests/benchmarks/bench_training.py [MANIFEST] [--set a.b=value …]

Prints clips/s of the same compiled step on (a) one batch held in memory, (b) the pipeline over
decoded audio in memory, (c) over decoded audio on disk, as `corpus cache` leaves it, (d) straight
from files; interleaved rounds, medians, and the ratios of (b) to (d) to (a). Then the same of
scoring: all training clips by `ClipScorer` against the compiled model on one batch. Without a
manifest the demo corpus is used.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.corpora import load_clips
from tfpipeline.data.opening import open_audio
from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.detector import build_detector
from tfpipeline.models.scoring import ClipScorer
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
        config = replace(config, data=replace(config.data, corpus=f"manifest:{flags.manifest}"))
    clips = load_clips(config.data)
    train = clips[clips["part"] == "train"].reset_index(drop=True)

    settings = device_settings(config.training, config.model.name in BACKBONES)
    keras.config.set_dtype_policy(settings["precision"])
    detector = build_detector(config)
    keras.config.set_dtype_policy("float32")
    detector.model.compile(
        "adam", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=settings["jit"]
    )
    streams = {
        name: iter(training_stream(config, detector, open_audio(train, cache)[1], train))
        for name, cache in (("cached", "memory"), ("on disk", "disk"), ("files", "none"))
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
        paired = statistics.median(
            one / other for one, other in zip(measured, rates["held in memory"], strict=True)
        )
        print(
            f"{name:15s} {median:7.1f} clips/s   {median / bare:.3f} of held in memory "
            f"(median of paired rounds {paired:.3f})"
        )
    _scoring(detector, open_audio(train, "memory")[1], batch)
    return 0


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
