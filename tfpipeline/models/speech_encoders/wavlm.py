"""WavLM: wav2vec 2.0 with a gated relative position bias, equal to that of transformers.

One table of biases by distance serves all blocks; in each, a frame decides how much of them it
takes.

Reference:
    Chen et al. (2022), "WavLM", https://arxiv.org/abs/2110.13900, section III-B.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tfpipeline.models.speech_encoders.settings import WavLMSettings
from tfpipeline.models.speech_encoders.wav2vec2 import build_encoder


def build_wavlm(
    settings: WavLMSettings,
    layers: int | None = None,
    masked: bool = False,
    final_norm: bool = False,
) -> keras.Model:
    """Builds WavLM with random weights; see `build_wav2vec2`."""
    heads = settings.num_attention_heads

    def attention_bias(x, hidden):
        if settings.count_layers(layers) == 0:
            return None
        position = RelativePositionBias(
            heads,
            settings.num_buckets,
            settings.max_bucket_distance,
            name="encoder.layers.0.attention.rel_attn_embed",
        )(x)
        return lambda x, name: GatedPositionBias(name=name)(x, position, hidden)

    return build_encoder(settings, layers, masked, final_norm, "wavlm", attention_bias)


def distance_buckets(buckets: int, max_distance: int) -> np.ndarray:
    """The bucket of each distance from 0 to `max_distance`, beyond which it stays the same.

    Half of a direction's buckets are for one distance each, the others for ranges that widen
    logarithmically.

    Returns:
        Int32 (max_distance + 1,), below `buckets // 2`.
    """
    buckets //= 2
    exact = buckets // 2
    distance = np.arange(max_distance + 1)
    # In float32, as the original rounds.
    ratio = np.log(np.maximum(distance, exact).astype(np.float32) / np.float32(exact))
    large = ratio / np.float32(math.log(max_distance / exact)) * np.float32(buckets - exact)
    large = np.minimum((exact + large).astype(np.int32), buckets - 1)
    return np.where(distance < exact, distance, large).astype(np.int32)


@keras.saving.register_keras_serializable("tfpipeline")
class RelativePositionBias(keras.layers.Layer):
    """A bias for each head and each distance between query and key.

    Args:
        heads: of the attention.
        buckets: rows of the table.
        max_distance: frames.
    """

    def __init__(self, heads: int, buckets: int, max_distance: int, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.buckets, self.max_distance = heads, buckets, max_distance

    def build(self, input_shape) -> None:
        """Creates the table."""
        self.table = self.add_weight(
            shape=(self.buckets, self.heads), initializer="glorot_uniform", name="table"
        )

    def call(self, x):
        """Float (batch, time, width), of which only the time counts → (1, heads, time, time)."""
        ops = keras.ops
        place = ops.arange(ops.shape(x)[1], dtype="int32")
        offset = place[None, :] - place[:, None]  # (queries, keys)
        rows = distance_buckets(self.buckets, self.max_distance)
        row = ops.take(rows, ops.minimum(ops.abs(offset), self.max_distance))
        row = row + ops.cast(offset > 0, "int32") * (self.buckets // 2)
        bias = ops.take(self.table, row, axis=0)  # (queries, keys, heads)
        return ops.transpose(bias, (2, 0, 1))[None]

    def compute_output_shape(self, input_shape):
        """(1, heads, time, time)."""
        return (1, self.heads, input_shape[1], input_shape[1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        options = {"heads": self.heads, "buckets": self.buckets, "max_distance": self.max_distance}
        return {**super().get_config(), **options}

    def torch_parts(self):
        """See `tfpipeline.models.pretrained`."""
        return [("weight", self.table, (0, 1))]


@keras.saving.register_keras_serializable("tfpipeline")
class GatedPositionBias(keras.layers.Layer):
    """How much of the position bias each query of a block takes, by two gates of its own."""

    def build(self, x_shape, position_shape, hidden_shape=None) -> None:
        """Creates the gates' weights."""
        self.heads = position_shape[1]
        depth = x_shape[-1] // self.heads
        self.kernel = self.add_weight(shape=(depth, 8), name="kernel")
        self.bias = self.add_weight(shape=(8,), initializer="zeros", name="bias")
        self.constant = self.add_weight(
            shape=(1, self.heads, 1, 1), initializer="ones", name="constant"
        )

    def call(self, x, position, hidden=None):
        """The bias of a block's attention.

        Args:
            x: float (batch, time, width), what goes into the attention.
            position: float (1, heads, time, time).
            hidden: float (batch, 1, 1, time), which hides the padding.
        Returns:
            Float (batch, heads, time, time).
        """
        ops = keras.ops
        batch, time, _ = ops.shape(x)
        parts = ops.reshape(x, (batch, time, self.heads, -1))
        gates = ops.matmul(parts, self.kernel) + self.bias  # (batch, time, heads, 8)
        gates = ops.sum(ops.reshape(gates, (batch, time, self.heads, 2, 4)), axis=-1)
        gates = ops.transpose(ops.sigmoid(gates), (0, 2, 1, 3))  # (batch, heads, time, 2)
        gate = gates[..., :1] * (gates[..., 1:] * self.constant - 1) + 2
        bias = gate * position
        return bias if hidden is None else bias + hidden

    def torch_parts(self):
        """See `tfpipeline.models.pretrained`."""
        return [
            ("gru_rel_pos_linear.weight", self.kernel, (1, 0)),
            ("gru_rel_pos_linear.bias", self.bias, (0,)),
            ("gru_rel_pos_const", self.constant, (0, 1, 2, 3)),
        ]
