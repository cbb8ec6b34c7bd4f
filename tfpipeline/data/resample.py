"""Sample-rate conversion inside the graph: a polyphase windowed-sinc filter in core operations."""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf

# Up to 7/16 of the lower rate passes, 7 kHz at 16 kHz; from half of it on nothing does.
PASSBAND = 7 / 16
STOPBAND_DB = 90.0


def resample(waveform: tf.Tensor, source_rate: int, target_rate: int) -> tf.Tensor:
    """Changes the sample rate without delay.

    With target/source = L/M in lowest terms, each run of M input samples gives L output samples,
    each by its own phase of one low-pass filter: a convolution of stride M with L output channels.

    Args:
        waveform: float32 (samples,).
        source_rate, target_rate: in Hz.
    Returns:
        float32 (ceil(samples * L / M),).
    Reference:
        Smith (1984), "A flexible sampling-rate conversion method"; the layout of the kernel is that
        of torchaudio.functional.resample.
    """
    if source_rate == target_rate:
        return waveform
    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    kernel = polyphase_kernel(up, down)  # (width, up)
    reach = (len(kernel) - down) // 2
    samples = tf.shape(waveform)[0]
    length = -(-samples * up // down)
    blocks = -(-length // up)
    # The last block needs input up to blocks * down + reach.
    padded = tf.pad(waveform, [[reach, blocks * down + reach - samples]])
    phases = tf.nn.conv1d(padded[None, :, None], kernel[:, None, :], stride=down, padding="VALID")
    return tf.reshape(phases, [-1])[:length]  # (blocks * up,) cut to length


def stretch(waveform: tf.Tensor, samples: int) -> tf.Tensor:
    """Plays a waveform faster or slower, pitch and all, so that it has so many samples.

    By the Fourier transform: the band is kept up to the lower of the two rates, and the ends are
    taken to meet. For small changes of crops in training; `resample` is for true conversion.

    Args:
        waveform: float32 (n,).
        samples: length of the result.
    Returns:
        float32 (samples,).
    """
    given = tf.shape(waveform)[0]
    spectrum = tf.signal.rfft(waveform)
    bins = samples // 2 + 1
    spectrum = tf.pad(spectrum, [[0, tf.maximum(0, bins - tf.shape(spectrum)[0])]])[:bins]
    scale = tf.cast(samples, tf.float32) / tf.cast(given, tf.float32)
    return tf.signal.irfft(spectrum, [samples]) * scale


@functools.lru_cache(maxsize=32)
def polyphase_kernel(up: int, down: int) -> np.ndarray:
    """The filter's taps for each output phase.

    Row k of column p is the low-pass impulse response at k - reach - p * down / up input samples: a
    sinc under a Kaiser window whose length follows from the transition band and `STOPBAND_DB`.

    Args:
        up, down: the ratio in lowest terms.
    Returns:
        float32 (2 * reach + down, up).
    """
    from scipy.signal import kaiser_beta, kaiserord

    low = min(1.0, up / down)  # the lower rate, in units of the input rate
    taps, _ = kaiserord(STOPBAND_DB, (0.5 - PASSBAND) * low * 2)
    reach = math.ceil(taps / 2)
    cutoff = (0.5 + PASSBAND) / 2 * low
    times = np.arange(2 * reach + down)[:, None] - reach - np.arange(up)[None, :] * down / up
    inside = np.clip(1 - (times / reach) ** 2, 0, None)
    beta = kaiser_beta(STOPBAND_DB)
    window = np.where(np.abs(times) < reach, np.i0(beta * np.sqrt(inside)) / np.i0(beta), 0.0)
    return (2 * cutoff * np.sinc(2 * cutoff * times) * window).astype(np.float32)
