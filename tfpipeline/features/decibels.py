"""Powers in decibels, each example by itself."""

from __future__ import annotations

import math

import tensorflow as tf


def power_to_db(
    power: tf.Tensor,
    *,
    ref: float | str = "max",
    amin: float = 1e-10,
    top_db: float | None = 80.0,
) -> tf.Tensor:
    """`librosa.power_to_db` of each example by itself.

    Args:
        power: float (size, frames, n_bands), not negative.
        ref, amin, top_db: as in `LogMel`.
    Returns:
        The same shape and dtype, in dB.
    """
    floor = tf.constant(amin, power.dtype)
    peak = tf.maximum(tf.reduce_max(power, axis=[1, 2], keepdims=True), floor)
    if top_db is not None:
        floor = tf.maximum(floor, peak * 10.0 ** (-top_db / 10.0))
    power = tf.maximum(power, floor)
    if ref == "max":
        return _decibels(power / peak)
    return _decibels(power) - 10.0 * math.log10(max(ref, amin))


def _decibels(power):
    return (10.0 / math.log(10.0)) * tf.math.log(power)
