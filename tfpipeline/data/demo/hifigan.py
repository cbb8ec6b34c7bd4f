"""HiFi-GAN V1 copy-synthesis: a recording's mel spectrogram, turned back into a waveform.

Everything here runs at 22,050 Hz, the rate of the published weights. Waveforms are float32 in
[-1, 1]; mels are natural logarithms of magnitudes, (frames, 80), one frame every 256 samples.

Reference:
    Kong, Kim, Bae (2020), "HiFi-GAN: Generative Adversarial Networks for Efficient and High
    Fidelity Speech Synthesis", https://arxiv.org/abs/2010.05646, and the authors' code,
    https://github.com/jik876/hifi-gan (configuration V1).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import BinaryIO

import keras
import librosa
import numpy as np
import tensorflow as tf

from tfpipeline.files.torch_weights import read_torch_weights

SAMPLE_RATE = 22050
N_FFT = 1024
HOP_LENGTH = 256
EDGE = (N_FFT - HOP_LENGTH) // 2  # samples mirrored at both ends, so that frames = samples // 256
N_MELS = 80
FMAX = 8000.0
CHANNELS = 512
UPSAMPLE_RATES = (8, 8, 2, 2)
UPSAMPLE_KERNELS = (16, 16, 4, 4)
BLOCK_KERNELS = (3, 7, 11)
BLOCK_DILATIONS = (1, 3, 5)


def mel_spectrogram(waveform: np.ndarray) -> np.ndarray:
    """The log-mel that HiFi-GAN was trained on.

    Args:
        waveform: float (samples,) at 22,050 Hz, at least 385 samples.
    Returns:
        float32 (samples // 256, 80), natural logarithm of the magnitude, at least log(1e-5).
    Raises:
        ValueError: the waveform is not one-dimensional, too short, or not finite.
    Reference:
        `mel_spectrogram` in `meldataset.py` of https://github.com/jik876/hifi-gan.
    """
    _check_waveform(waveform)
    padded = np.pad(waveform, EDGE, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    window = np.hanning(N_FFT + 1)[:-1]  # periodic, as torch.hann_window
    spectrum = np.fft.rfft(frames * window)  # (frames, 513)
    magnitude = np.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    return np.log(np.maximum(magnitude @ _mel_basis(), 1e-5)).astype(np.float32)


@functools.cache
def _mel_basis() -> np.ndarray:
    """Slaney's mel filters, (513, 80)."""
    return librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS, fmin=0.0, fmax=FMAX).T


def build_generator() -> keras.Model:
    """The generator, with random weights.

    Returns:
        A model from mel (batch, frames, 80) to waveform (batch, frames * 256). Each layer bears the
        name of its PyTorch counterpart, with `_` for `.`: `resblocks_0_convs1_2`.
    """
    mel = keras.Input((None, N_MELS), name="mel")
    x = _convolution(mel, CHANNELS, 7, name="conv_pre")
    for stage, (rate, kernel) in enumerate(zip(UPSAMPLE_RATES, UPSAMPLE_KERNELS, strict=True)):
        channels = CHANNELS // 2 ** (stage + 1)
        x = keras.layers.LeakyReLU(negative_slope=0.1)(x)
        x = keras.layers.Conv1DTranspose(
            channels, kernel, strides=rate, padding="same", name=f"ups_{stage}"
        )(x)
        first = stage * len(BLOCK_KERNELS)
        blocks = [
            _residual_block(x, channels, kernel, f"resblocks_{first + i}")
            for i, kernel in enumerate(BLOCK_KERNELS)
        ]
        x = keras.layers.Average()(blocks)
    # The reference leaves this slope at PyTorch's default; the weights were trained so.
    x = keras.layers.LeakyReLU(negative_slope=0.01)(x)
    x = _convolution(x, 1, 7, name="conv_post", activation="tanh")  # (batch, frames * 256, 1)
    waveform = keras.layers.Reshape((-1,), name="waveform")(x)  # (batch, frames * 256)
    return keras.Model(mel, waveform, name="hifigan_v1")


def _residual_block(x, channels: int, kernel: int, name: str):
    for i, dilation in enumerate(BLOCK_DILATIONS):
        y = keras.layers.LeakyReLU(negative_slope=0.1)(x)
        y = _convolution(y, channels, kernel, dilation_rate=dilation, name=f"{name}_convs1_{i}")
        y = keras.layers.LeakyReLU(negative_slope=0.1)(y)
        y = _convolution(y, channels, kernel, name=f"{name}_convs2_{i}")
        x = keras.layers.Add()([x, y])
    return x


def _convolution(x, channels: int, kernel: int, **arguments):
    return keras.layers.Conv1D(channels, kernel, padding="same", **arguments)(x)


