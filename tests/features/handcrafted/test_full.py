"""The columns of `all` and `selected` are what their names say, by librosa and SciPy."""

import librosa
import numpy as np
import pytest
import scipy.stats

from tfpipeline.features.handcrafted.layer import HandcraftedFeatures

STFT = {"n_fft": 512, "hop_length": 160}
STATISTICS = {
    "mean": np.mean,
    "std": np.std,
    "skew": scipy.stats.skew,
    "kurtosis": scipy.stats.kurtosis,
    "q50": lambda row: np.quantile(row, 0.5, method="lower"),
}


@pytest.fixture(scope="module")
def all_columns(speech):
    layer = HandcraftedFeatures("all")
    return dict(zip(layer.names, layer(speech).numpy().T, strict=True))


def librosa_series(clip):
    """Name of a series → its values over time."""
    magnitude = np.abs(librosa.stft(clip, **STFT))
    mel = librosa.feature.melspectrogram(y=clip, sr=16_000, n_mels=80, **STFT)
    decibels = librosa.power_to_db(mel, ref=np.max)
    mfcc = librosa.feature.mfcc(S=decibels, n_mfcc=20)
    contrast = librosa.feature.spectral_contrast(S=magnitude, sr=16_000)
    rms = librosa.feature.rms(y=clip, frame_length=512, hop_length=160)[0]
    crossings = librosa.feature.zero_crossing_rate(clip, frame_length=512, hop_length=160)[0]
    return {
        "log_mel_11": decibels[11],
        "mfcc_00": mfcc[0],
        "mfcc_13": mfcc[13],
        "mfcc_delta_07": librosa.feature.delta(mfcc)[7],
        "mfcc_delta2_19": librosa.feature.delta(mfcc, order=2)[19],
        "centroid": librosa.feature.spectral_centroid(S=magnitude, sr=16_000)[0],
        "bandwidth": librosa.feature.spectral_bandwidth(S=magnitude, sr=16_000)[0],
        "flatness": librosa.feature.spectral_flatness(S=magnitude)[0],
        "contrast_0": contrast[0],
        "contrast_6": contrast[6],
        "zero_crossings": crossings,
        "rms_db": librosa.amplitude_to_db(rms, ref=np.max, top_db=None),
    }


def test_columns_equal_librosa_and_scipy(speech, all_columns):
    for number, clip in enumerate(speech):
        for series, values in librosa_series(clip).items():
            for name, statistic in STATISTICS.items():
                received = all_columns[f"{series}_{name}"][number]
                # 0.01 dB or Hz, and shapes to a thousandth
                assert received == pytest.approx(statistic(values), rel=1e-3, abs=0.01), series


def test_columns_of_the_whole_clip_equal_numpy(speech, all_columns):
    for number, clip in enumerate(speech):
        power = (np.abs(librosa.stft(clip, **STFT)) ** 2).sum(axis=1)
        frequencies = librosa.fft_frequencies(sr=16_000, n_fft=512)
        third = power[(frequencies >= 3000) & (frequencies < 4000)].sum() / power.sum()
        high = power[frequencies >= 4000].sum() / power.sum()
        expected = {
            "waveform_max": clip.max(),
            "waveform_kurtosis": scipy.stats.kurtosis(clip.astype("float64")),
            "band_3_khz_db": 10 * np.log10(third),
            "high_band_db": 10 * np.log10(high),
        }
        for name, value in expected.items():
            assert all_columns[name][number] == pytest.approx(value, rel=1e-3), name


def test_selected_is_a_selection_of_all(speech, all_columns):
    layer = HandcraftedFeatures("selected")
    assert set(layer.names) < set(all_columns)
    received = layer(speech).numpy()
    expected = np.stack([all_columns[name] for name in layer.names], axis=1)
    # One STFT is in float32, the other in float64.
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-3)


def test_all_needs_16_khz():
    with pytest.raises(ValueError, match=r"need sample_rate 16000 or more\. Received: 8000"):
        HandcraftedFeatures("all", sample_rate=8000)
    assert HandcraftedFeatures("selected", sample_rate=8000).min_samples == 2048
