import numpy as np
import pytest
import scipy.signal
import soxr
import tensorflow as tf
from scipy.signal import firwin

from tfpipeline.data.audio import SAMPLE_RATE, SOURCE_RATES
from tfpipeline.data.audio.resample import PolyphaseBlocks, SoxrBlocks, block_resampler, resample
from tfpipeline.data.pipeline import stretch


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
        received = resample(source[None], rate, SAMPLE_RATE).numpy()[0]
        assert len(received) == -(-len(source) * SAMPLE_RATE // rate)
        length = min(len(received), len(expected))
        band = min(7000.0, 0.4375 * rate)
        assert error_db(received[:length], expected[:length], band) < -50


@pytest.mark.parametrize("rate", [8_000, 11_025, 24_000, 44_100])
@pytest.mark.parametrize("samples", [1, 2, 440, 441, 442, 881, 882, 883])
def test_awkward_lengths_are_the_start_of_longer_ones(rate, samples, speech):
    clip = np.zeros(samples, np.float32)
    clip[:] = speech[0, 9000 : 9000 + samples]
    received = resample(clip[None], rate, SAMPLE_RATE).numpy()[0]
    assert len(received) == -(-samples * SAMPLE_RATE // rate)
    longer = resample(np.pad(clip, (0, 5000))[None], rate, SAMPLE_RATE).numpy()[0]
    np.testing.assert_allclose(received, longer[: len(received)], atol=1e-6)


def test_nothing_above_the_new_nyquist_comes_through():
    time = np.arange(48_000) / 48_000
    tone = np.sin(2 * np.pi * 9_000 * time).astype(np.float32)
    received = resample(tone[None], 48_000, SAMPLE_RATE).numpy()[0, 500:-500]
    assert np.abs(received).max() < 1e-4


def test_a_constant_stays_what_it_is():
    received = resample(tf.ones([1, 44_100]), 44_100, SAMPLE_RATE).numpy()[0, 500:-500]
    np.testing.assert_allclose(received, 1.0, atol=1e-4)


def test_the_same_rate_is_the_identity(speech):
    np.testing.assert_array_equal(resample(speech[:2], 16_000, 16_000), speech[:2])
    stream = block_resampler(16_000)
    np.testing.assert_array_equal(np.append(stream.add(speech[0]), stream.end()), speech[0])


@pytest.mark.parametrize("rate", [rate for rate in SOURCE_RATES if rate != 16_000])
def test_blocks_are_the_graphs_filter_at_any_cut(rate):
    random = np.random.default_rng(rate)
    for samples in (1, rate // 100 - 1, rate // 100, rate // 100 + 1, rate // 3):
        sound = random.standard_normal(samples).astype(np.float32)
        cuts = np.sort(random.integers(0, samples + 1, 7))
        stream = PolyphaseBlocks(rate)
        pieces = [stream.add(block) for block in np.split(sound, cuts)]
        received = np.concatenate([*pieces, stream.end()])
        expected = resample(sound[None], rate, 16_000).numpy()[0]
        assert len(received) == len(expected)
        np.testing.assert_allclose(received, expected, atol=5e-6)


@pytest.mark.parametrize("rate", [5, 7_350, 37_800, 64_000, 384_000])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_soxr_blocks_have_the_graphs_length_and_no_seam(rate, extra):
    assert isinstance(block_resampler(rate), SoxrBlocks)
    sound = np.random.default_rng(0).standard_normal(rate // 2 + extra).astype(np.float32)
    stream = SoxrBlocks(rate)
    pieces = [stream.add(block) for block in np.array_split(sound, 9)]
    received = np.concatenate([*pieces, stream.end()])
    assert len(received) == -(-len(sound) * 16_000 // rate)
    expected = soxr.resample(sound, rate, 16_000)[: len(received)]
    np.testing.assert_allclose(received[: len(expected)], expected, atol=2e-5)


@pytest.mark.parametrize("samples", [29_001, 31_999, 32_000, 32_001, 35_000])
def test_stretching_equals_scipy(samples, speech):
    crop = speech[0, 8000:40_000]
    expected = scipy.signal.resample(crop.astype(np.float64), samples)
    np.testing.assert_allclose(stretch(tf.constant(crop), samples), expected, atol=1e-4)


def test_stretching_moves_a_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(17_600) / 16_000).astype(np.float32)
    faster = stretch(tf.constant(tone), 16_000).numpy()
    assert np.argmax(np.abs(np.fft.rfft(faster))) == 1100
