"""A detector: the front end and a network behind it, as one Keras model of waveforms.

The front end conditions the waveform, and makes the log-mel spectrogram of it.
"""

from __future__ import annotations

import inspect
import typing
from dataclasses import dataclass
from typing import Any

import keras
from pydantic import create_model

from tfpipeline.config import Config
from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.features.conditioning import conditioning_layer
from tfpipeline.features.equalise import RandomEqualization
from tfpipeline.features.masking import SpectrogramMasking
from tfpipeline.features.mel import LogMel
from tfpipeline.features.normalise import SpectrogramNormalization
from tfpipeline.files.strict import Section, check
from tfpipeline.models import NETWORKS


@dataclass(frozen=True)
class Detector:
    """A network in its two parts and as a whole; the parts share their weights with the whole.

    Attributes:
        front_end: waveform (batch, samples) → spectrogram (batch, frames, n_mels).
        body: spectrogram → log-odds of spoof (batch, 1).
        model: waveform → log-odds of spoof (batch, 1).
        window: samples in the window that it was made for.
    """

    front_end: keras.Model
    body: keras.Model
    model: keras.Model
    window: int

    @property
    def backbone(self) -> keras.Model | None:
        """The image network inside the body that can be pretrained; None where there is none."""
        network = next(layer for layer in self.body.layers if isinstance(layer, keras.Model))
        return next((own for own in network.layers if isinstance(own, keras.Model)), None)


def window_samples(config: Config) -> int:
    """Samples in a window that is scored."""
    return round(config.data.window_seconds * SAMPLE_RATE)


def crop_samples(config: Config) -> int:
    """Samples in a crop that is trained on."""
    return round((config.data.crop_seconds or config.data.window_seconds) * SAMPLE_RATE)


def mel_layer(config: Config) -> LogMel:
    """The configured log-mel front end, without normalization."""
    settings = config.mel.model_dump(exclude={"normalize", "place", "device"})
    return LogMel(sample_rate=SAMPLE_RATE, name="log_mel", **settings)


def build_detector(config: Config) -> Detector:
    """Builds the configured network, front end included, with fresh weights.

    Raises:
        ValueError: an unknown model or option, or settings that do not go together.
    """
    window = window_samples(config)
    mel = mel_layer(config)
    # Fixed kernels, computed in full precision: half precision would lose the quiet bands.
    normalization = SpectrogramNormalization(
        config.mel.normalize, dtype="float32", name="normalisation"
    )
    augment = config.augment
    equalization = RandomEqualization(
        augment.eq_db, seed=config.seed, dtype="float32", name="equalisation"
    )
    masking = SpectrogramMasking(
        time_masks=augment.time_masks,
        time_mask_frames=augment.time_mask_frames,
        frequency_masks=augment.frequency_masks,
        frequency_mask_bins=augment.frequency_mask_bins,
        seed=config.seed,
        dtype="float32",
        name="masking",
    )
    network = _build_network(config, mel.frame_count(window))

    waveform = keras.Input((None,), name="waveform", dtype="float32")
    condition = conditioning_layer(config.front_end)
    conditioned = condition(waveform) if condition else waveform
    front_end = keras.Model(waveform, normalization(mel(conditioned)), name="front_end")
    spectrogram = keras.Input(network.input_shape[1:], name="spectrogram", dtype="float32")
    body = keras.Model(spectrogram, network(masking(equalization(spectrogram))), name="body")
    model = keras.Model(waveform, body(front_end(waveform)), name=config.model.name)
    return Detector(front_end, body, model, window)


def _build_network(config: Config, frames: int) -> keras.Model:
    """Builds the body, its options checked against the builder's signature."""
    name = config.model.name
    if name not in NETWORKS:
        raise ValueError(f"a network must be one of {', '.join(NETWORKS)}. Received: {name!r}")
    build = NETWORKS[name]
    return build(frames, config.mel.n_mels, **model_options(build, config))


def model_options(build: typing.Callable, config: Config) -> dict[str, Any]:
    """The config's options for a builder, typed and bounded as its keyword arguments are.

    Raises:
        ValueError: options that the builder does not have, or that break their rules.
    """
    hints = typing.get_type_hints(build, include_extras=True)
    known = {
        parameter.name: (hints[parameter.name], parameter.default)
        for parameter in inspect.signature(build).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    kind = create_model("Options", __base__=Section, **known)
    options = check(kind, config.model.options, f"config {config.name}", "model.")
    return {key: getattr(options, key) for key in options.model_fields_set}
