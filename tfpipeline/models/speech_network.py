"""A speech encoder with a head: learned weights of its layers, pooling over time, a small MLP.

Reference:
    Yang et al. (2021), "SUPERB" (S3PRL's weighted sum of normalized states); Okabe et al. (2018),
    attentive statistics pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import keras

from tfpipeline.config import Count, ShareBelowOne
from tfpipeline.models.layers import AttentiveStatisticsPooling, batch_normalization
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_encoders.hub_folder import build_speech_encoder


@keras.saving.register_keras_serializable("tfpipeline")
class WeightedStates(keras.layers.Layer):
    """The mean of the states of several layers, each normalized, with weights that are learned."""

    def build(self, input_shape: tuple) -> None:
        """Creates the weights' logits; all layers count the same at first."""
        self.logits = self.add_weight(shape=(input_shape[2],), name="logits", initializer="zeros")

    def call(self, states):
        """Float (batch, frames, states, width) → (batch, frames, width)."""
        ops = keras.ops
        states = ops.cast(states, "float32")  # large channels would lose the others in half
        centred = states - ops.mean(states, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        states = centred * ops.rsqrt(variance + 1e-5)
        weights = ops.softmax(ops.cast(self.logits, "float32"))
        return ops.cast(ops.sum(states * weights[:, None], axis=2), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """(batch, frames, width)."""
        return (*input_shape[:2], input_shape[3])


@keras.saving.register_keras_serializable("tfpipeline")
class StatisticsPooling(keras.layers.Layer):
    """Mean and standard deviation over time."""

    def call(self, x):
        """Float (batch, frames, width) → (batch, 2 * width), computed in float32."""
        ops = keras.ops
        x = ops.cast(x, "float32")
        mean = ops.mean(x, axis=1)
        variance = ops.mean(ops.square(x - mean[:, None]), axis=1)
        pooled = ops.concatenate([mean, ops.sqrt(variance + 1e-6)], axis=-1)
        return ops.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """(batch, 2 * width)."""
        return (input_shape[0], 2 * input_shape[2])


def speech_network(encoder: str) -> Callable[..., keras.Model]:
    """The builder, for `tfpipeline.models.families.FAMILIES`, of a network around an encoder."""

    def build(
        frames: int | None,
        n_mels: int,
        *,
        weights: str = "published",
        layers: Count | None = None,
        pooling: Literal["statistics", "attentive"] = "statistics",
        hidden: tuple[Count, ...] = (),
        dropout: ShareBelowOne = 0.2,
    ) -> keras.Model:
        """Builds the network from waveforms to a score, with random weights.

        Args:
            frames, n_mels: not used; the encoder has its own front end.
            weights: what training begins with: `published`, `none`, `hf:ORGANIZATION/NAME` or a
                path; see `tfpipeline.models.speech_encoders.weights`.
            layers: the encoder's first layers that are used; null: all.
            pooling: over time: `statistics`, mean and deviation, or `attentive`, both weighted.
            hidden: widths of dense layers before the score.
            dropout: before each dense layer.
        Returns:
            Model from (batch, samples) to the log-odds of spoof, float32 (batch, 1).
        """
        network = build_speech_encoder(SPEECH_ENCODERS[encoder].settings, layers)
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        head = _head(network.output_shape[1:], pooling, hidden, dropout)
        return keras.Model(waveform, head(network(waveform)), name=encoder)

    return build


def _head(
    shape: tuple[int | None, int, int], pooling: str, hidden: tuple[int, ...], dropout: float
) -> keras.Model:
    """From an encoder's states (batch, frames, layers + 1, width) to a score (batch, 1)."""
    states = keras.Input(shape, name="states")
    x = WeightedStates(name="layer_weights")(states)
    pool = AttentiveStatisticsPooling if pooling == "attentive" else StatisticsPooling
    x = batch_normalization(momentum=0.9, name="statistics")(pool(name="pooling")(x))
    for units in hidden:
        x = keras.layers.Dropout(dropout)(x)
        x = keras.layers.Dense(units, activation="relu")(x)
    x = keras.layers.Dropout(dropout)(x)
    return keras.Model(states, keras.layers.Dense(1, dtype="float32", name="score")(x), name="head")
