"""What a set of hand-made features is: named columns, and the function that computes them.

The feature set `baseline`: the 132 features of the published trees.

The feature sets `all`, what the field uses, and `selected`, what of it helped.

The STFT is that of the usual cepstral front ends of anti-spoofing: frames of 512 samples every 160.
Log spectra are in dB below the clip's loudest cell, with a floor at -80, so that a clip's level is
told by the columns `waveform_*` alone.

`selected` was chosen on the demo corpus by HistGradientBoosting, on speakers and on an attack
(WORLD or Griffin-Lim) held out of its training; the test and unseen parts were not touched. It
keeps the shapes of the spectrum with all statistics, and of cepstra the deviations alone. All else
(log-mel bands, contrast, means and quantiles of cepstra, level, energies of bands, pitch) told the
held-out speakers no better, or the held-out attack worse; the share of silence, within the noise,
is left out as a known shortcut. Those were 51 speakers and two vocoders: another corpus may want
`all`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from tfpipeline.features.decibels import power_to_db
from tfpipeline.features.filterbank import filter_blocks, filter_product, linear_filters
from tfpipeline.features.handcrafted import level, spectral
from tfpipeline.features.handcrafted.pitch import PITCH_NAMES, pitch_statistics
from tfpipeline.features.handcrafted.spectral import cepstrum, delta
from tfpipeline.features.handcrafted.statistics import STATISTICS, statistic_names, time_statistics
from tfpipeline.features.mel import LogMel


@dataclass(frozen=True)
class FeatureSet:
    """A set of features for one sample rate.

    Attributes:
        names: of the columns.
        compute: float32 (size, samples) → float32 (size, columns), each row from its own clip.
        min_samples: the shortest clip, in samples.
    """

    names: tuple[str, ...]
    compute: Callable[[tf.Tensor], tf.Tensor]
    min_samples: int


WAVEFORM_NAMES = tuple(f"waveform_{statistic}" for statistic in ("mean", "std", "min", "max"))


def waveform_statistics(waveform: tf.Tensor) -> tf.Tensor:
    """Mean, deviation, least and greatest sample: (size, samples) → (size, 4)."""
    reduce = (tf.reduce_mean, tf.math.reduce_std, tf.reduce_min, tf.reduce_max)
    return tf.stack([statistic(waveform, axis=1) for statistic in reduce], axis=1)


def build_baseline(sample_rate: int) -> FeatureSet:
    """The 132 features of the published baseline.

    Mean, deviation, least and greatest sample of the waveform, and the mean over time of each of
    128 mel bands in dB below the loudest cell.

    Reference:
        librosa 0.11: `power_to_db(feature.melspectrogram(y=y, sr=sr), ref=np.max).mean(axis=1)`,
        all else by default (n_fft 2048, hop 512, centred in zeros, Slaney's mel, top_db 80).
    """
    mel = LogMel(sample_rate=sample_rate, ref="max")
    names = [*WAVEFORM_NAMES, *(f"mel_{band:03d}_mean" for band in range(mel.n_mels))]

    def compute(waveform: tf.Tensor) -> tf.Tensor:
        decibels = mel.log_mel(mel.power_spectrogram(waveform))  # (size, frames, n_mels)
        bands = tf.reduce_mean(decibels, axis=1)
        return tf.concat([waveform_statistics(waveform), bands], axis=1)

    return FeatureSet(tuple(names), compute, mel.n_fft)


N_FFT, HOP_LENGTH = 512, 160
N_MELS, N_CEPSTRA, N_LINEAR_FILTERS = 80, 20, 20
BANDS_KHZ = tuple(range(9))
# Nine frames, which the deltas need, and two of the pitch's.
MIN_SAMPLES = 2048

CEPSTRA = tuple(
    f"{kind}{order}" for kind in ("mfcc", "lfcc") for order in ("", "_delta", "_delta2")
)
# What is followed over time: group → its series.
SERIES: dict[str, tuple[str, ...]] = {
    "spectral": ("centroid", "bandwidth", "rolloff", "flatness", "flux"),
    **{group: tuple(f"{group}_{number:02d}" for number in range(N_CEPSTRA)) for group in CEPSTRA},
    "log_mel": tuple(f"log_mel_{band:02d}" for band in range(N_MELS)),
    "contrast": tuple(f"contrast_{band}" for band in range(spectral.CONTRAST_BANDS + 1)),
    "level": ("zero_crossings", "rms_db"),
}
# What is said of the clip as a whole: group → its columns.
WHOLE: dict[str, tuple[str, ...]] = {
    "waveform": (*WAVEFORM_NAMES, "waveform_skew", "waveform_kurtosis"),
    "silence": ("silence_share",),
    "bands": ("high_band_db", *(f"band_{low}_khz_db" for low in BANDS_KHZ[:-1])),
    "pitch": PITCH_NAMES,
}


def build_selected(sample_rate: int) -> FeatureSet:
    """All statistics of the spectrum's shape, and the deviations of cepstra and their deltas.

    Each part's reference stands in its own module: `spectral`, `cepstra`, `statistics`.

    Args:
        sample_rate: in Hz.
    """
    return _build(sample_rate, {"spectral": STATISTICS, **dict.fromkeys(CEPSTRA, ("std",))}, ())


def build_all(sample_rate: int) -> FeatureSet:
    """All statistics of all series, and all that is said of the clip as a whole.

    Each part's reference stands in its own module: `spectral`, `cepstra`, `level`, `pitch`,
    `statistics`.

    Args:
        sample_rate: in Hz, 16,000 or more: the bands of energy reach to 8 kHz.
    Raises:
        ValueError: the sample rate is lower.
    """
    if sample_rate < 2000 * BANDS_KHZ[-1]:
        raise ValueError(
            f"the features `all` need sample_rate {2000 * BANDS_KHZ[-1]} or more. "
            f"Received: {sample_rate}."
        )
    # The contrast's valleys are single bins, some 140 dB below the peak: beyond float32.
    return _build(sample_rate, dict.fromkeys(SERIES, STATISTICS), tuple(WHOLE), "float64")


def _build(
    sample_rate: int,
    series: Mapping[str, Sequence[str]],
    whole: Sequence[str],
    precision: str = "float32",
) -> FeatureSet:
    """The feature set of some groups.

    Args:
        sample_rate: in Hz.
        series: group of `SERIES` → the statistics that are taken of each of its series.
        whole: groups of `WHOLE`.
        precision: of the STFT, as in `LogMel`.
    """
    mel = LogMel(
        sample_rate=sample_rate,
        n_fft=N_FFT,
        hop_length=HOP_LENGTH,
        n_mels=N_MELS,
        ref="max",
        precision=precision,
    )
    linear = filter_blocks(linear_filters(sample_rate, N_FFT, N_LINEAR_FILTERS))
    names = [
        column for group in series for column in statistic_names(SERIES[group], series[group])
    ] + [column for group in whole for column in WHOLE[group]]

    def compute(waveform: tf.Tensor) -> tf.Tensor:
        power = mel.power_spectrogram(waveform)  # (size, frames, 1 + N_FFT // 2)
        log_mel = mel.log_mel(power)
        values = {"log_mel": log_mel}
        for kind, decibels in (
            ("mfcc", log_mel),
            ("lfcc", power_to_db(filter_product(power, linear))),
        ):
            values[kind] = cepstrum(decibels, N_CEPSTRA)
            values[f"{kind}_delta"] = delta(values[kind], 1)
            values[f"{kind}_delta2"] = delta(values[kind], 2)
        magnitude = tf.sqrt(power)
        values["spectral"] = _shapes(magnitude, sample_rate)
        if "contrast" in series:
            values["contrast"] = spectral.contrast(magnitude, sample_rate)
        level_db = level.relative_level(level.rms(waveform, N_FFT, HOP_LENGTH))
        if "level" in series:
            crossings = level.zero_crossing_rate(waveform, N_FFT, HOP_LENGTH)
            values["level"] = tf.stack([crossings, level_db], axis=2)
        columns = [time_statistics(values[group], series[group]) for group in series]

        of_clip = {
            "waveform": lambda: _waveform(waveform),
            "silence": lambda: level.silence_share(level_db)[:, None],
            "bands": lambda: _band_energies(power, sample_rate),
            "pitch": lambda: pitch_statistics(waveform, sample_rate),
        }
        return tf.concat([*columns, *(of_clip[group]() for group in whole)], axis=1)

    return FeatureSet(tuple(names), compute, MIN_SAMPLES)


def _shapes(magnitude: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """(size, frames, n) in the order of `SERIES["spectral"]`."""
    shapes = [
        spectral.centroid(magnitude, sample_rate),
        spectral.bandwidth(magnitude, sample_rate),
        spectral.rolloff(magnitude, sample_rate),
        spectral.flatness(magnitude),
        spectral.flux(magnitude),
    ]
    return tf.stack(shapes, axis=2)


def _waveform(waveform: tf.Tensor) -> tf.Tensor:
    """(size, n) in the order of `WHOLE["waveform"]`."""
    shape = time_statistics(waveform[:, :, None], ("skew", "kurtosis"))
    return tf.concat([waveform_statistics(waveform), shape], axis=1)


def _band_energies(power: tf.Tensor, sample_rate: int) -> tf.Tensor:
    """(size, n) in the order of `WHOLE["bands"]`."""
    edges = [1000.0 * edge for edge in BANDS_KHZ]
    halves = spectral.band_energies(power, sample_rate, (0.0, edges[-1] / 2, edges[-1]))
    return tf.concat([halves[:, 1:], spectral.band_energies(power, sample_rate, edges)], axis=1)
