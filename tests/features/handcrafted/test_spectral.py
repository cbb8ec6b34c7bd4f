"""Shape of the spectrum against librosa on real speech."""

import itertools

import librosa
import numpy as np
import pytest

from tfpipeline.features.handcrafted import spectral

STFT = {"n_fft": 512, "hop_length": 160}


@pytest.fixture(scope="module")
def magnitudes(speech):
    """float32 (6, 401, 257), by librosa; one clip starts in digital silence."""
    clips = speech.copy()
    clips[5, :20_000] = 0
    stft = np.stack([librosa.stft(clip, **STFT) for clip in clips])
    return np.abs(stft).transpose(0, 2, 1).astype("float32")


def by_clip(function, magnitudes, **settings):
    """librosa, one clip a call: (clips, n, frames) → (clips, frames, n)."""
    return np.stack([function(S=clip.T, **settings) for clip in magnitudes]).transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance"),
    [
        (spectral.centroid, librosa.feature.spectral_centroid, 0.05),  # Hz
        (spectral.bandwidth, librosa.feature.spectral_bandwidth, 0.05),  # Hz
        (spectral.contrast, librosa.feature.spectral_contrast, 1e-3),  # dB
    ],
)
def test_equals_librosa(magnitudes, ours, theirs, tolerance):
    received = ours(magnitudes, 16_000).numpy()
    expected = by_clip(theirs, magnitudes, sr=16_000)
    np.testing.assert_allclose(received, expected.reshape(received.shape), rtol=0, atol=tolerance)


def test_flatness_equals_librosa(magnitudes):
    expected = by_clip(librosa.feature.spectral_flatness, magnitudes)[..., 0]
    np.testing.assert_allclose(spectral.flatness(magnitudes), expected, rtol=1e-4)
    np.testing.assert_allclose(expected[5, :100], 1, rtol=1e-6)


def test_rolloff_equals_librosa(magnitudes):
    received = spectral.rolloff(magnitudes, 16_000).numpy()
    expected = by_clip(librosa.feature.spectral_rolloff, magnitudes, sr=16_000)[..., 0]
    # A sum on the very threshold may round to either side: a bin is 31.25 Hz.
    assert np.abs(received - expected).max() <= 31.25
    assert np.mean(received != expected) < 1e-3


def test_flux_equals_numpy(magnitudes):
    received = spectral.flux(magnitudes).numpy()
    length = np.linalg.norm(magnitudes.astype("float64"), axis=2, keepdims=True)
    shape = magnitudes / np.where(length == 0, 1, length)
    expected = np.linalg.norm(np.diff(shape, axis=1), axis=2)
    np.testing.assert_array_equal(received[:, 0], 0)
    np.testing.assert_allclose(received[:, 1:], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("edges", [(0, 4000, 8000), tuple(range(0, 8001, 1000)), (0, 8000)])
def test_band_energies_equal_numpy(magnitudes, edges):
    power = magnitudes**2
    received = spectral.band_energies(power, 16_000, edges).numpy()
    frequencies = np.arange(257) * 16_000 / 512
    spectrum = power.astype("float64").sum(axis=1)
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        held = (frequencies >= low) & ((frequencies < high) | (high == 8000))
        expected = 10 * np.log10(spectrum[:, held].sum(axis=1) / spectrum.sum(axis=1))
        np.testing.assert_allclose(received[:, place], expected, atol=1e-3)  # dB
    shares = (10 ** (received / 10)).sum(axis=1)
    np.testing.assert_allclose(shares, 1, rtol=1e-4)
