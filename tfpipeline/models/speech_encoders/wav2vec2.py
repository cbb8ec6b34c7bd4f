"""wav2vec 2.0, XLS-R and HuBERT, equal to those of Hugging Face's transformers.

Layers carry PyTorch's names, so that a state dict says which weights are whose. The weight norm of
the positional convolution is no part of the network: its weights come multiplied out.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from tfpipeline.models.speech_encoders.layers import (
    FrameMask,
    PositionalConvolution,
    TimeNormalization,
    WaveformNormalization,
)
from tfpipeline.models.speech_encoders.settings import Wav2Vec2Settings
from tfpipeline.models.speech_encoders.transformer import BlockNames, transformer_block

NAMES = BlockNames(
    attention="attention",
    attention_norm="layer_norm",
    widen="feed_forward.intermediate_dense",
    narrow="feed_forward.output_dense",
    final_norm="final_layer_norm",
)


def build_wav2vec2(
    settings: Wav2Vec2Settings,
    layers: int | None = None,
    masked: bool = False,
    final_norm: bool = False,
) -> keras.Model:
    """Builds wav2vec 2.0 or HuBERT with random weights.

    Args:
        settings: the architecture.
        layers: so many first transformer blocks; None for all.
        masked: take the clips' true lengths too, so that padding behind a clip changes none of its
            frames. What comes out behind its end means nothing.
        final_norm: where blocks normalize what goes into them, normalize the last state too, which
            makes it the `last_hidden_state` of transformers, and its last of `hidden_states` up to
            version 4; version 5 leaves that as it is.
    Returns:
        Model from `waveform`, float32 (batch, samples) at 16 kHz, and if `masked` from `samples`,
        int32 (batch,), to the hidden states (batch, frames, layers + 1, width). State 0 is what
        goes into the first block, state k what comes out of block k.
    Raises:
        ValueError: more layers are asked than there are.

    Example:
        >>> tiny = Wav2Vec2Settings(hidden_size=48, num_hidden_layers=2, intermediate_size=96)
        >>> build_wav2vec2(tiny)(keras.ops.zeros((1, 16_000))).shape
        TensorShape([1, 49, 3, 48])
    """
    return build_encoder(settings, layers, masked, final_norm, "wav2vec2", lambda x, hidden: hidden)


def build_encoder(
    settings: Wav2Vec2Settings,
    layers: int | None,
    masked: bool,
    final_norm: bool,
    name: str,
    attention_bias: Callable,
) -> keras.Model:
    """What wav2vec 2.0 and WavLM share.

    Args:
        settings, layers, masked, final_norm: see `build_wav2vec2`.
        name: of the model.
        attention_bias: (frames, bias that hides the padding or None) → the blocks' bias, see
            `transformer_block`.
    """
    count = settings.count_layers(layers)
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    samples = keras.Input((), name="samples", dtype="int32") if masked else None
    x = _features(waveform, samples, settings)
    if settings.feat_proj_layer_norm:
        x = _norm(x, settings.layer_norm_eps, "feature_projection.layer_norm")
    x = keras.layers.Dense(settings.hidden_size, name="feature_projection.projection")(x)
    hidden = None
    if masked:
        x, hidden = FrameMask(name="mask")(x, settings.frames(samples))
    x = PositionalConvolution(
        settings.num_conv_pos_embeddings,
        settings.num_conv_pos_embedding_groups,
        name="encoder.pos_conv_embed.conv",
    )(x)
    stable = settings.do_stable_layer_norm
    if not stable:
        x = _norm(x, settings.layer_norm_eps, "encoder.layer_norm")
    bias = attention_bias(x, hidden)
    states = [x]
    for number in range(count):
        x = transformer_block(
            x,
            f"encoder.layers.{number}.",
            NAMES,
            heads=settings.num_attention_heads,
            hidden=settings.intermediate_size,
            norm_first=stable,
            epsilon=settings.layer_norm_eps,
            bias=bias,
        )
        states.append(x)
    if stable and final_norm:
        states[-1] = _norm(x, settings.layer_norm_eps, "encoder.layer_norm")
    output = keras.ops.stack(states, axis=2)  # (batch, frames, layers + 1, width)
    return keras.Model([waveform, samples] if masked else waveform, output, name=name)


def _features(
    waveform: keras.KerasTensor, samples: keras.KerasTensor | None, settings: Wav2Vec2Settings
) -> keras.KerasTensor:
    """The convolutions on the waveform: (batch, frames, channels)."""
    x = waveform
    if settings.do_normalize:
        x = WaveformNormalization(dtype="float32", name="waveform_normalization")(x, samples)
    x = keras.layers.Reshape((-1, 1), name="one_channel")(x)
    for number, channels in enumerate(settings.conv_dim):
        name = f"feature_extractor.conv_layers.{number}"
        kernel, stride = settings.conv_kernel[number], settings.conv_stride[number]
        x = keras.layers.Conv1D(
            channels, kernel, stride, use_bias=settings.conv_bias, name=f"{name}.conv"
        )(x)
        if settings.feat_extract_norm == "layer":
            x = _norm(x, 1e-5, f"{name}.layer_norm")
        elif number == 0:
            x = TimeNormalization(kernel, stride, name=f"{name}.layer_norm")(x, samples)
        x = keras.layers.Activation("gelu", name=f"{name}.gelu")(x)
    return x


def _norm(x: keras.KerasTensor, epsilon: float, name: str) -> keras.KerasTensor:
    return keras.layers.LayerNormalization(epsilon=epsilon, name=name)(x)
