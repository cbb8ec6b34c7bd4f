"""The constants of a front end, in NumPy: window and filterbanks, as librosa's; their product."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
import scipy.signal
import tensorflow as tf


def padded_window(name: str, win_length: int, n_fft: int) -> np.ndarray:
    """A periodic window in the middle of a frame, zeros on both sides.

    Args:
        name: that `scipy.signal.get_window` takes without parameters.
        win_length: of the window, in samples.
        n_fft: of the frame, in samples.
    Returns:
        float64 (n_fft,).
    Raises:
        ValueError: the name is unknown, or that window needs parameters.
    """
    try:
        window = scipy.signal.get_window(name, win_length, fftbins=True)
    except ValueError as error:
        raise ValueError(
            "window must be a name that scipy.signal.get_window takes without parameters. "
            f'Received: {name!r} ({error}). Try "hann".'
        ) from error
    return librosa.util.pad_center(window, size=n_fft)


def mel_filters(
    sample_rate: int,
    n_fft: int,
    n_mels: int,
    *,
    fmin: float = 0.0,
    fmax: float | None = None,
    htk: bool = False,
    norm: str | None = "slaney",
) -> np.ndarray:
    """librosa's mel filterbank, to multiply spectra (…, 1 + n_fft // 2) with from the right.

    Bands too narrow to hold an FFT bin are warned of, not refused, as librosa does: a few silent
    bands do no harm, and a published setting must stay reproducible.

    Args:
        sample_rate, n_fft, n_mels, fmin, fmax, htk, norm: as in `LogMel`.
    Returns:
        float64 (1 + n_fft // 2, n_mels).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own warning has no figures
        filters = librosa.filters.mel(
            sr=sample_rate,
            n_fft=n_fft,
            n_mels=n_mels,
            fmin=fmin,
            fmax=fmax,
            htk=htk,
            norm=norm,
            dtype=np.float64,
        )
    empty = int(np.sum(filters.max(axis=1) == 0))
    if empty:
        warnings.warn(
            f"{empty} of {n_mels} mel bands hold no FFT bin, and stay silent always. "
            f"Received: n_fft={n_fft}, n_mels={n_mels}. Take a larger n_fft or fewer bands.",
            stacklevel=4,
        )
    return filters.T


def linear_filters(sample_rate: int, n_fft: int, n_filters: int) -> np.ndarray:
    """Triangles of peak 1, equally spaced in Hz from 0 to sample_rate / 2, each half overlapped.

    Args:
        sample_rate: in Hz.
        n_fft: length of a frame, in samples.
        n_filters: number of triangles.
    Returns:
        float64 (1 + n_fft // 2, n_filters).
    Reference:
        Sahidullah, Kinnunen & Hanilçi (2015), the filters of LFCC.
    """
    # In units of the triangles' spacing: triangle i has its peak at i + 1, and half-width 1.
    places = librosa.fft_frequencies(sr=sample_rate, n_fft=n_fft) / sample_rate * 2
    distance = np.abs(places[:, None] * (n_filters + 1) - np.arange(1, n_filters + 1))
    return np.maximum(0, 1 - distance)


def filter_blocks(filters: np.ndarray, bands: int = 16) -> list[tuple[int, int, np.ndarray]]:
    """Cuts a filterbank into products of a few bands with only the FFT bins that they hold.

    A spectrum times the filters is the concatenation, over the blocks, of its bins `first … end`
    times the block: the same sums without their zeros, in a tenth of the multiplications.

    Args:
        filters: float (n_bins, n_bands).
        bands: in a block.
    Returns:
        (first, end, float (end - first, up to `bands`)) of each block, in the order of the bands.
    """
    blocks = []
    for band in range(0, filters.shape[1], bands):
        part = filters[:, band : band + bands]
        held = np.flatnonzero(part.any(axis=1))
        first, end = (held[0], held[-1] + 1) if len(held) else (0, 1)
        blocks.append((int(first), int(end), part[first:end]))
    return blocks


def filter_product(power: tf.Tensor, blocks: list) -> tf.Tensor:
    """Sums of the bins of each spectrum, weighted with a filterbank.

    Args:
        power: float (size, frames, n_bins).
        blocks: of the filterbank, from `filter_blocks`.
    Returns:
        float (size, frames, n_bands).
    """
    shape, dtype = tf.shape(power), power.dtype.as_numpy_dtype
    n_bands = sum(block.shape[1] for _, _, block in blocks)
    # Products over all frames: TensorFlow's batched ones take half as long again. In blocks, since
    # most of a filterbank is zero.
    power = tf.reshape(power, [-1, power.shape[2]])
    bands = [power[:, first:end] @ block.astype(dtype) for first, end, block in blocks]
    return tf.reshape(tf.concat(bands, axis=1), [shape[0], shape[1], n_bands])
