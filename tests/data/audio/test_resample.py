import numpy as np
import pytest
import scipy.signal
import soxr
import tensorflow as tf
from scipy.signal import firwin

from tfpipeline.data.audio import SAMPLE_RATE, SOURCE_RATES
from tfpipeline.data.audio.resample import resample, stretch


def error_db(received, expected, band_hz):
    """Energy of the difference against the signal's, both limited to a band, in dB."""
    taps = firwin(801, band_hz, fs=SAMPLE_RATE)
    difference, signal = (
        np.convolve(x, taps, mode="valid") for x in (received - expected, expected)
    )
    return 10 * np.log10(np.sum(difference**2) / np.sum(signal**2))


@pytest.mark.parametrize("rate", [rate for rate in SOURCE_RATES if rate != SAMPLE_RATE])
def test_agrees_with_soxr(rate, recordings):
    # Real recordings at 24 kHz; soxr makes the source of them, so no band is lost on the way here.
    for name in ("de_Elli", "en_daniel"):
        source = soxr.resample(recordings[name][:72_000], 24_000, rate, "VHQ")
        expected = soxr.resample(source, rate, SAMPLE_RATE, "VHQ")
        received = resample(tf.constant(source), rate, SAMPLE_RATE).numpy()
        assert len(received) == -(-len(source) * SAMPLE_RATE // rate)
        length = min(len(received), len(expected))
        band = min(7000.0, 0.4375 * rate)
        assert error_db(received[:length], expected[:length], band) < -50


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100])
@pytest.mark.parametrize("samples", [1, 2, 440, 441, 442, 881, 882, 883])
def test_awkward_lengths_are_the_start_of_longer_ones(rate, samples, speech):
    clip = np.zeros(samples, np.float32)
    clip[:] = speech[0, 9000 : 9000 + samples]
    received = resample(tf.constant(clip), rate, SAMPLE_RATE).numpy()
    assert len(received) == -(-samples * SAMPLE_RATE // rate)
    longer = resample(tf.constant(np.pad(clip, (0, 5000))), rate, SAMPLE_RATE).numpy()
    np.testing.assert_allclose(received, longer[: len(received)], atol=1e-6)


def test_nothing_above_the_new_nyquist_comes_through():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 9_000 * time).astype(np.float32)
    received = resample(tf.constant(tone), 48_000, SAMPLE_RATE).numpy()[500:-500]
    assert np.abs(received).max() < 1e-4


def test_a_constant_stays_what_it_is():
    received = resample(tf.ones([44_100]), 44_100, SAMPLE_RATE).numpy()[500:-500]
    np.testing.assert_allclose(received, 1.0, atol=1e-4)


def test_the_same_rate_is_the_identity(speech):
    np.testing.assert_array_equal(resample(tf.constant(speech[0]), 16_000, 16_000), speech[0])


@pytest.mark.parametrize("samples", [29_001, 31_999, 32_000, 32_001, 35_000])
def test_stretching_equals_scipy(samples, speech):
    crop = speech[0, 8000:40_000]
    expected = scipy.signal.resample(crop.astype(np.float64), samples)
    np.testing.assert_allclose(stretch(tf.constant(crop), samples), expected, atol=1e-4)


def test_stretching_moves_a_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(17_600) / 16_000).astype(np.float32)
    faster = stretch(tf.constant(tone), 16_000).numpy()
    assert np.argmax(np.abs(np.fft.rfft(faster))) == 1100
