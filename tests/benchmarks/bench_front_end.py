"""What the conditioning costs in training and in scoring; run by hand, pytest does not collect it.

    python tests/benchmarks/bench_front_end.py [--model cnn] [--rounds 15]

The same model with the section `front_end` of its config and without, in turns, so that a busy
machine slows both alike. Prints the ratio of the times, the median over pairs of rounds, for a
training step on one batch held in memory, for scoring one batch of windows, and for one window.
Hand-made features have no training step: theirs is the extraction. The ratios of processor time
are the steadier ones where others work on the same cores.
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

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.models.detector import build_detector, crop_samples, window_samples
from tfpipeline.models.families import find_family

OFF = ["front_end.highpass_hz=null", "front_end.level_dbfs=null"]


def network_tasks(config, noise) -> dict:
    """Task → function without arguments."""
    detector = build_detector(config)
    model = detector.model
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    size = config.training.batch_size
    crops = tf.constant(noise[:size, : crop_samples(config)])
    labels = tf.constant(np.arange(size)[:, None] % 2, tf.float32)
    return {
        "training step": lambda: model.train_on_batch(crops, labels),
        **scoring_tasks(model, config, noise),
    }


def scoring_tasks(model, config, noise) -> dict:
    windows = tf.constant(noise[:, : window_samples(config)])
    score = tf.function(
        lambda waveform: model(waveform, training=False),
        input_signature=[tf.TensorSpec([None, windows.shape[1]], tf.float32)],
    )
    return {"scoring a batch": lambda: score(windows), "scoring one": lambda: score(windows[:1])}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cnn", help="a network, or a classifier for features")
    parser.add_argument("--rounds", type=int, default=15)
    flags = parser.parse_args()
    noise = np.random.default_rng(0).normal(0, 0.1, (32, 66_000)).astype(np.float32)
    tasks = {}
    for name, overrides in (("off", OFF), ("on", [])):
        config = load_config(CONFIGS / f"{flags.model}.yaml", overrides)
        if not find_family(config.model.name).is_classical:
            tasks[name] = network_tasks(config, noise)
        else:
            front_end = config.front_end
            layer = HandcraftedFeatures(
                config.features.set,
                highpass_hz=front_end.highpass_hz,
                level_dbfs=front_end.level_dbfs,
            )
            tasks[name] = scoring_tasks(lambda w, layer=layer, **_: layer(w), config, noise)
    for task in tasks["on"]:
        walls, processors, plain = [], [], []
        for number in range(flags.rounds + 2):
            taken = {}
            for name in ("off", "on") if number % 2 else ("on", "off"):
                wall, processor = time.perf_counter(), time.process_time()
                for _ in range(5 if task == "scoring one" else 1):
                    tasks[name][task]()
                taken[name] = time.perf_counter() - wall, time.process_time() - processor
            if number >= 2:  # the first ones compile
                walls.append(taken["on"][0] / taken["off"][0])
                processors.append(taken["on"][1] / taken["off"][1])
                plain.append(taken["off"][0])
        milliseconds = 1000 * statistics.median(plain)
        wall, processor = statistics.median(walls), statistics.median(processors)
        print(
            f"{flags.model}, {task:16s} {milliseconds:7.1f} ms without; with it x {wall:.3f} "
            f"(processor time x {processor:.3f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
