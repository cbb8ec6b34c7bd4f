"""Hand-made features for the trees, as a Keras layer of core TensorFlow ops, with named columns.

A feature set is a builder in `FEATURE_SETS`: sample rate → `FeatureSet`, the names of its columns
and the function that computes them for a few clips. The layer goes through any batch in groups, so
that a clip's features never depend on the rest of its batch.

`baseline` is that of the published trees (132 columns); `full` is what the field uses
(`tfpipeline.features.full`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfpipeline.features.groups import in_groups
from tfpipeline.features.mel import LogMel


@dataclass(frozen=True)
class FeatureSet:
    """What a builder in `FEATURE_SETS` returns.

    Attributes:
        names: of the columns.
        compute: float32 (size, samples) → float32 (size, columns), each row from its own clip.
        min_samples: the shortest clip, in samples.
    """

    names: tuple[str, ...]
    compute: Callable[[tf.Tensor], tf.Tensor]
    min_samples: int


def build_baseline(sample_rate: int) -> FeatureSet:
    """The 132 features of the published baseline.

    Mean, deviation, least and greatest sample of the waveform, and the mean over time of each of
    128 mel bands in dB below the loudest cell.

    Reference:
        librosa 0.11: `power_to_db(feature.melspectrogram(y=y, sr=sr), ref=np.max).mean(axis=1)`,
        all else by default (n_fft 2048, hop 512, centred in zeros, Slaney's mel, top_db 80).
    """
    mel = LogMel(sample_rate=sample_rate, ref="max")
    names = [f"waveform_{statistic}" for statistic in ("mean", "std", "min", "max")]
    names += [f"mel_{band:03d}_mean" for band in range(mel.n_mels)]

    def compute(waveform: tf.Tensor) -> tf.Tensor:
        decibels = mel.log_mel(mel.power_spectrogram(waveform))  # (size, frames, n_mels)
        samples = [
            reduce(waveform, axis=1)
            for reduce in (tf.reduce_mean, tf.math.reduce_std, tf.reduce_min, tf.reduce_max)
        ]
        return tf.concat([tf.stack(samples, axis=1), tf.reduce_mean(decibels, axis=1)], axis=1)

    return FeatureSet(tuple(names), compute, mel.n_fft)


FEATURE_SETS: dict[str, Callable[[int], FeatureSet]] = {"baseline": build_baseline}


@keras.saving.register_keras_serializable(package="tfpipeline")
class HandcraftedFeatures(keras.layers.Layer):
    """Waveforms → one row of named features each.

    Computed in float32 whatever the global dtype policy; it has no weights.

    Args:
        feature_set: a key of `FEATURE_SETS`.
        sample_rate: of the waveform, in Hz.
        **kwargs: `name` and the like, for `keras.layers.Layer`.
    Attributes:
        names: tuple of the columns' names, in order.
        min_samples: the shortest clip that it takes, in samples.
    Raises:
        ValueError: the feature set is unknown.
    """

    def __init__(self, feature_set: str = "baseline", *, sample_rate: int = 16_000, **kwargs):
        if feature_set not in FEATURE_SETS:
            raise ValueError(
                f"feature_set must be one of {', '.join(FEATURE_SETS)}. Received: {feature_set!r}."
            )
        kwargs.pop("dtype", None)
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.feature_set = feature_set
        self.sample_rate = sample_rate
        built = FEATURE_SETS[feature_set](sample_rate)
        self.names = built.names
        self.min_samples = built.min_samples
        self._compute = built.compute

    def call(self, waveform):
        """Computes the features.

        Args:
            waveform: float (batch, samples) in [-1, 1]; both may be unknown in a graph.
        Returns:
            float32 (batch, len(names)), always finite for a finite waveform.
        Raises:
            ValueError: not of rank 2, not float, or too short (a graph that learns the length only
                when it runs raises tf.errors.InvalidArgumentError).
        """
        if waveform.shape.rank != 2:
            raise ValueError(
                "waveform must have the shape (batch, samples). "
                f"Received: {waveform.shape}. One clip needs waveform[None]; drop a channel axis."
            )
        if not waveform.dtype.is_floating:
            raise ValueError(
                "waveform must be float in [-1, 1]. "
                f"Received: {waveform.dtype.name}. Is this PCM, to be divided by 32768?"
            )
        self._check_length(waveform)
        return in_groups(self._compute, tf.cast(waveform, "float32"), (len(self.names),), "float32")

    def compute_output_shape(self, input_shape):
        return input_shape[0], len(self.names)

    def get_config(self):
        return {
            **super().get_config(),
            "feature_set": self.feature_set,
            "sample_rate": self.sample_rate,
        }

    def _check_length(self, waveform):
        rule = (
            f"a clip must have {self.min_samples} samples or more "
            f"({1000 * self.min_samples / self.sample_rate:g} ms) for the features "
            f"{self.feature_set!r}."
        )
        samples = waveform.shape[1]
        if samples is None:
            tf.debugging.assert_greater_equal(tf.shape(waveform)[1], self.min_samples, rule)
        elif samples < self.min_samples:
            raise ValueError(f"{rule} Received: {samples}. Repeat the clip to length.")
