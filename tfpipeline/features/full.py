"""The feature set `full`: what the field uses, as statistics over time.

The STFT is that of the usual cepstral front ends of anti-spoofing: frames of 512 samples every 160.
Log spectra are in dB below the clip's loudest cell, with a floor at -80, so that a clip's level is
told by the columns `waveform_*` alone.
"""

from __future__ import annotations

import tensorflow as tf

from tfpipeline.features import level, spectral
from tfpipeline.features.baseline import WAVEFORM_NAMES, waveform_statistics
from tfpipeline.features.cepstra import cepstrum, delta
from tfpipeline.features.feature_set import FeatureSet
from tfpipeline.features.filterbank import filter_blocks, linear_filters
from tfpipeline.features.mel import LogMel, filter_product, power_to_db
from tfpipeline.features.pitch import FRAME_LENGTH, PITCH_NAMES, pitch_statistics
from tfpipeline.features.statistics import STATISTICS, statistic_names, time_statistics

N_FFT, HOP_LENGTH = 512, 160
N_MELS, N_CEPSTRA, N_LINEAR_FILTERS = 80, 20, 20
BANDS_KHZ = tuple(range(9))

CEPSTRA = tuple(
    f"{kind}{order}" for kind in ("mfcc", "lfcc") for order in ("", "_delta", "_delta2")
)
# What is followed over time: group → its series, and the statistics that are taken of each.
SERIES: dict[str, tuple[str, ...]] = {
    "log_mel": tuple(f"log_mel_{band:02d}" for band in range(N_MELS)),
    **{group: tuple(f"{group}_{number:02d}" for number in range(N_CEPSTRA)) for group in CEPSTRA},
    "spectral": (
        *("centroid", "bandwidth", "rolloff", "flatness", "flux"),
        *(f"contrast_{band}" for band in range(spectral.CONTRAST_BANDS + 1)),
    ),
    "level": ("zero_crossings", "rms_db"),
}
KEPT: dict[str, tuple[str, ...]] = dict.fromkeys(SERIES, STATISTICS)
# What is said of the clip as a whole: group → its columns.
WHOLE: dict[str, tuple[str, ...]] = {
    "waveform": (*WAVEFORM_NAMES, "waveform_skew", "waveform_kurtosis"),
    "silence": ("silence_share",),
    "bands": ("high_band_db", *(f"band_{low}_khz_db" for low in BANDS_KHZ[:-1])),
    "pitch": PITCH_NAMES,
}


def build_full(sample_rate: int) -> FeatureSet:
    """Statistics of spectra, cepstra, level and pitch over the clip.

    Each part's reference stands in its own module: `cepstra`, `spectral`, `level`, `pitch`,
    `statistics`.

    Args:
        sample_rate: in Hz, 16,000 or more: the bands of energy reach to 8 kHz.
    Raises:
        ValueError: the sample rate is lower.
    """
    if sample_rate < 2000 * BANDS_KHZ[-1]:
        raise ValueError(
            f"the features full need sample_rate {2000 * BANDS_KHZ[-1]} or more. "
            f"Received: {sample_rate}."
        )
    mel = LogMel(
        sample_rate=sample_rate, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS, ref="max"
    )
    linear = filter_blocks(linear_filters(sample_rate, N_FFT, N_LINEAR_FILTERS))
    names = [
        column for group in SERIES for column in statistic_names(SERIES[group], KEPT[group])
    ] + [column for group in WHOLE for column in WHOLE[group]]

    def compute(waveform: tf.Tensor) -> tf.Tensor:
        power = mel.power_spectrogram(waveform)  # (size, frames, 1 + N_FFT // 2)
        root_mean_square = level.rms(waveform, N_FFT, HOP_LENGTH)
        level_db = level.relative_level(root_mean_square)
        series = _cepstral_series(mel.log_mel(power), power_to_db(filter_product(power, linear)))
        series["spectral"] = _spectral_series(tf.sqrt(power), sample_rate)
        crossings = level.zero_crossing_rate(waveform, N_FFT, HOP_LENGTH)
        series["level"] = tf.stack([crossings, level_db], axis=2)
        whole = {
            "waveform": tf.concat(
                [
                    waveform_statistics(waveform),
                    time_statistics(waveform[:, :, None], ("skew", "kurtosis")),
                ],
                axis=1,
            ),
            "silence": level.silence_share(level_db)[:, None],
            "bands": _band_energies(power, sample_rate),
            "pitch": pitch_statistics(waveform, sample_rate),
        }
        columns = [time_statistics(series[group], KEPT[group]) for group in SERIES if KEPT[group]]
        return tf.concat([*columns, *(whole[group] for group in WHOLE)], axis=1)

    return FeatureSet(tuple(names), compute, 2 * FRAME_LENGTH)


def _cepstral_series(log_mel: tf.Tensor, log_linear: tf.Tensor) -> dict[str, tf.Tensor]:
    series = {"log_mel": log_mel}
    for kind, decibels in (("mfcc", log_mel), ("lfcc", log_linear)):
        coefficients = cepstrum(decibels, N_CEPSTRA)
        series[kind] = coefficients
        series[f"{kind}_delta"] = delta(coefficients, 1)
        series[f"{kind}_delta2"] = delta(coefficients, 2)
    return series


def _spectral_series(magnitude: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """(size, frames, n) in the order of `SERIES["spectral"]`."""
    shapes = [
        spectral.centroid(magnitude, sample_rate),
        spectral.bandwidth(magnitude, sample_rate),
        spectral.rolloff(magnitude, sample_rate),
        spectral.flatness(magnitude),
        spectral.flux(magnitude),
    ]
    contrast = spectral.contrast(magnitude, sample_rate)
    return tf.concat([tf.stack(shapes, axis=2), contrast], axis=2)


def _band_energies(power: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """(size, n) in the order of `WHOLE["bands"]`."""
    edges = [1000.0 * edge for edge in BANDS_KHZ]
    halves = spectral.band_energies(power, sample_rate, (0.0, edges[-1] / 2, edges[-1]))
    return tf.concat([halves[:, 1:], spectral.band_energies(power, sample_rate, edges)], axis=1)
