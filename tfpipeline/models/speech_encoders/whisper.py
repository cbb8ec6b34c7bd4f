"""Whisper's encoder, on clips of any length up to 30 s, without its padding to 30 s.

Its log-mel spectrogram, as OpenAI computes it, is the encoder's first layer. Layers carry the names
that Hugging Face's weights have.

Reference:
    Radford et al. (2022), "Robust speech recognition via large-scale weak supervision",
    https://github.com/openai/whisper; compared with transformers' `WhisperEncoder`.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import tensorflow as tf

from tfpipeline.features.mel import LogMel
from tfpipeline.features.waveforms import in_groups
from tfpipeline.models.speech_encoders.transformer import (
    BlockNames,
    StackedStates,
    transformer_block,
)

NAMES = BlockNames("self_attn", "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm")
POSITIONS = 1500  # frames of 20 ms


@dataclass(frozen=True)
class WhisperSettings:
    """The size of an encoder.

    Attributes:
        width: of its states.
        heads: of its attention.
        layers: transformer blocks in all.
        n_mels: mel bands.
    """

    width: int
    heads: int
    layers: int
    n_mels: int = 80


WHISPER_TINY = WhisperSettings(384, 6, 4)
WHISPER_BASE = WhisperSettings(512, 8, 6)


@keras.saving.register_keras_serializable("tfpipeline")
class WhisperLogMel(LogMel):
    """OpenAI's log-mel spectrogram: a frame for 10 ms, the floor 80 dB below the peak.

    Args:
        n_mels: mel bands.
        **kwargs: `name` and the like.
    Reference:
        `whisper.audio.log_mel_spectrogram`.

    Example:
        >>> WhisperLogMel()(tf.zeros((2, 16_000))).shape
        TensorShape([2, 100, 80])
    """

    def __init__(self, n_mels: int = 80, **kwargs):
        super().__init__(
            sample_rate=16_000,
            n_fft=400,
            hop_length=160,
            n_mels=n_mels,
            pad_mode="reflect",
            **kwargs,
        )

    def call(self, waveform):
        """Float (batch, samples), 201 or more → (batch, samples // 160, n_mels)."""
        samples = waveform.shape[1]
        frames = None if samples is None else self.frame_count(samples)
        return in_groups(
            lambda clips: self.log_mel(self.power_spectrogram(clips)[:, :-1]) / 40 + 1,
            waveform,
            (frames, self.n_mels),
            self.compute_dtype,
        )

    def frame_count(self, samples: int) -> int:
        """Frames of a clip."""
        return super().frame_count(samples) - 1

    def get_config(self):
        base = keras.layers.Layer.get_config(self)
        return {**base, "n_mels": self.n_mels}


@keras.saving.register_keras_serializable("tfpipeline")
class AddPositions(keras.layers.Layer):
    """Adds a table's first rows to the frames.

    Args:
        positions: rows of the table.
    """

    def __init__(self, positions: int = POSITIONS, **kwargs):
        super().__init__(**kwargs)
        self.positions = positions

    def build(self, input_shape: tuple) -> None:
        """Creates the table."""
        shape = (self.positions, input_shape[-1])
        self.table = self.add_weight(shape=shape, name="weight", initializer="random_normal")

    def call(self, x):
        """Float (batch, frames, width) → the same shape; frames must not exceed the table."""
        frames = keras.ops.shape(x)[1]
        if not isinstance(frames, int):
            tf.debugging.assert_less_equal(
                frames, self.positions, "Whisper takes clips of 30 s at most."
            )
        elif frames > self.positions:
            raise ValueError(
                "Whisper takes windows of 30 s at most. "
                f"Received: {frames / 50:g} s. Set data.window_seconds to 30 or less."
            )
        return x + keras.ops.cast(self.table[:frames], x.dtype)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "positions": self.positions}


def build_whisper(settings: WhisperSettings, layers: int | None = None) -> keras.Model:
    """The encoder, or its first layers, with random weights.

    Args:
        settings: its size.
        layers: the number of transformer blocks; None: all.
    Returns:
        Model from waveforms (batch, samples) at 16 kHz to the states before and after each block,
        (batch, frames, layers + 1, width), a frame for 20 ms. The last state of the whole encoder
        is normalized, as its decoder takes it.
    Raises:
        ValueError: more layers than there are.

    Example:
        >>> build_whisper(WHISPER_TINY, layers=2)(tf.zeros((1, 16_000))).shape
        TensorShape([1, 50, 3, 384])
    """
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    x = WhisperLogMel(settings.n_mels, name="log_mel")(waveform)
    for name, stride in (("conv1", 1), ("conv2", 2)):
        x = keras.layers.ZeroPadding1D(1)(x)
        x = keras.layers.Conv1D(settings.width, 3, stride, name=name)(x)
        x = keras.layers.Activation("gelu")(x)
    x = AddPositions(name="embed_positions")(x)
    states = [x]
    blocks = settings.layers if layers is None else layers
    for number in range(blocks):
        x = transformer_block(
            x,
            f"layers.{number}.",
            NAMES,
            heads=settings.heads,
            hidden=4 * settings.width,
            norm_first=True,
            key_bias=False,
        )
        states.append(x)
    if blocks == settings.layers:
        states[-1] = keras.layers.LayerNormalization(epsilon=1e-5, name="layer_norm")(x)
    return keras.Model(waveform, StackedStates(name="states")(states), name="whisper")
