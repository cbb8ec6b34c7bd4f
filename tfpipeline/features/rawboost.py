"""RawBoost: convolutive, impulsive and stationary noise that needs no recordings.

With the settings that were published for ASVspoof 2021. Filters are cascades of random band-stop
filters of random lengths, without delay. What differs from the authors' program: how many samples
get an impulse follows a binomial law, not its mean; and waveforms are brought back to the level
that they had, where there a peak beyond full scale alone is brought down.

Reference: Tak et al. (2022), "RawBoost: a raw data boosting and augmentation method applied to
automatic speaker verification anti-spoofing", arXiv:2111.04433.
"""

from __future__ import annotations

import math

import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.features.distortions import (
    TINY,
    draw,
    mix_at,
    rms,
    transform_length,
)

POWERS = 5  # of the signal, the first of which is the signal itself
STOP_BANDS = 5
CENTER_HZ, WIDTH_HZ = (20.0, 8000.0), (100.0, 1000.0)
FEWEST_TAPS, MOST_TAPS = 11, 101  # odd
POWER_GAIN_DB = (-20.0, -5.0)  # of the filters of the higher powers
MOST_IMPULSES = 0.1  # of the samples
IMPULSE_GAIN = 2.0
STATIONARY_SNR_DB = (10.0, 40.0)
GRID = 1024  # of a cascade's frequency response, more than its 501 taps


def convolutive_noise(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds up powers 1 … 5 of each waveform, each through its own random filter.

    Args:
        waveform: float32 (batch, samples).
        seed: of the draws.
    """
    seeds = tf.random.split(seed, 2 * POWERS)
    samples = tf.shape(waveform)[1]
    length = [transform_length(samples + GRID)]
    spectrum, power = 0.0, 1.0
    for number in range(POWERS):
        power = power * waveform
        gain_db = POWER_GAIN_DB if number else (0.0, 0.0)
        gain = 10.0 ** (draw(waveform, gain_db, seeds[2 * number]) / 20)
        taps = gain * notch_filters(tf.shape(waveform)[0], seeds[2 * number + 1])
        spectrum += tf.signal.rfft(power, length) * tf.signal.rfft(taps, length)
    mixed = _without_delay(spectrum, length, samples)
    mixed -= tf.reduce_mean(mixed, axis=1, keepdims=True)
    return _leveled(mixed, waveform)


def impulsive_noise(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds to up to a tenth of the samples up to twice themselves, of either sign.

    Args:
        waveform: float32 (batch, samples).
        seed: of the draws.
    """
    seeds = tf.random.split(seed, 2)
    share = draw(waveform, (0.0, MOST_IMPULSES), seeds[0])
    drawn = tf.random.stateless_uniform([3, *tf.unstack(tf.shape(waveform))], seeds[1])
    factor = IMPULSE_GAIN * (2 * drawn[0] - 1) * (2 * drawn[1] - 1)
    return _leveled(waveform * (1 + tf.where(drawn[2] < share, factor, 0.0)), waveform)


def stationary_noise(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds Gaussian noise through a random filter, 10 to 40 dB below the waveform.

    Args:
        waveform: float32 (batch, samples).
        seed: of the draws.
    """
    seeds = tf.random.split(seed, 3)
    samples = tf.shape(waveform)[1]
    length = [transform_length(samples + GRID)]
    noise = tf.random.stateless_normal(tf.shape(waveform), seeds[0])
    taps = notch_filters(tf.shape(waveform)[0], seeds[1])
    spectrum = tf.signal.rfft(noise, length) * tf.signal.rfft(taps, length)
    noise = _without_delay(spectrum, length, samples)
    return mix_at(waveform, noise, draw(waveform, STATIONARY_SNR_DB, seeds[2]))


def notch_filters(batch: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Cascades of band-stop filters, the highest gain of each 1.

    Args:
        batch: how many.
        seed: of the draws.
    Returns:
        float32 (batch, GRID), the taps, symmetric about the one in the middle.
    """
    taps = tf.reduce_prod(tf.signal.rfft(band_stops(*stop_bands(batch, seed))), axis=1)
    response = tf.abs(taps)
    highest = tf.reduce_max(response, axis=1, keepdims=True)
    # A cascade of an odd number of filters is symmetric about an odd multiple of their middle.
    middle = STOP_BANDS * (GRID // 2) % GRID
    cascade = tf.signal.irfft(taps / tf.cast(highest + TINY, tf.complex64))
    return tf.roll(cascade, GRID // 2 - middle, axis=1)


def stop_bands(batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Random edges in Hz and numbers of taps; each float32 (batch, STOP_BANDS)."""
    drawn = tf.random.stateless_uniform([3, batch, STOP_BANDS], seed)
    center = CENTER_HZ[0] + (CENTER_HZ[1] - CENTER_HZ[0]) * drawn[0]
    width = WIDTH_HZ[0] + (WIDTH_HZ[1] - WIDTH_HZ[0]) * drawn[1]
    low = tf.maximum(center - width / 2, 1e-3)
    high = tf.minimum(center + width / 2, SAMPLE_RATE / 2 - 1e-3)
    taps = 2 * tf.floor((FEWEST_TAPS + (MOST_TAPS - FEWEST_TAPS) * drawn[2]) / 2) + 1
    return low, high, taps


def band_stops(low: tf.Tensor, high: tf.Tensor, taps: tf.Tensor) -> tf.Tensor:
    """Band-stop filters by the window method, with a Hamming window and gain 1 at 0 Hz.

    Args:
        low, high: edges in Hz, float32 (batch, n).
        taps: odd numbers, float32 (batch, n).
    Returns:
        float32 (batch, n, GRID), the taps about the one in the middle.
    """
    place = tf.range(GRID, dtype=tf.float32) - GRID // 2  # (GRID,)
    edges = [own[..., None] * (2 / SAMPLE_RATE) for own in (low, high)]
    ideal = tf.cast(place == 0, tf.float32) - _sinc(edges[1], place) + _sinc(edges[0], place)
    reach = (taps[..., None] - 1) / 2
    window = 0.54 + 0.46 * tf.cos(math.pi * place / reach)
    cut = tf.where(tf.abs(place) <= reach, ideal * window, 0.0)
    return cut / tf.reduce_sum(cut, axis=-1, keepdims=True)


def _sinc(edge: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """Taps of the ideal low-pass at `edge`, in units of half the sample rate."""
    angle = math.pi * place
    return tf.where(place == 0, edge, tf.sin(edge * angle) / tf.where(place == 0, 1.0, angle))


def _without_delay(spectrum: tf.Tensor, length: list, samples: tf.Tensor) -> tf.Tensor:
    middle = GRID // 2
    return tf.signal.irfft(spectrum, length)[:, middle : middle + samples]


def _leveled(changed: tf.Tensor, waveform: tf.Tensor) -> tf.Tensor:
    """The waveform that was changed, at the level that it had."""
    return changed * rms(waveform) / (rms(changed) + TINY)
