"""Batch normalization that does not depend on how many devices share a batch.

Pooling over time that suits any length.
"""

from __future__ import annotations

import keras
import tensorflow as tf


def batch_normalization(**options) -> keras.layers.BatchNormalization:
    """A `keras.layers.BatchNormalization` over the whole batch, wherever its parts are.

    Where a `tf.distribute` strategy splits batches, the moments are summed over its devices, so
    that training on several comes to the same as training on one. On one device the plain layer
    is kept, which computes the variance in one pass less.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return keras.layers.BatchNormalization(synchronized=several, **options)


@keras.saving.register_keras_serializable("tfpipeline")
class AttentiveStatisticsPooling(keras.layers.Layer):
    """Mean and standard deviation over time, each weighted by attention per channel.

    Reference: Okabe, Koshinaka and Shinoda (2018), "Attentive statistics pooling for deep speaker
    embedding"; attention per channel as in ECAPA-TDNN (Desplanques et al. 2020).

    Args:
        units: width of the attention's hidden layer.
    """

    def __init__(self, units: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: tuple) -> None:
        """Creates the two dense layers of the attention."""
        self.hidden = keras.layers.Dense(self.units, activation="tanh", dtype=self.dtype_policy)
        self.attention = keras.layers.Dense(input_shape[-1], dtype=self.dtype_policy)
        self.hidden.build(input_shape)
        self.attention.build((*input_shape[:-1], self.units))

    def call(self, x):
        """Pools (batch, time, channels) to (batch, 2 * channels), computed in float32."""
        logits = self.attention(self.hidden(x))
        # Squares and softmax sums lose too much in half precision.
        weights = keras.ops.softmax(keras.ops.cast(logits, "float32"), axis=1)
        x = keras.ops.cast(x, "float32")
        mean = keras.ops.sum(weights * x, axis=1)  # (batch, channels)
        spread = keras.ops.sum(weights * keras.ops.square(x - mean[:, None]), axis=1)
        pooled = keras.ops.concatenate([mean, keras.ops.sqrt(spread + 1e-6)], axis=-1)
        return keras.ops.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """(batch, 2 * channels)."""
        return (input_shape[0], 2 * input_shape[-1])

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}
