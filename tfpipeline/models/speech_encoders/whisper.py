"""Whisper's encoder, on clips of any length up to 30 s, without its padding to 30 s.

Its log-mel spectrogram, as OpenAI computes it, is the encoder's first layer. Layers carry the names
that Hugging Face's weights have.

Reference:
    Radford et al. (2022), "Robust speech recognition via large-scale weak supervision",
    https://github.com/openai/whisper; compared with transformers' `WhisperEncoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import keras
import tensorflow as tf

from tfpipeline.config import Count
from tfpipeline.features.mel import LogMel
from tfpipeline.features.waveforms import in_groups
from tfpipeline.files.strict import Section, check
from tfpipeline.models.speech_encoders.settings import check_layers
from tfpipeline.models.speech_encoders.transformer import BlockNames, transformer_block

NAMES = BlockNames("self_attn", "self_attn_layer_norm", "fc1", "fc2", "final_layer_norm")
POSITIONS = 1500  # frames of 20 ms


class WhisperSettings(Section):
    """The size of an encoder, by the names of `config.json`; the defaults are Whisper tiny's.

    Attributes:
        d_model: width of the states.
        encoder_layers: transformer blocks in all.
        encoder_attention_heads: of each.
        num_mel_bins: mel bands.

    Example:
        >>> WhisperSettings().count_layers(None)
        4
    """

    d_model: Count = 384
    encoder_layers: Count = 4
    encoder_attention_heads: Count = 6
    num_mel_bins: Count = 80

    @classmethod
    def from_hub(
        cls,
        config: Mapping[str, Any],
        preprocessor: Mapping[str, Any] | None = None,
        source: str = "config.json",
    ) -> Self:
        """The settings that a folder of the Hugging Face hub states; see `Wav2Vec2Settings`."""
        width = config.get("d_model", cls().d_model)
        required = {"encoder_ffn_dim": 4 * width, "max_source_positions": POSITIONS}
        for key, value in {**required, "activation_function": "gelu"}.items():
            if config.get(key, value) != value:
                raise ValueError(f"{source}: {key} must be {value!r}. Received: {config[key]!r}.")
        return check(cls, {k: config[k] for k in cls.model_fields if k in config}, source)

    def count_layers(self, layers: int | None) -> int:
        """So many first layers, all where it is None; see `check_layers`."""
        return check_layers(layers, self.encoder_layers)


WHISPER_TINY = WhisperSettings()
WHISPER_BASE = WhisperSettings(d_model=512, encoder_layers=6, encoder_attention_heads=8)


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

    def torch_parts(self) -> list[tuple[str, keras.Variable, tuple[int, ...]]]:
        """PyTorch's name of the table, the variable, and the order of its axes."""
        return [("weight", self.table, (0, 1))]

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
    count, width = settings.count_layers(layers), settings.d_model
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    x = WhisperLogMel(settings.num_mel_bins, name="log_mel")(waveform)
    for name, stride in (("conv1", 1), ("conv2", 2)):
        x = keras.layers.ZeroPadding1D(1)(x)
        x = keras.layers.Conv1D(width, 3, stride, name=name)(x)
        x = keras.layers.Activation("gelu")(x)
    x = AddPositions(name="embed_positions")(x)
    states = [x]
    for number in range(count):
        x = transformer_block(
            x,
            f"layers.{number}.",
            NAMES,
            heads=settings.encoder_attention_heads,
            hidden=4 * width,
            norm_first=True,
            key_bias=False,
        )
        states.append(x)
    if count == settings.encoder_layers:
        states[-1] = keras.layers.LayerNormalization(epsilon=1e-5, name="layer_norm")(x)
    return keras.Model(waveform, keras.ops.stack(states, axis=2), name="whisper")
