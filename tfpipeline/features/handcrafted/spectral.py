"""Shape of the spectrum, frame by frame, from magnitudes (size, frames, 1 + n_fft // 2).

Each function gives float32 (size, frames), or (size, frames, n). A silent frame gives what librosa
gives: 0, but for a flatness of 1.

Cepstral coefficients, MFCC and LFCC, and their changes over time.
"""

from __future__ import annotations

import itertools
import math

import librosa
import numpy as np
import scipy.fft
import scipy.signal
import tensorflow as tf

from tfpipeline.features.decibels import power_to_db

CONTRAST_FMIN, CONTRAST_BANDS, CONTRAST_QUANTILE = 200.0, 6, 0.02
AMIN = 1e-10


def bin_frequencies(magnitude: tf.Tensor, sample_rate: int) -> np.ndarray:
    """Frequency of each FFT bin in Hz, float32 (1 + n_fft // 2,)."""
    n_fft = 2 * (magnitude.shape[2] - 1)
    return librosa.fft_frequencies(sr=sample_rate, n_fft=n_fft).astype("float32")


def centroid(magnitude: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """Mean frequency of each frame, weighted with the magnitudes, in Hz.

    Reference: `librosa.feature.spectral_centroid`; Klapuri & Davy (2007).
    """
    return tf.linalg.matvec(_of_sum_one(magnitude), bin_frequencies(magnitude, sample_rate))


def bandwidth(magnitude: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """Deviation of the frequencies around the centroid, in Hz.

    Reference: `librosa.feature.spectral_bandwidth`; Klapuri & Davy (2007).
    """
    weights = _of_sum_one(magnitude)
    frequencies = bin_frequencies(magnitude, sample_rate)
    middle = tf.linalg.matvec(weights, frequencies)
    return tf.sqrt(tf.reduce_sum(weights * (frequencies - middle[..., None]) ** 2, axis=2))


def rolloff(magnitude: tf.Tensor, sample_rate: int, share: float = 0.85) -> tf.Tensor:
    """The frequency below which lies 85 % of the sum of magnitudes, in Hz.

    Reference: `librosa.feature.spectral_rolloff`; Scheirer & Slaney (1997).
    """
    total = tf.cumsum(magnitude, axis=2)
    below = tf.reduce_sum(tf.cast(total < share * total[..., -1:], tf.float32), axis=2)
    return below * (sample_rate / 2 / (magnitude.shape[2] - 1))


def flatness(magnitude: tf.Tensor) -> tf.Tensor:
    """Geometric mean of the powers over their arithmetic mean: 1 for noise, near 0 for tones.

    Reference: `librosa.feature.spectral_flatness`; Dubnov (2004).
    """
    power = tf.maximum(magnitude**2, AMIN)
    return tf.exp(tf.reduce_mean(tf.math.log(power), axis=2)) / tf.reduce_mean(power, axis=2)


def flux(magnitude: tf.Tensor) -> tf.Tensor:
    """Distance of each frame's spectrum from the one before, both of length 1; 0 for the first.

    Reference: Tzanetakis & Cook (2002), "Musical genre classification of audio signals"; Lerch
    (2012), section 3.3.3.
    """
    length = tf.norm(magnitude, axis=2, keepdims=True)
    shape = magnitude / tf.where(length < AMIN, 1.0, length)
    return tf.pad(tf.norm(shape[:, 1:] - shape[:, :-1], axis=2), [[0, 0], [1, 0]])


def contrast(magnitude: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """Peaks over valleys in dB, in the band below 200 Hz and the octaves above it.

    Returns:
        float32 (size, frames, 7).
    Reference:
        `librosa.feature.spectral_contrast`; Jiang et al. (2002), "Music type classification by
        spectral contrast feature". Like librosa, it takes magnitudes for powers.
    """
    frequencies = bin_frequencies(magnitude, sample_rate)
    edges = [0.0, *(CONTRAST_FMIN * 2.0 ** np.arange(CONTRAST_BANDS + 1))]
    peaks, valleys = [], []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        held = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        first, end = held[0] - (number > 0), held[-1] + 1
        if number == CONTRAST_BANDS:
            end = len(frequencies)
        count = max(1, int(np.rint(CONTRAST_QUANTILE * (end - first))))
        band = magnitude[..., first : end - (number < CONTRAST_BANDS)]
        peaks.append(_mean_of_greatest(band, count))
        valleys.append(-_mean_of_greatest(-band, count))
    peak, valley = (power_to_db(tf.stack(part, axis=2), ref=1.0) for part in (peaks, valleys))
    return peak - valley


def band_energies(power: tf.Tensor, sample_rate: int, edges: tuple[float, ...]) -> tf.Tensor:
    """Energy of bands of the whole clip against the energy of all, in dB, down to -80.

    Synthetic speech often differs in the highest bands, which vocoders model least well.

    Args:
        power: float32 (size, frames, 1 + n_fft // 2).
        sample_rate: in Hz.
        edges: of the bands in Hz, ascending; a band holds its lower edge, the last both.
    Returns:
        float32 (size, len(edges) - 1).
    Reference:
        Tak et al. (2020), "An explainability study of the constant Q cepstral coefficient
        spoofing countermeasure for automatic speaker verification".
    """
    frequencies = bin_frequencies(power, sample_rate)
    number = np.minimum(np.searchsorted(edges, frequencies, side="right") - 1, len(edges) - 2)
    member = (number[:, None] == np.arange(len(edges) - 1)).astype("float32")  # (bins, bands)
    spectrum = tf.reduce_sum(power, axis=1)  # (size, bins)
    total = tf.maximum(tf.reduce_sum(spectrum, axis=1, keepdims=True), AMIN)
    share = tf.maximum(spectrum @ member / total, 1e-8)
    return (10.0 / math.log(10.0)) * tf.math.log(share)


def _of_sum_one(magnitude: tf.Tensor) -> tf.Tensor:
    total = tf.reduce_sum(magnitude, axis=2, keepdims=True)
    return magnitude / tf.where(total < np.finfo("float32").tiny, 1.0, total)


def _mean_of_greatest(values: tf.Tensor, count: int) -> tf.Tensor:
    if count == 1:
        return tf.reduce_max(values, axis=2)
    return tf.reduce_mean(tf.math.top_k(values, count, sorted=False).values, axis=2)


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
    changes = tf.add_n(
        [
            np.float32(weight) * series[:, place : place + inner]
            for place, weight in enumerate(weights)
            if abs(weight) > 1e-12
        ]
    )
    # The polynomial's highest derivative is the same all over the window that it was fitted to.
    first, last = (tf.repeat(end, half, axis=1) for end in (changes[:, :1], changes[:, -1:]))
    return tf.concat([first, changes, last], axis=1)
