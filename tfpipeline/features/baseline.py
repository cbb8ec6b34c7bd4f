"""The feature set `baseline`: the 132 features of the published trees."""

from __future__ import annotations

import tensorflow as tf

from tfpipeline.features.feature_set import FeatureSet
from tfpipeline.features.mel import LogMel

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
