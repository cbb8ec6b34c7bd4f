"""The baseline CNN of the IndicTTS deepfake challenge, as a yardstick.

Conv 32, pool, Conv 64, pool, Dense 64, 32, 16, each with batch normalization and dropout, on a
128 x 128 mel-spectrogram. Of its faults these are mended: audio is resampled to the rate that is
assumed, a short clip is repeated instead of padded with the loudest value, and validation is a
labelled part with speakers of its own.
"""

from __future__ import annotations

import keras

from tfpipeline.config import AtLeastZero, ShareBelowOne
from tfpipeline.models.batch_norm import batch_normalization


def build_baseline_cnn(
    frames: int | None,
    n_mels: int,
    *,
    dropout: ShareBelowOne = 0.1,
    weight_decay: AtLeastZero = 1e-4,
) -> keras.Model:
    """Builds the network from a log-mel spectrogram of one fixed length to a score.

    Args:
        frames: of the window; the dense layers need a fixed number.
        n_mels: mel bands.
        dropout: after each layer.
        weight_decay: L2 on every kernel.
    Returns:
        Model from (batch, frames, n_mels) to the log-odds of spoof, float32 (batch, 1).
    """
    regularizer = keras.regularizers.L2(weight_decay)
    spectrogram = keras.Input((frames, n_mels), name="spectrogram")
    x = keras.layers.Reshape((frames, n_mels, 1))(spectrogram)
    for filters in (32, 64):
        x = keras.layers.Conv2D(filters, 3, activation="relu", kernel_regularizer=regularizer)(x)
        x = batch_normalization()(x)
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Flatten()(x)
    for units in (64, 32, 16):
        x = keras.layers.Dense(units, activation="relu", kernel_regularizer=regularizer)(x)
        x = batch_normalization()(x)
        x = keras.layers.Dropout(dropout)(x)
    score = keras.layers.Dense(1, kernel_regularizer=regularizer, dtype="float32", name="score")(x)
    return keras.Model(spectrogram, score, name="baseline_cnn")
