"""Fundamental frequency and voicing: YIN, over all frames of a batch at once."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfpipeline.features.handcrafted.statistics import (
    QUANTILES,
    masked_quantiles,
    masked_statistics,
)

FRAME_LENGTH, HOP_LENGTH = 1024, 320
FMIN, FMAX = 65.0, 400.0
TROUGH = 0.1
# A frame is voiced where less than a fifth of its power is aperiodic, and it is not silent.
VOICED, SILENT_DB = 0.2, 40.0

PITCH_NAMES = (
    "pitch_voiced_share",
    *("pitch_log2_mean", "pitch_log2_std"),
    *(f"pitch_log2_{quantile}" for quantile in QUANTILES),
    *("pitch_step_mean", "pitch_step_std"),
    *("pitch_aperiodicity_mean", "pitch_aperiodicity_std"),
)


def yin(
    waveform: tf.Tensor,
    sample_rate: int,
    *,
    fmin: float = FMIN,
    fmax: float = FMAX,
    frame_length: int = FRAME_LENGTH,
    hop_length: int = HOP_LENGTH,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Fundamental frequency of each centred frame by YIN, with a threshold of 0.1.

    Args:
        waveform: float32 (size, samples).
        sample_rate: in Hz.
        fmin, fmax: in Hz; two periods of fmin should fit into a frame.
        frame_length, hop_length: in samples.
    Returns:
        f0 in Hz, aperiodicity (the normalized difference at the period found: 0 for a periodic
        frame, about 1 for noise) and power (mean square), each float32 (size, frames).
    Reference:
        de Cheveigné & Kawahara (2002), "YIN, a fundamental frequency estimator for speech and
        music"; `librosa.yin`, whose difference it is: it leaves out the energy that the end of the
        frame loses to the lag, so that even a perfect tone of 70 Hz has an aperiodicity of 0.1.
    """
    shortest, longest = math.floor(sample_rate / fmax), math.ceil(sample_rate / fmin)
    # Longer frames with zeros at the end, so that no lag looked at wraps round.
    size = _transform_size(frame_length + longest)
    half, extra = frame_length // 2, size - frame_length
    waveform = tf.pad(waveform, [[0, 0], [half, half + extra]])
    frames = tf.signal.frame(waveform, size, hop_length)  # (size, frames, n_fft)
    frames *= (np.arange(size) < frame_length).astype("float32")
    normalized = _normalized_difference(frames, shortest, longest)  # (size, frames, lags)

    before, here, after = normalized[..., :-2], normalized[..., 1:-1], normalized[..., 2:]
    inner = (here < before) & (here <= after)
    first = normalized[..., :1] < normalized[..., 1:2]
    last = normalized[..., -1:] < normalized[..., -2:-1]
    trough = tf.concat([first, inner, last], axis=2) & (normalized < TROUGH)
    place = tf.where(
        tf.reduce_any(trough, axis=2),
        tf.argmax(tf.cast(trough, tf.int8), axis=2, output_type=tf.int32),
        tf.argmin(normalized, axis=2, output_type=tf.int32),
    )
    around = tf.clip_by_value(place[..., None] + tf.range(-1, 2), 0, longest - shortest)
    before, here, after = tf.unstack(tf.gather(normalized, around, batch_dims=2), axis=2)
    # The lowest point of a parabola through the trough and its neighbours, if it is between them.
    curve, slope = after + before - 2 * here, (after - before) / 2
    inside = (tf.abs(slope) < tf.abs(curve)) & (place > 0) & (place < longest - shortest)
    shift = tf.where(inside, -slope / tf.where(inside, curve, 1.0), 0.0)
    period = shortest + tf.cast(place, tf.float32) + shift
    return sample_rate / period, here, tf.reduce_sum(frames**2, axis=2) / frame_length


def pitch_statistics(waveform: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """Statistics of pitch and voicing of each clip, the columns of `PITCH_NAMES`.

    Pitch is log2 of f0 in Hz over the voiced frames, a step its change between neighbouring voiced
    frames; aperiodicity is taken over all frames that are not silent.

    Args:
        waveform: float32 (size, samples).
        sample_rate: in Hz.
    Returns:
        float32 (size, len(PITCH_NAMES)); what has no voiced frame to be taken over is 0.
    Reference:
        De Leon, Stewart & Yamagishi (2012), "Synthetic speech discrimination using pitch pattern
        statistics derived from image analysis"; Xue et al. (2022), "Audio deepfake detection based
        on a combination of F0 information and real plus imaginary spectrogram features".
    """
    f0, aperiodicity, power = yin(waveform, sample_rate)
    loudest = tf.maximum(tf.reduce_max(power, axis=1, keepdims=True), 1e-10)
    loud = power > loudest * 10.0 ** (-SILENT_DB / 10.0)
    voiced = loud & (aperiodicity < VOICED)
    pitch = tf.math.log(f0) / math.log(2.0)
    step = tf.abs(pitch[:, 1:] - pitch[:, :-1])
    both = voiced[:, 1:] & voiced[:, :-1]
    return tf.concat(
        [
            tf.reduce_mean(tf.cast(voiced, tf.float32), axis=1, keepdims=True),
            masked_statistics(pitch, voiced),
            masked_quantiles(pitch, voiced),
            masked_statistics(step, both),
            masked_statistics(aperiodicity, loud),
        ],
        axis=1,
    )


def _transform_size(least: int) -> int:
    """The shortest of the lengths 2^k and 5 · 2^k, k >= 3, that is `least` or more."""
    return min(odd << k for odd in (1, 5) for k in range(3, 31) if odd << k >= least)


def _normalized_difference(frames: tf.Tensor, shortest: int, longest: int) -> tf.Tensor:
    """Cumulative mean normalized difference at the lags shortest … longest, in samples.

    Args:
        frames: float32 (size, frames, n_fft), whose last `longest` samples are zeros.
        shortest, longest: lags in samples.
    Returns:
        float32 (size, frames, longest - shortest + 1).
    """
    spectrum = tf.signal.rfft(frames)
    correlation = tf.signal.irfft(spectrum * tf.math.conj(spectrum), [frames.shape[2]])
    energy = tf.cumsum(frames[..., :longest] ** 2, axis=2)
    # Lags 1 … longest.
    difference = 2 * (correlation[..., :1] - correlation[..., 1 : longest + 1]) - energy
    mean = tf.cumsum(difference, axis=2) / np.arange(1, longest + 1, dtype="float32")
    return (difference / (mean + np.finfo("float32").tiny))[..., shortest - 1 :]
