"""Level and sign of the waveform, frame by frame: RMS, silence, zero crossings."""

from __future__ import annotations

import math

import tensorflow as tf

SILENCE_DB = 40.0


def rms(waveform: tf.Tensor, frame_length: int, hop_length: int) -> tf.Tensor:
    """Root mean square of each frame, centred, in zeros.

    Args:
        waveform: float32 (size, samples).
        frame_length, hop_length: in samples; the frame is even.
    Returns:
        float32 (size, frames).
    Reference: `librosa.feature.rms`.
    """
    half = frame_length // 2
    squares = tf.pad(waveform**2, [[0, 0], [half, half]])
    return tf.sqrt(_frame_sums(squares, frame_length, hop_length) / frame_length)


def relative_level(root_mean_square: tf.Tensor) -> tf.Tensor:
    """Level of each frame in dB below the clip's loudest, down to an RMS of 1e-5.

    Reference: `librosa.amplitude_to_db(ref=np.max, top_db=None)`.
    """
    amplitude = tf.maximum(root_mean_square, 1e-5)
    share = amplitude / tf.reduce_max(amplitude, axis=1, keepdims=True)
    return (20.0 / math.log(10.0)) * tf.math.log(share)


def silence_share(level_db: tf.Tensor) -> tf.Tensor:
    """Share of frames `SILENCE_DB` or more below the loudest: (size, frames) → (size,).

    In many corpora silence gives the label away without any artefact of synthesis.

    Reference: Müller et al. (2021), "Speech is silver, silence is golden: what do ASVspoof-trained
    models really learn?".
    """
    return tf.reduce_mean(tf.cast(level_db <= -SILENCE_DB, tf.float32), axis=1)


def zero_crossing_rate(waveform: tf.Tensor, frame_length: int, hop_length: int) -> tf.Tensor:
    """Share of the samples of each centred frame at which the sign changes.

    Args:
        waveform: float32 (size, samples).
        frame_length, hop_length: in samples; the frame is even.
    Returns:
        float32 (size, frames).
    Reference: `librosa.feature.zero_crossing_rate`, which repeats the end samples as padding.
    """
    half = frame_length // 2
    negative = waveform < -1e-10
    changes = tf.cast(negative[:, 1:] != negative[:, :-1], tf.float32)
    # The padding holds no change, and neither does the very first sample.
    changes = tf.pad(changes, [[0, 0], [half + 1, half]])
    sums = _frame_sums(changes, frame_length, hop_length)
    # A change from the sample before the frame to its first is not the frame's.
    first = changes[:, ::hop_length][:, : tf.shape(sums)[1]]
    return (sums - first) / frame_length


def _frame_sums(values: tf.Tensor, frame_length: int, hop_length: int) -> tf.Tensor:
    """Sums over frames, not centred: (size, samples) → (size, frames)."""
    step = math.gcd(frame_length, hop_length)
    # Sums of short blocks first, of which neighbouring frames share most.
    blocks = tf.reduce_sum(tf.signal.frame(values, step, step), axis=2)
    return tf.reduce_sum(tf.signal.frame(blocks, frame_length // step, hop_length // step), axis=2)
