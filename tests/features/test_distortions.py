"""Each distortion against what NumPy and SciPy say of its result."""

import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from tfpipeline.config import AugmentConfig
from tfpipeline.data.audio.g711 import a_law, mu_law
from tfpipeline.features import augment, distortions
from tfpipeline.features.augment import distortion_functions

SEED = tf.constant([7, 11], tf.int64)
CONFIG = AugmentConfig(noise_folder="none is read")
NAMES = list(distortion_functions(CONFIG))


@pytest.fixture(autouse=True)
def recordings_in_memory(monkeypatch):
    noise = np.random.default_rng(3).integers(-3000, 3000, 5000).astype(np.int16)
    monkeypatch.setattr(augment, "noise_recordings", lambda folder: tf.constant(noise))


def distorted(name, waveform, seed=SEED):
    return distortion_functions(CONFIG)[name](tf.constant(waveform, tf.float32), seed).numpy()


def power_db(x):
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64), axis=1))


def white(batch, samples):
    return np.random.default_rng(0).normal(0, 0.1, (batch, samples)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_awkward_lengths_single_clips_and_seeds(name):
    for batch, samples in ((1, 16_000), (3, 4099), (2, 801), (1, 63_999)):
        x = white(batch, samples)
        y = distorted(name, x)
        assert y.shape == x.shape
        assert y.dtype == np.float32
        assert np.isfinite(y).all()
        assert not np.array_equal(x, y)
    np.testing.assert_array_equal(y, distorted(name, x))
    if name != "polarity":
        assert any(not np.array_equal(y, distorted(name, x, SEED + n)) for n in range(1, 9))


@pytest.mark.parametrize("name", NAMES)
def test_silence_stays_silence(name):
    np.testing.assert_allclose(distorted(name, np.zeros((2, 4000))), 0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_does_not_depend_on_its_batch_mates(name, speech):
    one = distorted(name, speech[:4])
    other = np.concatenate([speech[:2], speech[4:6]])
    np.testing.assert_allclose(distorted(name, other)[:2], one[:2], atol=1e-4)


@pytest.mark.parametrize("color", [0.0, 1.0, 2.0])
def test_noise_has_its_ratio_and_its_color(speech, color):
    noisy = distortions.add_colored_noise(speech, (12.0, 12.0), (color, color), SEED).numpy()
    noise = noisy - speech
    np.testing.assert_allclose(power_db(speech) - power_db(noise), 12.0, atol=0.01)
    frequency, power = scipy.signal.welch(noise, 16_000, nperseg=4096)
    inside = (frequency > 100) & (frequency < 7000)
    slope = np.polyfit(np.log10(frequency[inside]), np.log10(power.mean(0)[inside]), 1)[0]
    assert slope == pytest.approx(-color, abs=0.1)


def test_recorded_noise_has_its_ratio_and_wraps_round(speech):
    recording = np.arange(-50, 50, dtype=np.int16) * 100
    added = augment.add_recorded_noise(speech, tf.constant(recording), (6.0, 6.0), SEED).numpy()
    noise = added - speech
    np.testing.assert_allclose(power_db(speech) - power_db(noise), 6.0, atol=0.01)
    for row in noise:  # the recording over and over
        again = row / np.abs(row).max() * 5000
        begin = int(np.argmin(again[:100]))
        np.testing.assert_allclose(again[begin : begin + 100], recording, atol=3)


def test_a_room_is_a_convolution_whose_direct_sound_stays_in_time(speech):
    wet = distortions.reverberate(speech, (0.4, 0.4), SEED).numpy()
    response = distortions.room_responses(tf.constant(speech), (0.4, 0.4), SEED).numpy()
    assert np.all(response[:, 0] == 1)
    for x, y, taps in zip(speech, wet, response, strict=True):
        full = scipy.signal.fftconvolve(x.astype(np.float64), taps)[: len(x)]
        full *= np.sqrt(np.mean(x**2) / np.mean(full**2))
        np.testing.assert_allclose(y, full, atol=1e-4)
    direct = 10 * np.log10(1 / np.sum(response[:, 1:].astype(np.float64) ** 2, axis=1))
    assert np.all((direct >= -0.01) & (direct <= 12.01))
    np.testing.assert_allclose(power_db(wet), power_db(speech), atol=0.01)


def test_a_room_decays_by_60_db_in_its_reverberation_time():
    many = np.zeros((200, 10), np.float32)
    response = distortions.room_responses(many, (0.5, 0.5), SEED).numpy()
    response /= np.sqrt(np.sum(response[:, 1:] ** 2, axis=1, keepdims=True))
    time = np.arange(response.shape[1]) / 16_000
    level = 10 * np.log10(np.mean(response**2, axis=0) + 1e-20)
    late = (time > 0.06) & (time < 0.4)  # behind the reflections
    slope = np.polyfit(time[late], level[late], 1)[0]  # dB a second
    assert -60 / slope == pytest.approx(0.5, rel=0.03)


def gain_at(x, y, frequency):
    """In dB, of the tones at `frequency` in two waveforms."""
    probe = np.exp(-2j * np.pi * frequency / 16_000 * np.arange(len(x)))
    return 20 * np.log10(np.abs(y @ probe) / np.abs(x @ probe))


def test_band_limits_lie_at_the_cutoffs():
    time = np.arange(16_000) / 16_000
    x = sum(np.sin(2 * np.pi * f * time) for f in (100.0, 1000.0, 4000.0)).astype(np.float32)
    # Cosine edges, so that nothing rings at the ends.
    x *= scipy.signal.windows.tukey(len(x), 0.3)
    many = np.tile(x, (60, 1))
    y = distortions.limit_band(many, (4000.0, 4000.0), (100.0, 100.0), SEED).numpy()
    edges = np.array([[gain_at(x, row, f) for f in (100.0, 1000.0, 4000.0)] for row in y])
    np.testing.assert_allclose(edges[:, 1], 0, atol=0.1)
    low, high = (np.abs(edges[:, k] + 3.01) < 0.2 for k in (0, 2))
    assert np.all(low | (np.abs(edges[:, 0]) < 0.2))
    assert np.all(high | (np.abs(edges[:, 2]) < 0.2))
    assert np.all(low | high)
    for kind in (low & ~high, high & ~low, low & high):
        assert 8 < kind.sum() < 35


def test_resampling_takes_away_what_the_lower_rate_cannot_hold(speech):
    x = np.tile(white(1, 32_000), (40, 1))
    y = distortions.resample_chain(x, (8000.0, 8000.0), SEED).numpy()
    frequency, power = scipy.signal.welch(y, 16_000, nperseg=1024)
    above = power[:, frequency > 4300].mean(1) / power[:, frequency < 3000].mean(1)
    good = above < 1e-6
    assert 10 < good.sum() < 30
    assert np.all(above[~good] > 1e-2)  # images
    # Linear interpolation to every other sample and back.
    lower = np.interp(np.arange(0, 32_000, 2), np.arange(32_000), x[0])
    expected = np.interp(np.arange(31_990) / 2, np.arange(16_000), lower)
    np.testing.assert_allclose(y[~good][0][:31_990], expected, atol=1e-5)


def test_the_same_rate_changes_nothing_but_the_highest_frequencies(speech):
    y = distortions.resample_chain(speech, (16_000.0, 16_000.0), SEED).numpy()
    _, difference = scipy.signal.welch(y - speech, 16_000, nperseg=1024)
    assert np.all(difference[:, :440] < 1e-9)  # below 6.9 kHz


def test_a_telephone_passes_its_band_and_the_error_is_that_of_8_bits(speech):
    y = distortions.telephone(speech, SEED).numpy()
    frequency, power = scipy.signal.welch(y, 16_000, nperseg=1024)
    _, before = scipy.signal.welch(speech, 16_000, nperseg=1024)
    gain = 10 * np.log10(power / before)
    passed = (frequency > 500) & (frequency < 3000)
    assert np.median(np.abs(gain[:, passed])) < 1
    assert np.all(power[:, frequency > 4100].max(1) < 1e-3 * power.max(1))
    # G.711 has 37 dB of signal above its error over most of its range.
    band = scipy.signal.butter(8, [400, 3000], "bandpass", fs=16_000, output="sos")
    both = [scipy.signal.sosfiltfilt(band, own) for own in (speech, y)]
    assert np.all(power_db(both[0]) - power_db(both[1] - both[0]) > 25)


def test_g711_in_the_graph_is_that_of_the_tables():
    steps = np.arange(-32768, 32768)
    x = tf.constant(np.stack([steps, steps]) / 32768, tf.float32)
    y = distortions.through_g711(x, tf.constant([[True], [False]])).numpy() * 32768
    np.testing.assert_array_equal(y, [mu_law(steps), a_law(steps)])
    loud = distortions.through_g711(tf.constant([[3.0, -3.0]]), tf.constant([[True]])).numpy()
    np.testing.assert_array_equal(loud * 32768, [[32124, -32124]])


def test_clipping_cuts_at_its_level(speech):
    y = distortions.clip(speech, (6.0, 6.0), SEED).numpy()
    limit = np.abs(speech).max(1, keepdims=True) * 10 ** (-6 / 20)
    np.testing.assert_allclose(y, np.clip(speech, -limit, limit), atol=1e-7)


def test_an_offset_is_one_constant(speech):
    added = distortions.offset(speech, SEED).numpy() - speech
    np.testing.assert_allclose(added, np.tile(added[:, :1], (1, added.shape[1])), atol=1e-6)
    assert np.all(np.abs(added) <= 0.1 + 1e-6)
    assert len(np.unique(np.round(added[:, 0], 4))) == len(speech)


def test_a_share_is_changed_and_the_rest_is_left_alone(speech):
    many = np.tile(speech[:, :400], (200, 1))
    halved = distortions.to_share(many, lambda x, seed: x / 2, 0.3, SEED).numpy()
    touched = np.any(halved != many, axis=1)
    np.testing.assert_array_equal(halved, np.where(touched[:, None], many / 2, many))
    assert abs(touched.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 1200)
    np.testing.assert_array_equal(
        distortions.to_share(many, lambda x, seed: -x, 0.5, SEED, lambda x, seed: -x), -many
    )
