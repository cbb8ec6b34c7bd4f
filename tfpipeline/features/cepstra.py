"""Cepstral coefficients, MFCC and LFCC, and their changes over time."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.signal
import tensorflow as tf

DELTA_WIDTH = 9


def cepstrum(decibels: tf.Tensor, n_coefficients: int) -> tf.Tensor:
    """The first cepstral coefficients of each frame: the orthonormal DCT-II over the bands.

    Of log-mel bands these are MFCC, of linearly spaced bands LFCC.

    Args:
        decibels: float32 (size, frames, n_bands) in dB.
        n_coefficients: how many, from the 0th on; at most n_bands.
    Returns:
        float32 (size, frames, n_coefficients).
    Reference:
        `librosa.feature.mfcc(S=…)`; Sahidullah, Kinnunen & Hanilçi (2015), "A comparison of
        features for synthetic speech detection" (LFCC).
    """
    n_bands = decibels.shape[2]
    basis = scipy.fft.dct(np.eye(n_bands), norm="ortho", axis=1)[:, :n_coefficients]
    shape = tf.shape(decibels)
    product = tf.reshape(decibels, [-1, n_bands]) @ basis.astype("float32")
    return tf.reshape(product, [shape[0], shape[1], n_coefficients])


def delta(series: tf.Tensor, order: int = 1) -> tf.Tensor:
    """Change over time: the derivative of a polynomial fitted to nine frames around each.

    Args:
        series: float32 (size, frames, n), at least `DELTA_WIDTH` frames.
        order: of the derivative and of the polynomial; 1 is delta, 2 is delta-delta.
    Returns:
        float32 (size, frames, n), in units a frame (a frame squared).
    Reference:
        `librosa.feature.delta(width=9, order=…, mode="interp")`; Savitzky & Golay (1964).
    """
    half = DELTA_WIDTH // 2
    weights = scipy.signal.savgol_coeffs(DELTA_WIDTH, order, deriv=order, use="dot")
    inner = tf.shape(series)[1] - 2 * half
    changes = tf.add_n([
        np.float32(weight) * series[:, place : place + inner]
        for place, weight in enumerate(weights)
        if abs(weight) > 1e-12
    ])  # fmt: skip
    # The polynomial's highest derivative is the same all over the window that it was fitted to.
    first, last = (tf.repeat(end, half, axis=1) for end in (changes[:, :1], changes[:, -1:]))
    return tf.concat([first, changes, last], axis=1)
