"""Speed of the hand-made features against librosa: run by hand, pytest does not collect it.

python tests/benchmarks/bench_features.py [speech.wav] [--repeats 9]
The ways take turns, so that a busy machine slows all alike; the ratios travel, the times do not.
"""

from __future__ import annotations

import argparse
import os
import time

from bench_mel import CLIPS, SAMPLE_RATE, load_clips


def build_ways() -> dict:
    """Name -> function of a batch (64, 64000)."""
    import librosa
    import numpy as np
    import tensorflow as tf

    from tfpipeline.features.handcrafted.layer import FEATURE_SETS, HandcraftedFeatures

    def one_librosa_call_a_clip(clips):
        for clip in clips.numpy():
            mel = librosa.feature.melspectrogram(y=clip, sr=SAMPLE_RATE)
            bands = librosa.power_to_db(mel, ref=np.max).mean(axis=1)
            np.concatenate([[clip.mean(), clip.std(), clip.min(), clip.max()], bands])

    ways = {"librosa, 132 features": one_librosa_call_a_clip}
    for name in FEATURE_SETS:
        layer = HandcraftedFeatures(name)
        ways[f"{name}, {len(layer.names)} features"] = tf.function(layer)
    return ways


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wav", nargs="?", help="speech to cut the clips from; noise without it")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args(argv)

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import numpy as np
    import tensorflow as tf

    clips = tf.constant(load_clips(options.wav))
    ways = build_ways()
    seconds = {name: [] for name in ways}
    for repeat in range(options.repeats + 2):
        for name, way in ways.items():
            start = time.perf_counter()
            way(clips)
            if repeat >= 2:  # the first two compile and warm up
                seconds[name].append(time.perf_counter() - start)

    print(f"{CLIPS} clips of 4 s; median of {options.repeats}, {os.cpu_count()} cores")
    baseline = np.median(seconds["librosa, 132 features"])
    for name, values in seconds.items():
        rate, ratio = CLIPS / np.median(values), baseline / np.median(values)
        print(f"{name:28s} {rate:7.0f} clips/s   {ratio:5.2f} x librosa")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
