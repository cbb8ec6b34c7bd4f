"""Hand-made features for the trees, as a Keras layer of core TensorFlow ops, with named columns.

A feature set is a builder in `FEATURE_SETS`: sample rate → `FeatureSet`, the names of its columns
and the function that computes them for a few clips. The layer goes through any batch in groups, so
that a clip's features never depend on the rest of its batch.

`baseline` is that of the published trees (132 columns), `all` what the field uses, and `selected`
what of that helped on held-out speakers and attacks (`tfpipeline.features.handcrafted.sets`).
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tfpipeline.config import FrontEndConfig
from tfpipeline.features.conditioning import conditioning_layer
from tfpipeline.features.handcrafted.sets import (
    FeatureSet,
    build_all,
    build_baseline,
    build_selected,
)
from tfpipeline.features.waveforms import check_waveforms, in_groups
from tfpipeline.files.strict import check

FEATURE_SETS: dict[str, Callable[[int], FeatureSet]] = {
    "baseline": build_baseline,
    "selected": build_selected,
    "all": build_all,
}


@keras.saving.register_keras_serializable(package="tfpipeline")
class HandcraftedFeatures(keras.layers.Layer):
    """Waveforms → one row of named features each.

    Computed in float32 whatever the global dtype policy; it has no weights.

    Args:
        feature_set: a key of `FEATURE_SETS`.
        sample_rate: of the waveform, in Hz.
        highpass_hz, level_dbfs: of the `Conditioning` that comes first; None: as recorded. What
            `baseline` and `all` say of level (`waveform_mean`, `waveform_std`) is next to
            constant with it.
        **kwargs: `name` and the like, for `keras.layers.Layer`.
    Attributes:
        names: tuple of the columns' names, in order.
        min_samples: the shortest clip that it takes, in samples.
    Raises:
        ValueError: the feature set is unknown, or `highpass_hz` or `level_dbfs` out of range.
    """

    def __init__(
        self,
        feature_set: str = "baseline",
        *,
        sample_rate: int = 16_000,
        highpass_hz: float | None = None,
        level_dbfs: float | None = None,
        **kwargs,
    ):
        if feature_set not in FEATURE_SETS:
            raise ValueError(
                f"feature_set must be one of {', '.join(FEATURE_SETS)}. Received: {feature_set!r}."
            )
        kwargs.pop("dtype", None)
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.feature_set = feature_set
        self.sample_rate = sample_rate
        self.highpass_hz = highpass_hz
        self.level_dbfs = level_dbfs
        front_end = {"highpass_hz": highpass_hz, "level_dbfs": level_dbfs}
        self._condition = conditioning_layer(
            check(FrontEndConfig, front_end, type(self).__name__), sample_rate
        )
        built = FEATURE_SETS[feature_set](sample_rate)
        self.names = built.names
        self.min_samples = built.min_samples
        # It branches on nothing that the graph computes, and AutoGraph would take ten seconds to
        # rewrite the parts of SciPy and librosa that make its constants.
        self._compute = tf.autograph.experimental.do_not_convert(built.compute)

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
        check_waveforms(waveform)
        self._check_length(waveform)
        # One clip at a time: products of other shapes round otherwise, and a feature that moves in
        # its last digit crosses thresholds of trees. In a graph the clips still run side by side.
        return in_groups(
            self._features_of, tf.cast(waveform, "float32"), (len(self.names),), "float32", 1
        )

    def _features_of(self, waveform):
        return self._compute(self._condition(waveform) if self._condition else waveform)

    def compute_output_shape(self, input_shape):
        return input_shape[0], len(self.names)

    def get_config(self):
        return {
            **super().get_config(),
            "feature_set": self.feature_set,
            "sample_rate": self.sample_rate,
            "highpass_hz": self.highpass_hz,
            "level_dbfs": self.level_dbfs,
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
