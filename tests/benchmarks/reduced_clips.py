"""What a run makes of clips that are reduced to length, level, silence and band; run by hand.

    python tests/benchmarks/reduced_clips.py --run pretrained --data web --part validation

Each clip becomes white noise of its length and level, low-passed where its own band ends, and
silent where the clip is. An AUC far from .5 means that the run judges by these alone.
"""

from __future__ import annotations

import argparse

import numpy as np
import tensorflow as tf

from tfpipeline.cli import run_folder
from tfpipeline.config import DataConfig
from tfpipeline.data.clip_audio import Audio, open_audio
from tfpipeline.data.clips import LABELS
from tfpipeline.data.corpora import load_clips
from tfpipeline.evaluation.metrics import roc_auc
from tfpipeline.models.detector import ClipScorer
from tfpipeline.runs.run import load_detector, open_run

FRAME = 320  # 20 ms
SILENT_DB = -60.0
BAND_SHARE = 0.999  # of the power lies below where the band ends


def reduce_clip(waveform: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Noise with the length, level, silent frames and band of a clip, float32 (samples,)."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    edge = int(np.searchsorted(np.cumsum(power), BAND_SHARE * power.sum()))
    spectrum = np.fft.rfft(random.standard_normal(len(waveform)))
    spectrum[edge + 1 :] = 0
    noise = np.fft.irfft(spectrum, len(waveform))
    frames = -(-len(waveform) // FRAME)
    padded = np.pad(waveform, (0, frames * FRAME - len(waveform))).reshape(frames, FRAME)
    energy = (padded**2).mean(axis=1)
    sounds = energy > energy.max() * 10 ** (SILENT_DB / 10)
    noise *= np.repeat(sounds, FRAME)[: len(waveform)]
    return (noise * np.sqrt((waveform**2).mean() / (noise**2).mean())).astype(np.float32)


def main() -> None:
    """Prints the AUC on the clips, and on what they are reduced to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--part", default="validation")
    flags = parser.parse_args()
    run = open_run(run_folder(flags.run))
    clips = load_clips(DataConfig(corpus=flags.data))
    clips = clips[clips["part"] == flags.part].reset_index(drop=True)
    clips, audio, _ = open_audio(clips)
    labels = clips["label"].map(LABELS).to_numpy()
    detector = load_detector(run)
    random = np.random.default_rng(0)
    reduced = [
        reduce_clip(audio.waveform(tf.constant(row, tf.int64)).numpy(), random)
        for row in range(len(clips))
    ]
    lengths = np.array([len(waveform) for waveform in reduced])
    ends, samples = tf.constant(np.cumsum(lengths)), tf.constant(np.concatenate(reduced))
    begins = ends - lengths
    noise = Audio(
        lambda index: samples[tf.gather(begins, index) : tf.gather(ends, index)], len(reduced)
    )
    scorer = ClipScorer(detector.model, detector.window)
    print(f"{len(clips)} clips of {flags.part}")
    for name, given in (("as they are", audio), ("reduced", noise)):
        print(f"AUC {name}: {roc_auc(labels, scorer.score_clips(given)):.3f}")


if __name__ == "__main__":
    main()
