"""Random equalization of log-mel spectrograms, in training only: another microphone each time."""

from __future__ import annotations

import keras
import tensorflow as tf

KNOTS = 6


@keras.saving.register_keras_serializable("tfpipeline")
class RandomEqualization(keras.layers.Layer):
    """Adds to each spectrogram a smooth curve over frequency, the same in all its frames.

    In dB a linear filter is such a curve. It is linear between `KNOTS` draws, evenly spread over
    the mel bands; each example has its own.

    Args:
        eq_db: the draws lie in [-eq_db, eq_db]; 0 is off.
        seed: of the draws.
    """

    def __init__(self, eq_db: float = 0.0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.eq_db = eq_db
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, spectrogram: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Equalizes (batch, frames, n_mels) in dB in training; else returns it as it is."""
        if not training or not self.eq_db:
            return spectrogram
        batch, bands = tf.shape(spectrogram)[0], spectrogram.shape[2]
        knots = keras.random.uniform(
            [batch, KNOTS], -self.eq_db, self.eq_db, seed=self.seed_generator
        )
        # The weight of knot k at band b falls off linearly from 1 to 0 at its neighbours.
        places = tf.linspace(0.0, KNOTS - 1.0, bands)  # (n_mels,)
        weights = tf.maximum(0.0, 1 - tf.abs(places[None, :] - tf.range(float(KNOTS))[:, None]))
        curve = knots @ weights  # (batch, n_mels)
        return spectrogram + curve[:, None, :]

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "eq_db": self.eq_db, "seed": self.seed}
