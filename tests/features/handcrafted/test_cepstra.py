"""Cepstra and deltas against librosa and SciPy on real speech."""

import librosa
import numpy as np
import pytest
import scipy.fft
import tensorflow as tf

from tfpipeline.features.decibels import power_to_db
from tfpipeline.features.filterbank import filter_blocks, filter_product, linear_filters
from tfpipeline.features.handcrafted.spectral import cepstrum, delta
from tfpipeline.features.mel import LogMel

STFT = {"n_fft": 512, "hop_length": 160}


@pytest.fixture(scope="module")
def mfcc(speech):
    mel = LogMel(**STFT, n_mels=80, ref="max")
    return cepstrum(mel(speech), 20).numpy()


def test_mfcc_equal_librosa(speech, mfcc):
    for clip, received in zip(speech, mfcc, strict=True):
        mel = librosa.feature.melspectrogram(y=clip, sr=16_000, n_mels=80, **STFT)
        expected = librosa.feature.mfcc(S=librosa.power_to_db(mel, ref=np.max), n_mfcc=20)
        np.testing.assert_allclose(received.T, expected, rtol=0, atol=0.01)  # dB


def triangle_by_hand(peak, frequencies, n_filters):
    spacing = 8000 / (n_filters + 1)
    corners = [(peak - 1) * spacing, peak * spacing, (peak + 1) * spacing]
    return np.interp(frequencies, corners, [0, 1, 0])


@pytest.mark.parametrize("n_filters", [20, 33])
def test_lfcc_equal_scipy(speech, n_filters):
    power = np.abs(np.stack([librosa.stft(clip, **STFT) for clip in speech])) ** 2
    power = power.transpose(0, 2, 1).astype("float32")  # (clips, frames, bins)
    frequencies = np.arange(257) * 16_000 / 512
    filters = np.stack(
        [triangle_by_hand(peak, frequencies, n_filters) for peak in range(1, n_filters + 1)]
    )
    np.testing.assert_allclose(linear_filters(16_000, 512, n_filters), filters.T, atol=1e-12)

    blocks = filter_blocks(linear_filters(16_000, 512, n_filters))
    received = cepstrum(power_to_db(filter_product(tf.constant(power), blocks)), 20)
    for clip, coefficients in zip(power, received, strict=True):
        decibels = librosa.power_to_db(clip @ filters.T, ref=np.max)
        expected = scipy.fft.dct(decibels, norm="ortho", axis=1)[:, :20]
        np.testing.assert_allclose(coefficients, expected, rtol=0, atol=1e-3)  # dB


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("frames", [9, 10, 401])
def test_deltas_equal_librosa(mfcc, order, frames):
    received = delta(mfcc[:, :frames], order).numpy()
    expected = librosa.feature.delta(mfcc[:, :frames].astype("float64"), order=order, axis=1)
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4)  # dB a frame


def test_blocks_are_the_whole_filterbank(speech):
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=45, fmax=5000).T
    filters[:, 16:32] = 0  # a block of bands without a bin
    for bands in (1, 16, 45, 100):
        blocks = filter_blocks(filters, bands)
        power = np.abs(speech[:2, : 257 * 30].reshape(2, 30, 257))
        received = filter_product(tf.constant(power), blocks)
        np.testing.assert_allclose(received, power @ filters, atol=1e-6)
