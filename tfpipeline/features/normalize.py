"""Normalization of each spectrogram by its own statistics, the same in training and serving."""

from __future__ import annotations

import keras
import tensorflow as tf

# The axes of (batch, frames, n_mels) whose mean and deviation are taken.
AXES = {"none": None, "example": (1, 2), "bin": (1,)}

# In dB. What varies less is rounding, not sound: dividing by it would make noise of silence.
LEAST_DEVIATION = 0.01


@keras.saving.register_keras_serializable(package="tfpipeline")
class SpectrogramNormalization(keras.layers.Layer):
    """Takes each spectrogram to mean 0 and standard deviation 1, apart from its batch-mates.

    Like `LogMel`, it computes in float32 or float64 whatever the global dtype policy.

    Args:
        normalize: "none" leaves the input as it is; "example" takes one mean and deviation over
            the whole spectrogram; "bin" takes them over time in each mel band, which also removes
            the colour of the microphone and the channel.
        dtype: "float32" or "float64".
        **kwargs: `name` and the like, for `keras.layers.Layer`.
    Raises:
        ValueError: `normalize` or `dtype` is unknown.
    """

    def __init__(self, normalize: str = "example", *, dtype="float32", **kwargs):
        policy = keras.dtype_policies.get(dtype)
        if policy.compute_dtype not in ("float32", "float64"):
            raise ValueError(
                f"dtype must be float32 or float64. Received: {policy.name!r}. Leave dtype out: "
                "the layers that follow cast for themselves."
            )
        if normalize not in AXES:
            raise ValueError(f"normalize must be one of {tuple(AXES)}. Received: {normalize!r}.")
        super().__init__(dtype=policy, autocast=False, **kwargs)
        self.normalize = normalize

    def call(self, spectrogram):
        """Normalizes.

        Args:
            spectrogram: float (batch, frames, n_mels) in dB.
        Returns:
            The same shape, of the layer's dtype; without unit, but for "none".
        Raises:
            ValueError: not of rank 3.
        """
        if spectrogram.shape.rank != 3:
            raise ValueError(
                "spectrogram must have the shape (batch, frames, n_mels). "
                f"Received: {spectrogram.shape}. Add a channel axis after this layer, not before."
            )
        spectrogram = tf.cast(spectrogram, self.compute_dtype)
        if self.normalize == "none":
            return spectrogram
        mean, variance = tf.nn.moments(spectrogram, AXES[self.normalize], keepdims=True)
        return (spectrogram - mean) * tf.math.rsqrt(tf.maximum(variance, LEAST_DEVIATION**2))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "normalize": self.normalize}