def load_generator(checkpoint: str | os.PathLike | BinaryIO) -> keras.Model:
    """The generator with published weights, their weight normalization merged.

    Args:
        checkpoint: path or binary file of a V1 generator: `generator_universal.pth.tar`,
            `generator_LJSpeech.pth.tar`, or the authors' `g_02500000`.
    Returns:
        The model of `build_generator`.
    Raises:
        ValueError: not a checkpoint, or its names or shapes are not those of HiFi-GAN V1.
    """
    name = getattr(checkpoint, "name", checkpoint)
    saved = read_torch_weights(checkpoint).get("generator")
    if not isinstance(saved, dict):
        raise ValueError(f"{name}: expected a dict under `generator`. Is it a HiFi-GAN generator?")
    generator = build_generator()
    layers = [layer for layer in generator.layers if layer.weights]
    expected = {
        f"{layer.name}.{part}" for layer in layers for part in ("weight_g", "weight_v", "bias")
    }
    given = {key.replace(".", "_", key.count(".") - 1): saved[key] for key in saved}
    if given.keys() != expected:
        raise ValueError(
            f"{name}: expected the names of HiFi-GAN V1. Received: "
            f"{len(expected - given.keys())} missing {sorted(expected - given.keys())[:3]}, "
            f"{len(given.keys() - expected)} unexpected {sorted(given.keys() - expected)[:3]}. "
            "V2 and V3 are other networks."
        )
    for layer in layers:
        scale, direction, bias = (
            given[f"{layer.name}.{part}"] for part in ("weight_g", "weight_v", "bias")
        )
        # PyTorch: Conv1d (out, in, kernel), ConvTranspose1d (in, out, kernel), normalized over
        # all axes but the first; in Keras both are the other way round.
        shape = layer.kernel.shape[::-1]
        shapes = ((shape[0], 1, 1), shape, layer.bias.shape)
        if (scale.shape, direction.shape, bias.shape) != shapes:
            raise ValueError(
                f"{name}: {layer.name}: expected shapes {shapes} of weight_g, weight_v and bias. "
                f"Received: {(scale.shape, direction.shape, bias.shape)}."
            )
        norm = np.sqrt(np.sum(np.square(direction), axis=(1, 2), keepdims=True))
        layer.set_weights([(scale * direction / norm).transpose(2, 1, 0), bias])
    return generator


def vocode(generator: keras.Model, waveform: np.ndarray) -> np.ndarray:
    """Copy-synthesis: the generator's rendering of a recording's mel.

    A machine gives the same bytes on every call. One recording at a time is also the fastest way:
    on two cores a batch of four took a third longer a recording, and XLA over a half.

    Args:
        generator: as `load_generator` makes it.
        waveform: float (samples,) at 22,050 Hz, at least 385 samples.
    Returns:
        float32 (samples,) at 22,050 Hz, in step with the input.
    Raises:
        ValueError: the waveform is not one-dimensional, too short, or not finite.
    """
    _check_waveform(waveform)
    # To whole frames, so that the last samples have one; mirrored, since a cut to silence clicks.
    padded = np.pad(waveform, (0, -len(waveform) % HOP_LENGTH), mode="reflect")
    mel = mel_spectrogram(padded)
    return _compiled(generator)(mel[np.newaxis]).numpy()[0, : len(waveform)]


@functools.lru_cache(maxsize=1)
def _compiled(generator: keras.Model) -> Callable[[np.ndarray], tf.Tensor]:
    """The generator as one graph for every length.

    Not `generator.predict`, which on a CPU compiles with XLA, and whose graph for the first length
    differs from that for the others: a clip's last bits then depend on the clips before it.
    """
    signature = [tf.TensorSpec((1, None, N_MELS), tf.float32)]
    return tf.function(lambda mel: generator(mel, training=False), input_signature=signature)


def _check_waveform(waveform: np.ndarray) -> None:
    if np.ndim(waveform) != 1 or not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(
            "a waveform is float (samples,), mono, in [-1, 1]. Received: shape "
            f"{np.shape(waveform)}, {np.asarray(waveform).dtype}. Are these 16-bit integers, or "
            "two channels?"
        )
    if len(waveform) <= EDGE:
        raise ValueError(
            f"a mel needs more than {EDGE} samples, by which the ends are mirrored. "
            f"Received: {len(waveform)}. Repeat the clip, or leave it out."
        )
    n_bad = np.count_nonzero(~np.isfinite(waveform))
    if n_bad:
        raise ValueError(
            f"a waveform is finite. Received: {n_bad} samples that are not. Is the file damaged?"
        )
