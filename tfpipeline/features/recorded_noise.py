"""Noise from the user's own recordings: a folder of them, and excerpts of it under speech."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE, STEPS
from tfpipeline.data.cache import to_steps
from tfpipeline.data.screening import screen_clips
from tfpipeline.features.distortions import Range, draw, mix_at

MOST_HOURS = 2.0  # 230 MB of 16-bit samples


@functools.lru_cache(maxsize=2)
def noise_recordings(folder: str) -> tf.Tensor:
    """The recordings of a folder and its subfolders, decoded, one behind the other.

    Of more than `MOST_HOURS` a random choice of files, the same each time.

    Args:
        folder: of audio files; what cannot be decoded is left out, with a line.
    Returns:
        int16 (samples,).
    Raises:
        ValueError: there is none that can be decoded.
    """
    paths = sorted(str(path) for path in Path(folder).expanduser().rglob("*") if path.is_file())
    order = np.random.default_rng(0).permutation(len(paths))
    paths = [path for path in (paths[place] for place in order) if "/." not in path]
    kept, most = [], round(MOST_HOURS * 3600 * SAMPLE_RATE)
    reasons: list[str] = []
    for begin in range(0, len(paths), 256):
        screening = screen_clips(
            paths[begin : begin + 256], lambda _, clip: kept.append(to_steps(clip.waveform))
        )
        reasons += screening.reasons.values()
        if sum(map(len, kept)) >= most:
            break
    if not kept:
        reason = reasons[0] if reasons else "no file"
        raise ValueError(
            f"augment.noise_folder must hold recordings of noise. Received: {folder}: {reason}"
        )
    if reasons:
        print(
            f"{len(reasons)} files of {folder} are no noise that can be used, such as {reasons[0]}",
            file=sys.stderr,
        )
    with tf.init_scope():  # what is made in a graph could not be kept for the next one
        return tf.constant(np.concatenate(kept)[:most])


def add_recorded_noise(
    waveform: tf.Tensor, recordings: tf.Tensor, snr_db: Range, seed: tf.Tensor
) -> tf.Tensor:
    """Adds an excerpt of noise to each waveform.

    Args:
        waveform: float32 (batch, samples).
        recordings: int16 (n,); an excerpt that reaches their end goes on at their beginning.
        snr_db: of the mean powers of waveform and noise.
        seed: of the draws.
    """
    seeds = tf.random.split(seed, 2)
    batch, samples = tf.unstack(tf.shape(waveform))
    size = tf.size(recordings)
    begin = tf.random.stateless_uniform([batch, 1], seeds[0], 0, size, tf.int32)
    places = (begin + tf.range(samples)[None, :]) % size
    noise = tf.cast(tf.gather(recordings, places), tf.float32) / STEPS
    return mix_at(waveform, noise, draw(waveform, snr_db, seeds[1]))
