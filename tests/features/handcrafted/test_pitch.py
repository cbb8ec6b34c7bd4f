"""YIN against librosa's on real speech, and against tones of known pitch."""

import librosa
import numpy as np
import pytest

from tfpipeline.features.handcrafted.pitch import PITCH_NAMES, VOICED, pitch_statistics, yin


def librosa_yin(clip, **settings):
    settings = {"fmin": 65, "fmax": 400, "frame_length": 1024, "hop_length": 320, **settings}
    return librosa.yin(clip.astype("float64"), sr=16_000, **settings)


@pytest.mark.parametrize("samples", [2048, 16_001, 64_000])
def test_voiced_frames_equal_librosa(speech, samples):
    clips = speech[:, 10_000 : 10_000 + samples]
    f0, aperiodicity, power = (part.numpy() for part in yin(clips, 16_000))
    expected = np.stack([librosa_yin(clip) for clip in clips])
    assert f0.shape == expected.shape
    voiced = (aperiodicity < VOICED) & (power > 1e-4 * power.max(axis=1, keepdims=True))
    assert voiced.mean() > 0.2
    cents = 1200 * np.abs(np.log2(f0[voiced] / expected[voiced]))
    assert np.quantile(cents, 0.99) < 1
    # A trough on the very threshold may be taken for one and not for the other.
    assert np.mean(cents > 1) < 0.005


@pytest.mark.parametrize("frequency", [70.0, 110.0, 233.3, 390.0])
def test_a_harmonic_tone_has_its_pitch(frequency):
    seconds = np.arange(32_000) / 16_000
    tone = sum(np.sin(2 * np.pi * k * frequency * seconds) / k for k in range(1, 6))
    tone = 0.1 * tone[None].astype("float32")
    f0, aperiodicity, _ = yin(tone, 16_000)
    np.testing.assert_allclose(f0[0, 3:-3], frequency, rtol=4e-3)  # YIN's own bias
    assert aperiodicity.numpy()[0, 3:-3].max() < 0.15
    values = dict(zip(PITCH_NAMES, pitch_statistics(tone, 16_000).numpy()[0], strict=True))
    assert values["pitch_voiced_share"] > 0.9
    assert values["pitch_log2_q50"] == pytest.approx(np.log2(frequency), abs=0.006)
    assert values["pitch_step_mean"] < 0.01


def test_statistics_are_those_of_the_voiced_frames(speech):
    received = pitch_statistics(speech, 16_000).numpy()
    f0, aperiodicity, power = (part.numpy().astype("float64") for part in yin(speech, 16_000))
    for clip in range(len(speech)):
        loud = power[clip] > 1e-4 * power[clip].max()
        voiced = loud & (aperiodicity[clip] < VOICED)
        pitch = np.log2(f0[clip])
        step = np.abs(np.diff(pitch))[voiced[1:] & voiced[:-1]]
        expected = [
            *(voiced.mean(), pitch[voiced].mean(), pitch[voiced].std()),
            *np.quantile(pitch[voiced], [0.1, 0.5, 0.9], method="lower"),
            *(step.mean(), step.std()),
            *(aperiodicity[clip][loud].mean(), aperiodicity[clip][loud].std()),
        ]
        np.testing.assert_allclose(received[clip], expected, rtol=0, atol=1e-4)


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 32_000)).astype("float32")
    values = dict(zip(PITCH_NAMES, pitch_statistics(noise, 16_000).numpy()[0], strict=True))
    assert values["pitch_voiced_share"] < 0.05
    assert values["pitch_aperiodicity_mean"] > 0.5
    silent = pitch_statistics(np.zeros((1, 32_000), "float32"), 16_000).numpy()
    np.testing.assert_array_equal(silent, 0)
