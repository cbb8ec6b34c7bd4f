"""Speed of the mel front ends, side by side: run by hand, pytest does not collect it.

python tests/benchmarks/bench_mel.py [speech.wav] [--repeats 9] [--n-fft 512] …
The ways take turns, so that a busy machine slows all alike; the ratios travel, the times do not.
"""

from __future__ import annotations

import argparse
import os
import time

CLIPS, SAMPLE_RATE, SAMPLES = 64, 16_000, 64_000


def load_clips(path: str | None):
    """64 windows of 4 s at 16 kHz, float32 (64, 64000): of the file, or of noise without one."""
    import numpy as np

    if path is None:
        rng = np.random.default_rng(0)
        return (0.1 * rng.standard_normal((CLIPS, SAMPLES))).astype("float32")
    import librosa

    speech, _ = librosa.load(path, sr=SAMPLE_RATE)
    # The windows start a prime number of samples apart: no two are alike.
    return np.stack([np.resize(np.roll(speech, 997 * i), SAMPLES) for i in range(CLIPS)])


def build_ways(n_fft: int, hop_length: int, n_mels: int) -> dict:
    """Name -> function of a batch (64, 64000)."""
    import keras
    import librosa
    import tensorflow as tf

    from tfpipeline.features.mel import LogMel

    common = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels}

    def one_librosa_call_a_clip(clips):
        for clip in clips.numpy():
            mel = librosa.feature.melspectrogram(y=clip, sr=SAMPLE_RATE, **common)
            librosa.power_to_db(mel)

    keras_layer = keras.layers.MelSpectrogram(
        fft_length=n_fft,
        sequence_stride=hop_length,
        num_mel_bins=n_mels,
        sampling_rate=SAMPLE_RATE,
    )
    ways = {"librosa, one clip a call": one_librosa_call_a_clip}
    for precision in ("float32", "float64"):
        layer = LogMel(**common, precision=precision)
        ways[f"LogMel {precision}"] = tf.function(layer)
        ways[f"LogMel {precision}, XLA"] = tf.function(layer, jit_compile=True)
    ways["keras MelSpectrogram"] = tf.function(keras_layer)
    ways["keras MelSpectrogram, XLA"] = tf.function(keras_layer, jit_compile=True)
    return ways


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wav", nargs="?", help="speech to cut the clips from; noise without it")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--n-fft", type=int, default=512)
    parser.add_argument("--hop-length", type=int, default=160)
    parser.add_argument("--n-mels", type=int, default=80)
    options = parser.parse_args(argv)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import numpy as np
    import tensorflow as tf

    clips = tf.constant(load_clips(options.wav))
    ways = build_ways(options.n_fft, options.hop_length, options.n_mels)
    seconds = {name: [] for name in ways}
    for repeat in range(options.repeats + 2):
        for name, way in ways.items():
            start = time.perf_counter()
            way(clips)
            if repeat >= 2:  # the first two compile and warm up
                seconds[name].append(time.perf_counter() - start)

    print(
        f"{CLIPS} clips of 4 s, n_fft {options.n_fft}, hop {options.hop_length}, "
        f"{options.n_mels} mels; median of {options.repeats}, {os.cpu_count()} cores"
    )
    baseline = np.median(seconds["librosa, one clip a call"])
    for name, values in seconds.items():
        rate, ratio = CLIPS / np.median(values), baseline / np.median(values)
        print(f"{name:28s} {rate:7.0f} clips/s   {ratio:5.2f} x librosa")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
