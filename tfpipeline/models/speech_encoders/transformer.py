"""The transformer block that all speech encoders share, with PyTorch's names for its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf


@dataclass(frozen=True)
class BlockNames:
    """What a block's layers are called in the published weights, behind the block's prefix."""

    attention: str
    attention_norm: str
    widen: str
    narrow: str
    final_norm: str


@keras.saving.register_keras_serializable("tfpipeline")
class DotProductAttention(keras.layers.Layer):
    """Scaled dot-product attention of several heads, without weights of its own.

    The softmax is computed in float32, for half precision loses small weights.

    Args:
        heads: so many equal parts of the width.
    Reference:
        Vaswani et al. (2017), "Attention is all you need".

    Example:
        >>> x = keras.random.normal((2, 50, 64))
        >>> DotProductAttention(heads=4)(x, x, x).shape
        TensorShape([2, 50, 64])
    """

    def __init__(self, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, query, key, value, bias=None):
        """Attends.

        Args:
            query, key, value: float (batch, time, width).
            bias: float, broadcast to (batch, heads, time, time), added before the softmax: a
                position bias, or a large negative number where a key must not be seen.
        Returns:
            Float (batch, time, width).
        """
        ops = keras.ops
        batch, _, width = ops.shape(query)
        depth = width // self.heads
        query, key, value = (
            ops.transpose(ops.reshape(x, (batch, -1, self.heads, depth)), (0, 2, 1, 3))
            for x in (query, key, value)
        )  # (batch, heads, time, depth)
        logits = ops.matmul(query * depth**-0.5, ops.swapaxes(key, -1, -2))
        logits = ops.cast(logits, "float32")
        if bias is not None:
            logits = logits + ops.cast(bias, "float32")
        weights = ops.cast(tf.nn.softmax(logits), value.dtype)
        mixed = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return ops.reshape(mixed, (batch, -1, width))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "heads": self.heads}


def transformer_block(
    x: keras.KerasTensor,
    prefix: str,
    names: BlockNames,
    *,
    heads: int,
    hidden: int,
    norm_first: bool,
    key_bias: bool = True,
    epsilon: float = 1e-5,
    bias: keras.KerasTensor | Callable | None = None,
) -> keras.KerasTensor:
    """Self-attention and two dense layers, each around a residual connection.

    A block has one `Add` layer, by which the optimizer counts blocks: at its end where
    `norm_first`, else before the normalization at its end.

    Args:
        x: (batch, time, width).
        prefix: of the names of the block's layers, with its dot.
        names: of the layers.
        heads: of the attention.
        hidden: width between the two dense layers.
        norm_first: normalize what goes into each half, not the sum that comes out.
        key_bias: whether the keys' projection has a bias; Whisper's has not.
        epsilon: of the normalizations.
        bias: of the attention, see `DotProductAttention`; or a function that makes it of what goes
            into the attention and of the attention's name.
    Returns:
        (batch, time, width).
    """
    width = x.shape[-1]

    def norm(x, name):
        return keras.layers.LayerNormalization(epsilon=epsilon, name=prefix + name)(x)

    def attend(x):
        at = f"{prefix}{names.attention}."
        biases = bias(x, at.rstrip(".")) if callable(bias) else bias
        query = keras.layers.Dense(width, name=f"{at}q_proj")(x)
        key = keras.layers.Dense(width, use_bias=key_bias, name=f"{at}k_proj")(x)
        value = keras.layers.Dense(width, name=f"{at}v_proj")(x)
        attention = DotProductAttention(heads, name=f"{at}heads")
        return keras.layers.Dense(width, name=f"{at}out_proj")(attention(query, key, value, biases))

    def transform(x):
        x = keras.layers.Dense(hidden, name=prefix + names.widen)(x)
        x = keras.layers.Activation("gelu", name=f"{prefix}gelu")(x)
        return keras.layers.Dense(width, name=prefix + names.narrow)(x)

    if norm_first:
        x = x + attend(norm(x, names.attention_norm))
        return keras.layers.Add()([x, transform(norm(x, names.final_norm))])
    x = norm(x + attend(x), names.attention_norm)
    return norm(keras.layers.Add()([x, transform(x)]), names.final_norm)
