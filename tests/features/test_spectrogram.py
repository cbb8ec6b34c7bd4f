import librosa
import numpy as np
import pytest

from tfpipeline.features.spectrogram import FLOOR, HOP, MOST_COLUMNS, N_FFT, N_MELS, LongSpectrogram


def picture(waveform, cuts):
    spectrogram = LongSpectrogram()
    for block in np.split(waveform, cuts):
        spectrogram.add(block)
    return spectrogram.picture()


def test_a_short_clip_is_librosas_mel_spectrogram(speech):
    decibels, seconds = picture(speech[0], [5, 6, 30_000])
    expected = librosa.feature.melspectrogram(
        y=speech[0],
        sr=16_000,
        n_fft=N_FFT,
        hop_length=HOP,
        n_mels=N_MELS,
        window=np.hanning(N_FFT),
        pad_mode="constant",
    ).T
    assert seconds == HOP / 16_000
    assert abs(len(decibels) - len(expected)) <= 1
    shown = min(len(decibels), len(expected)) - 1
    np.testing.assert_allclose(decibels[:shown], 10 * np.log10(expected[:shown] + FLOOR), atol=0.01)


@pytest.mark.parametrize(
    "frames", [1, MOST_COLUMNS - 1, MOST_COLUMNS, MOST_COLUMNS + 1, 2 * MOST_COLUMNS + 3, 9001]
)
def test_columns_are_bounded_and_keep_the_power_in_its_place(frames):
    waveform = 0.001 * np.random.default_rng(0).standard_normal(frames * HOP).astype(np.float32)
    half = len(waveform) // 2
    waveform[half:] *= 100
    decibels, seconds = picture(waveform, [len(waveform) // 3, len(waveform) // 3 + 1])
    assert decibels.shape[1] == N_MELS
    assert len(decibels) <= MOST_COLUMNS
    assert len(decibels) * seconds >= len(waveform) / 16_000
    assert (len(decibels) - 2) * seconds <= len(waveform) / 16_000
    if frames > 100:
        level = decibels.mean(axis=1)
        step = int(np.argmax(level > level.max() - 20))
        assert step * seconds == pytest.approx(half / 16_000, abs=2 * seconds + 0.03)
