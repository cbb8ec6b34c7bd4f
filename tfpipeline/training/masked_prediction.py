"""Self-supervision: an encoder learns to tell what masked stretches of speech sounded like.

BEST-RQ: a random projection and a random codebook, never trained, turn each frame of the
spectrogram into a number; the encoder sees the spectrogram with stretches replaced by noise, and
guesses the numbers there. No label is needed.

Reference:
    Chiu et al. (2022), "Self-supervised learning with random-projection quantizer for speech
    recognition", https://arxiv.org/abs/2202.01855. Its masks start at 1 of 100 frames and cover
    400 ms; codes are searched among 8,192, here among 1,024, for there is less speech.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

CODES = 1024
CODE_WIDTH = 16
MASK_START = 0.02  # share of frames at which a mask starts; a third of all frames are masked
MASK_FRAMES = 20  # of 20 ms
NOISE = 0.1  # deviation
MEL_FRAMES = 2  # of the spectrogram, for one of the encoder


@keras.saving.register_keras_serializable("tfpipeline")
class RandomQuantizer(keras.layers.Layer):
    """Numbers of spectrogram frames, by a random projection and the nearest random code.

    Args:
        n_mels: mel bands.
        seed: of projection and codebook.

    Example:
        >>> RandomQuantizer(n_mels=80)(keras.random.normal((2, 100, 80))).shape
        TensorShape([2, 50])
    """

    def __init__(self, n_mels: int, seed: int = 0, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.n_mels, self.seed = n_mels, seed
        random = np.random.default_rng(seed)
        size = MEL_FRAMES * n_mels
        bound = np.sqrt(6 / (size + CODE_WIDTH))  # Xavier's
        self._projection = random.uniform(-bound, bound, (size, CODE_WIDTH)).astype(np.float32)
        codes = random.standard_normal((CODES, CODE_WIDTH))
        codes /= np.linalg.norm(codes, axis=1, keepdims=True)
        self._codes = codes.astype(np.float32)

    def call(self, mel):
        """Float (batch, frames, n_mels) → int32 (batch, frames // 2)."""
        mean, variance = tf.nn.moments(mel, 1, keepdims=True)  # of each band, over time
        mel = (mel - mean) * tf.math.rsqrt(variance + 1e-5)
        frames = tf.shape(mel)[1] // MEL_FRAMES
        pairs = tf.reshape(mel[:, : frames * MEL_FRAMES], [-1, frames, MEL_FRAMES * self.n_mels])
        projected = tf.math.l2_normalize(tf.matmul(pairs, self._projection), axis=-1)
        # Both of length 1: the nearest is the one with the largest product.
        return tf.argmax(tf.matmul(projected, self._codes, transpose_b=True), -1, tf.int32)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "n_mels": self.n_mels, "seed": self.seed}


def random_masks(batch: tf.Tensor, frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Stretches that are masked, bool (batch, frames), the same for the same seed, int64 (2,)."""
    starts = tf.random.stateless_uniform([batch, frames], seed) < MASK_START
    starts = tf.pad(tf.cast(starts, tf.float32), [[0, 0], [MASK_FRAMES - 1, 0]])
    return tf.nn.max_pool1d(starts[..., None], MASK_FRAMES, 1, "VALID")[..., 0] > 0


class MaskedPrediction(keras.Model):
    """An encoder with what teaches it: quantizer, masks and a classifier of codes.

    Args:
        encoder: whose layer `log_mel` gives the spectrogram, and whose states come at half its
            frames, as Whisper's.
        seed: of quantizer and masks.
    Raises:
        ValueError: the encoder has no spectrogram.
    """

    def __init__(self, encoder: keras.Model, seed: int = 0):
        super().__init__(name="masked_prediction")
        names = [layer.name for layer in encoder.layers]
        if "log_mel" not in names:
            raise ValueError(
                f"masked prediction needs an encoder of spectrograms. Received: {encoder.name}. "
                "Take speech_small or a Whisper."
            )
        self.log_mel = encoder.get_layer("log_mel")
        self.behind = keras.Model(self.log_mel.output, encoder.output)
        self.quantizer = RandomQuantizer(self.log_mel.n_mels, seed)
        self.classifier = keras.layers.Dense(CODES, dtype="float32", name="classifier")
        self.classifier.build((None, encoder.output_shape[-1]))
        self.seed = seed

    def masked_loss(
        self, waveform: tf.Tensor, step: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Cross-entropy in nats, and share of right guesses, over the masked frames of a batch.

        Args:
            waveform: float (batch, samples).
            step: int64 (), the masks' and the noise's number.
            training: whether the encoder learns.
        """
        mel = self.log_mel(waveform)
        codes = self.quantizer(mel)  # (batch, frames)
        batch, frames = tf.shape(codes)[0], tf.shape(codes)[1]
        seed = tf.stack([tf.constant(self.seed, tf.int64), step])
        masks = random_masks(batch, frames, seed)
        wide = tf.repeat(masks, MEL_FRAMES, axis=1)[..., None]
        noise = NOISE * tf.random.stateless_normal(tf.shape(mel), seed)
        hidden = tf.where(wide, noise, mel[:, : frames * MEL_FRAMES])
        states = self.behind(hidden, training=training)[:, :frames, -1]
        logits = self.classifier(states)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(codes, logits)
        right = tf.argmax(logits, -1, tf.int32) == codes
        weight = tf.cast(masks, tf.float32)
        total = tf.reduce_sum(weight)
        return (
            tf.math.divide_no_nan(tf.reduce_sum(losses * weight), total),
            tf.math.divide_no_nan(tf.reduce_sum(tf.cast(right, tf.float32) * weight), total),
        )
