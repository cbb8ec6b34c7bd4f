"""RawBoost against the published algorithm in NumPy and SciPy."""

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from tfpipeline.features import rawboost

SEED = tf.constant([7, 11], tf.int64)


def leveled(y, x):
    return y * np.sqrt(np.mean(x**2) / np.mean(y**2))


def cascade(low, high, taps):
    """The filter of the authors' program for given draws: its taps, the highest gain 1."""
    b = np.ones(1)
    for f1, f2, number in zip(low, high, taps, strict=True):
        edges = [float(f1), float(f2)]
        b = np.convolve(scipy.signal.firwin(int(number), edges, window="hamming", fs=16_000), b)
    return b / np.abs(scipy.signal.freqz(b)[1]).max()


def without_delay(x, b):
    return scipy.signal.fftconvolve(x, b)[len(b) // 2 :][: len(x)]


def test_band_stops_are_those_of_scipy():
    low, high = np.array([[400.0, 1e-3, 7000.0]]), np.array([[900.0, 80.0, 7999.999]])
    taps = np.array([[11.0, 57.0, 101.0]])
    found = rawboost.band_stops(*(tf.constant(own, tf.float32) for own in (low, high, taps)))
    for n in range(3):
        edges = [low[0, n], high[0, n]]
        expected = scipy.signal.firwin(int(taps[0, n]), edges, window="hamming", fs=16_000)
        reach = len(expected) // 2
        middle = rawboost.GRID // 2
        row = found.numpy()[0, n]
        np.testing.assert_allclose(row[middle - reach : middle + reach + 1], expected, atol=2e-6)
        assert not row[: middle - reach].any()
        assert not row[middle + reach + 1 :].any()


def test_draws_lie_in_the_published_ranges():
    low, high, taps = (own.numpy() for own in rawboost.stop_bands(500, SEED))
    assert low.min() >= 1e-3
    assert high.max() <= 8000
    width = (high - low)[(low > 1) & (high < 7999)]
    assert 100 <= width.min() < 110
    assert 990 < width.max() <= 1000
    assert set(taps.ravel()) <= set(range(11, 102, 2))
    assert len(set(taps.ravel())) > 40


def test_convolutive_noise_is_that_of_the_authors_program(speech):
    y = rawboost.convolutive_noise(tf.constant(speech), SEED).numpy()
    seeds = tf.random.split(SEED, 10)
    for row in range(2):
        x, total = speech[row].astype(np.float64), 0.0
        for power in range(5):
            low, high, taps = rawboost.stop_bands(len(speech), seeds[2 * power + 1])
            bounds = (-20.0, -5.0) if power else (0.0, 0.0)
            gain_db = rawboost.draw(tf.constant(speech), bounds, seeds[2 * power]).numpy()[row, 0]
            filters = (own.numpy()[row] for own in (low, high, taps))
            total = total + without_delay(
                x ** (power + 1), 10 ** (gain_db / 20) * cascade(*filters)
            )
        expected = leveled(total - total.mean(), x)
        np.testing.assert_allclose(y[row], expected, atol=2e-3 * np.abs(expected).max())


def test_impulses_are_in_proportion_to_the_signal(speech):
    y = rawboost.impulsive_noise(tf.constant(speech), SEED).numpy()
    loud = np.abs(speech) > 1e-3
    for x, changed, where in zip(speech, y, loud, strict=True):
        ratio = changed[where] / x[where]
        level = np.median(ratio)  # all samples were brought back to the level together
        touched = np.abs(ratio / level - 1) > 1e-4
        assert touched.mean() <= 0.1
        assert np.all(np.abs(ratio / level - 1) <= 2.0)
        # The product of two uniform numbers: half of them below .19, by - t log t + t = .5.
        assert np.median(np.abs(ratio[touched] / level - 1)) == pytest.approx(2 * 0.187, rel=0.1)


def test_stationary_noise_has_a_ratio_within_its_range(speech):
    many = tf.repeat(tf.constant(speech), 10, axis=0)
    noise = rawboost.stationary_noise(many, SEED).numpy() - many.numpy()
    ratio = 10 * np.log10(np.mean(many.numpy() ** 2, axis=1) / np.mean(noise**2, axis=1))
    assert 9.9 <= ratio.min() < 14
    assert 36 < ratio.max() <= 40.1
    # Its spectrum is that of its filter.
    low, high, taps = rawboost.stop_bands(len(noise), tf.random.split(SEED, 3)[1])
    frequency, power = scipy.signal.welch(noise[:5], 16_000, nperseg=1024)
    for row in range(5):
        b = cascade(*(own.numpy()[row] for own in (low, high, taps)))
        response = np.abs(scipy.signal.freqz(b, worN=frequency, fs=16_000)[1]) ** 2
        inside = response > 0.1
        found = power[row, inside] / response[inside]
        assert np.std(np.log(found)) < 0.35
