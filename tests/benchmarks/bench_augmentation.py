"""What each augmentation costs; run by hand, pytest does not collect it.

    python tests/benchmarks/bench_augmentation.py [--rounds 10] [--only noise reverb]

Each distortion alone, applied to every clip of a batch of 32 clips of 4 s, and then the named sets
with their shares, in turns, in a compiled graph without tf.data. Prints clips/s and milliseconds a
clip, the median over rounds; for comparison a training step of the `cnn`, on crops of the length
that its config has.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.config import CONFIGS, DISTORTION_SETS, AugmentConfig, load_config
from tfpipeline.features import augment
from tfpipeline.features.augment import augment_waveforms, distortion_functions
from tfpipeline.models.detector import build_detector, crop_samples

BATCH, SAMPLES = 32, 64_000


def augmentation_task(config: AugmentConfig, waveform, label):
    call = tf.function(lambda step: augment_waveforms(step, waveform, label, config, 0)[0])
    steps = iter(range(10**9))
    return lambda: float(call(tf.constant(next(steps), tf.int64))[0, 0])


def training_task(waveform, label):
    config = load_config(CONFIGS / "cnn.yaml")
    model = build_detector(config).model
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    crops = waveform[:, : crop_samples(config)]
    return lambda: model.train_on_batch(crops, label[:, None])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=[])
    flags = parser.parse_args()
    random = np.random.default_rng(0)
    waveform = tf.constant(random.normal(0, 0.1, (BATCH, SAMPLES)), tf.float32)
    label = tf.constant(np.arange(BATCH) % 2, tf.float32)
    noise = tf.constant(random.integers(-3000, 3000, 10**6), tf.int16)
    augment.noise_recordings = lambda folder: noise
    tasks = {}
    for name in distortion_functions(AugmentConfig()):
        config = AugmentConfig(distortions={name: 1.0}, noise_folder="in memory")
        tasks[f"{name}, every clip"] = augmentation_task(config, waveform, label)
    for name in DISTORTION_SETS:
        config = AugmentConfig(distortions=name)
        tasks[f"the set {name}"] = augmentation_task(config, waveform, label)
    tasks["a training step of the cnn"] = training_task(waveform, label)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(flags.rounds + 2):
        for name, task in tasks.items():
            if flags.only and not any(own in name for own in flags.only):
                continue
            began = time.perf_counter()
            task()
            if number >= 2:  # the first ones compile
                seconds[name].append(time.perf_counter() - began)
    for name, taken in seconds.items():
        if taken:
            median = statistics.median(taken)
            print(
                f"{name:28s} {BATCH / median:8.0f} clips/s {1000 * median / BATCH:8.2f} ms a clip"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
