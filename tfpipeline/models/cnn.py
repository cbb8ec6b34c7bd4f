"""The CNN on mel-spectrograms: convolutions and max-pooling, then attentive statistics over time.

Under a million parameters. The spectrogram is downsampled by max-pooling, so that a short trace
survives; frequency is kept apart until the pooling, since vocoder traces sit in known bands; mean
and deviation over time, weighted by attention, make any length into one vector. One convolution a
block: a second one, with a shortcut, made training on a CPU three times slower.

The baseline CNN of the IndicTTS deepfake challenge, as a yardstick.

Conv 32, pool, Conv 64, pool, Dense 64, 32, 16, each with batch normalization and dropout, on a
128 x 128 mel-spectrogram. Of its faults these are fixed: audio is resampled to the rate that is
assumed, a short clip is repeated instead of padded with the loudest value, and validation is a
labelled part with speakers of its own.
"""

from __future__ import annotations

import keras

from tfpipeline.config import AtLeastZero, Count, ShareBelowOne
from tfpipeline.models.layers import AttentiveStatisticsPooling, batch_normalization


def build_cnn(
    frames: int | None,
    n_mels: int,
    *,
    channels: tuple[Count, ...] = (16, 32, 64, 96),
    block_dropout: ShareBelowOne = 0.0,
    head_units: Count = 64,
    head_dropout: ShareBelowOne = 0.2,
    weight_decay: AtLeastZero = 0.0,
) -> keras.Model:
    """Builds the network from a log-mel spectrogram to a score.

    Args:
        frames: ignored; any number of frames does.
        n_mels: mel bands.
        channels: filters of each block; each block but the last halves both axes.
        block_dropout: spatial dropout after each block.
        head_units: width of the hidden dense layer.
        head_dropout: dropout before the score.
        weight_decay: L2 on the convolution and dense kernels.
    Returns:
        Model from (batch, frames, n_mels) to the log-odds of spoof, float32 (batch, 1).
    """
    regularizer = keras.regularizers.L2(weight_decay)

    spectrogram = keras.Input((None, n_mels), name="spectrogram")
    x = keras.layers.Reshape((-1, n_mels, 1))(spectrogram)  # (batch, frames, n_mels, 1)
    x = batch_normalization()(x)
    for number, filters in enumerate(channels):
        x = keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=regularizer,
        )(x)
        x = batch_normalization()(x)
        x = keras.layers.Activation("relu")(x)
        if number < len(channels) - 1:
            x = keras.layers.MaxPooling2D(2, padding="same")(x)
        x = keras.layers.SpatialDropout2D(block_dropout)(x)
    x = keras.layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)  # (batch, time, bands * filters)
    x = AttentiveStatisticsPooling(units=head_units)(x)
    x = batch_normalization()(x)
    x = keras.layers.Dense(head_units, activation="relu", kernel_regularizer=regularizer)(x)
    x = keras.layers.Dropout(head_dropout)(x)
    score = keras.layers.Dense(1, dtype="float32", name="score")(x)
    return keras.Model(spectrogram, score, name="cnn")


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
