"""Draws docs/images/augmentation.png; run by hand, pytest does not collect it.

    python tests/benchmarks/draw_augmentation.py RUN [--out docs/images/augmentation.png]

One recording of the run's test part, and what each distortion of `augment.distortions` makes of it:
log-mel spectrograms of the first two seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from matplotlib.figure import Figure

from tfpipeline.config import AugmentConfig
from tfpipeline.data.audio.codecs import through_codec
from tfpipeline.data.audio.decode import decode
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.features.augment import distortion_functions
from tfpipeline.features.mel import LogMel

LEFT_OUT = ("recorded_noise", "offset", "polarity")  # nothing to see, or no recordings
SECONDS = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/augmentation.png"))
    flags = parser.parse_args()
    table = read_scores(flags.run / "scores.csv")
    rows = table[(table["part"] == "test") & (table["label"] == "bonafide")]
    waveform = decode(rows["path"].iloc[0]).waveform[: round(SECONDS * 16_000)]
    config = AugmentConfig(snr_db=(10, 10), reverb_seconds=(0.5, 0.5), clip_db=(12, 12))
    shown = {"as recorded": waveform, "codec (opus_16)": through_codec(waveform, "opus_16")}
    for name, distort in distortion_functions(config).items():
        if name not in LEFT_OUT:
            changed = distort(tf.constant(waveform[None]), tf.constant([3, 5], tf.int64))
            shown[name] = changed.numpy()[0]
    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(3, -(-len(shown) // 3), sharex=True, sharey=True).ravel()
    mel = LogMel(n_mels=80)
    for place, (name, own) in zip(axes, shown.items(), strict=False):
        picture = mel(own[None]).numpy()[0].T
        place.imshow(
            picture,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=picture.max() - 70,
            extent=(0, SECONDS, 0, 80),
        )
        place.set_title(name, fontsize=10)
    for place in axes[len(shown) :]:
        place.set_axis_off()
    figure.supxlabel("seconds", fontsize=10)
    figure.supylabel("mel band", fontsize=10)
    figure.savefig(flags.out, dpi=90)
    return 0


if __name__ == "__main__":
    sys.exit(main())
