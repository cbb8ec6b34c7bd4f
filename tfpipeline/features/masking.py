"""Time and frequency masking of spectrograms, in training only."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfpipeline")
class SpectrogramMasking(keras.layers.Layer):
    """SpecAugment's masks: bands of time and of frequency replaced by the spectrogram's mean.

    The mean of the example itself is the filling, so that a mask is neither loud nor silent
    whatever the scale. A mask's width is uniform in 0 … the widest; each example draws its own.

    Reference: Park et al. (2019), "SpecAugment: a simple data augmentation method for automatic
    speech recognition".

    Args:
        time_masks: masks along time a spectrogram.
        time_mask_frames: the widest, in frames.
        frequency_masks: masks along frequency a spectrogram.
        frequency_mask_bins: the widest, in mel bands.
        seed: of the draws.
    """

    def __init__(
        self,
        time_masks: int = 0,
        time_mask_frames: int = 40,
        frequency_masks: int = 0,
        frequency_mask_bins: int = 12,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.time_masks = time_masks
        self.time_mask_frames = time_mask_frames
        self.frequency_masks = frequency_masks
        self.frequency_mask_bins = frequency_mask_bins
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, spectrogram: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Masks (batch, frames, n_mels) in training; returns it as it is otherwise."""
        if not training:
            return spectrogram
        frames, bins = tf.shape(spectrogram)[1], tf.shape(spectrogram)[2]
        keep = self._keep(spectrogram, frames, self.time_masks, self.time_mask_frames)[:, :, None]
        keep &= self._keep(spectrogram, bins, self.frequency_masks, self.frequency_mask_bins)[
            :, None, :
        ]  # (batch, frames, n_mels)
        filling = tf.reduce_mean(spectrogram, axis=[1, 2], keepdims=True)
        return tf.where(keep, spectrogram, filling)

    def _keep(self, like: tf.Tensor, length: tf.Tensor, masks: int, widest: int) -> tf.Tensor:
        """bool (batch, length): False under a mask."""
        batch = tf.shape(like)[0]
        if not masks:
            return tf.ones([batch, length], bool)
        drawn = keras.random.uniform([2, batch, masks], seed=self.seed_generator)
        size = tf.cast(length, tf.float32)
        width = tf.minimum(tf.floor(drawn[0] * (widest + 1)), size)  # (batch, masks)
        begin = tf.floor(drawn[1] * (size - width + 1))
        places = tf.range(size)[None, None, :]
        inside = (places >= begin[..., None]) & (places < (begin + width)[..., None])
        return ~tf.reduce_any(inside, axis=1)  # (batch, length)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "time_masks": self.time_masks,
            "time_mask_frames": self.time_mask_frames,
            "frequency_masks": self.frequency_masks,
            "frequency_mask_bins": self.frequency_mask_bins,
            "seed": self.seed,
        }
