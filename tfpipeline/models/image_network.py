"""An image network on mel-spectrograms: picture, backbone, pooling, head.

The spectrogram becomes a picture with time to the right and frequency upwards or downwards, as one
likes: an ImageNet network has seen neither. Batch normalization of each channel takes it to mean 0
and deviation 1, which is what the backbones were trained on, by the same constants in training and
serving. All before the head takes any length of clip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import keras
import tensorflow as tf

from tfpipeline.config import Count, ShareBelowOne
from tfpipeline.features.handcrafted.spectral import delta
from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.layers import batch_normalization


@keras.saving.register_keras_serializable(package="tfpipeline")
class WithDeltas(keras.layers.Layer):
    """A spectrogram and its first and second change over time, as three channels."""

    def call(self, spectrogram):
        """Float (batch, frames, n_mels), nine frames or more → (batch, frames, n_mels, 3)."""
        spectrogram = tf.cast(spectrogram, tf.float32)
        changes = [spectrogram, delta(spectrogram, 1), delta(spectrogram, 2)]
        return tf.cast(tf.stack(changes, axis=3), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, 3)


def image_network(backbone: str) -> Callable[..., keras.Model]:
    """The builder, for `tfpipeline.models.families.FAMILIES`, of a network around a backbone."""

    def build(
        frames: int | None,
        n_mels: int,
        *,
        weights: str = "imagenet",
        image_channels: Literal["repeat", "deltas", "learned"] = "repeat",
        image_size: tuple[int, ...] | None = None,
        hidden: tuple[Count, ...] = (),
        dropout: ShareBelowOne = 0.2,
        freeze_batch_norm: bool = False,
    ) -> keras.Model:
        """Builds the network from a log-mel spectrogram to a score, with random weights.

        Args:
            frames: of the window; needed where the image has one size.
            n_mels: mel bands.
            weights: what training begins with: `imagenet`, `none` or a path; see `pretrained`.
            image_channels: how one channel becomes three: `repeat`; `deltas`, the spectrogram and
                its first and second change over time; or `learned`, a 1 × 1 convolution that begins
                as `repeat`.
            image_size: [height, width] to which the picture is scaled; null: as many rows as mel
                bands, as many columns as frames.
            hidden: widths of dense layers before the score.
            dropout: before each dense layer.
            freeze_batch_norm: keep the backbone's batch normalization as it was pretrained.
        Returns:
            Model from (batch, frames, n_mels) to the log-odds of spoof, float32 (batch, 1).
        """
        if image_size is not None and (len(image_size) != 2 or min(image_size) < 32):
            raise ValueError(
                "model.image_size must be [height, width], both 32 or more. "
                f"Received: {list(image_size)}."
            )
        spectrogram = keras.Input((None, n_mels), name="spectrogram")
        x = _image(spectrogram, n_mels, image_channels)
        if image_size is not None:
            x = keras.layers.Resizing(*image_size, name="resizing")(x)
        network = BACKBONES[backbone]()
        if freeze_batch_norm:
            for layer in network.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.trainable = False
        x = keras.layers.GlobalAveragePooling2D(name="pooling")(network(x))
        for units in hidden:
            x = keras.layers.Dropout(dropout)(x)
            x = keras.layers.Dense(units, activation="relu")(x)
        x = keras.layers.Dropout(dropout)(x)
        score = keras.layers.Dense(1, dtype="float32", name="score")(x)
        return keras.Model(spectrogram, score, name=backbone)

    return build


def _image(spectrogram: keras.KerasTensor, n_mels: int, channels: str) -> keras.KerasTensor:
    """The picture (batch, n_mels, frames, 3)."""
    if channels == "deltas":
        x = WithDeltas(name="deltas")(spectrogram)
    else:
        x = keras.layers.Reshape((-1, n_mels, 1), name="one_channel")(spectrogram)
    x = keras.layers.Permute((2, 1, 3), name="picture")(x)
    x = batch_normalization(momentum=0.9, name="image_normalisation")(x)
    if channels == "repeat":
        return keras.layers.Concatenate(name="three_channels")([x, x, x])
    if channels == "learned":
        return keras.layers.Conv2D(3, 1, kernel_initializer="ones", name="three_channels")(x)
    return x
