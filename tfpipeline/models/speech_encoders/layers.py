"""Layers of wav2vec 2.0 and its kin that Keras does not have, in core operations."""

from __future__ import annotations

from typing import Any

import keras

HIDDEN = -1e9  # added to the logit of a key that must not be seen


@keras.saving.register_keras_serializable("tfpipeline")
class WaveformNormalization(keras.layers.Layer):
    """Brings each waveform to mean 0 and variance 1, as the encoders were trained."""

    def call(self, waveform, samples=None):
        """Float (batch, samples) → the same, and 0 behind the true lengths `samples` (batch,)."""
        ops = keras.ops
        if samples is None:
            centered = waveform - ops.mean(waveform, axis=1, keepdims=True)
            variance = ops.mean(ops.square(centered), axis=1, keepdims=True)
            return centered / ops.sqrt(variance + 1e-7)
        inside = ops.cast(_inside(waveform, samples), waveform.dtype)
        count = ops.sum(inside, axis=1, keepdims=True)
        mean = ops.sum(waveform * inside, axis=1, keepdims=True) / count
        centered = (waveform - mean) * inside
        variance = ops.sum(ops.square(centered), axis=1, keepdims=True) / count
        return centered / ops.sqrt(variance + 1e-7)


@keras.saving.register_keras_serializable("tfpipeline")
class TimeNormalization(keras.layers.Layer):
    """PyTorch's `GroupNorm` with a group a channel: mean 0 and variance 1 over time.

    Args:
        kernel, stride: of the convolution before, which say how many frames a clip really has.
    """

    def __init__(self, kernel: int, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.kernel, self.stride = kernel, stride

    def build(self, x_shape, samples_shape=None) -> None:
        """Creates the scale and the offset of each channel."""
        self.gamma = self.add_weight(shape=(x_shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(x_shape[-1],), initializer="zeros", name="beta")

    def call(self, x, samples=None):
        """Float (batch, frames, channels) → the same; only frames of the true length count."""
        ops = keras.ops
        wide = ops.cast(x, "float32")
        if samples is None:
            mean, variance = ops.moments(wide, axes=1, keepdims=True)
        else:
            inside = _inside(x, (samples - self.kernel) // self.stride + 1)
            inside = ops.cast(inside, "float32")[..., None]
            count = ops.sum(inside, axis=1, keepdims=True)
            mean = ops.sum(wide * inside, axis=1, keepdims=True) / count
            variance = ops.sum(ops.square(wide - mean) * inside, axis=1, keepdims=True) / count
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + 1e-5)
        offset = ops.cast(self.beta, "float32") - mean * scale
        return ops.cast(wide * scale + offset, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "kernel": self.kernel, "stride": self.stride}

    def torch_parts(self):
        """See `tfpipeline.models.pretrained`."""
        return [("weight", self.gamma, (0,)), ("bias", self.beta, (0,))]


@keras.saving.register_keras_serializable("tfpipeline")
class FrameMask(keras.layers.Layer):
    """Takes away the frames behind the end of each clip."""

    def call(self, x, frames):
        """Hides what is only padding.

        Args:
            x: float (batch, time, width).
            frames: int (batch,), the true lengths.
        Returns:
            The frames with zeros behind the ends; and for the attention a bias (batch, 1, 1, time)
            that hides these keys.
        """
        inside = keras.ops.cast(_inside(x, frames), x.dtype)
        return x * inside[..., None], (1 - inside)[:, None, None, :] * HIDDEN


@keras.saving.register_keras_serializable("tfpipeline")
class PositionalConvolution(keras.layers.Layer):
    """Adds to each frame what a wide grouped convolution makes of its surroundings.

    Keras computes grouped convolutions by XLA on a CPU, which TensorFlow Serving does not switch
    on: here each group has a convolution of its own.

    Args:
        kernel_size: frames; of an even number one more lies before than behind.
        groups: so many equal parts of the width.
    """

    def __init__(self, kernel_size: int, groups: int, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size, self.groups = kernel_size, groups

    def build(self, input_shape) -> None:
        """Creates the kernel, in Keras's layout of a grouped convolution, and the bias."""
        width = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(self.kernel_size, width // self.groups, width),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def call(self, x):
        """Float (batch, time, width) → the same."""
        ops = keras.ops
        before = self.kernel_size // 2
        padded = ops.pad(x, ((0, 0), (before, self.kernel_size - 1 - before), (0, 0)))
        parts = zip(
            ops.split(padded, self.groups, axis=-1),
            ops.split(self.kernel, self.groups, axis=-1),
            strict=True,
        )
        convolved = [ops.conv(part, kernel, padding="valid") for part, kernel in parts]
        return x + ops.gelu(ops.concatenate(convolved, axis=-1) + self.bias, approximate=False)

    def compute_output_shape(self, input_shape):
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        options = {"kernel_size": self.kernel_size, "groups": self.groups}
        return {**super().get_config(), **options}

    def torch_parts(self):
        """See `tfpipeline.models.pretrained`."""
        return [("weight", self.kernel, (2, 1, 0)), ("bias", self.bias, (0,))]


def _inside(x, lengths):
    """Whether each place of axis 1 lies before its clip's end: bool (batch, time)."""
    places = keras.ops.arange(keras.ops.shape(x)[1], dtype="int32")
    return places < keras.ops.cast(lengths, "int32")[:, None]
