"""A detector: the front end and a network behind it, as one Keras model of waveforms.

The front end conditions the waveform, and makes the log-mel spectrogram of it.

Scores of clips: a detector over all windows of each.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from pydantic import create_model

from tfpipeline.config import Config
from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.pipeline import scoring_batches
from tfpipeline.features.augment import RandomEqualization, SpectrogramMasking
from tfpipeline.features.conditioning import conditioning_layer
from tfpipeline.features.mel import LogMel
from tfpipeline.features.normalize import SpectrogramNormalization
from tfpipeline.files.strict import Section, check
from tfpipeline.models.families import find_family


@dataclass(frozen=True)
class DetectorModel:
    """A network in its two parts and as a whole; the parts share their weights with the whole.

    Attributes:
        front_end: waveform (batch, samples) → spectrogram (batch, frames, n_mels), or the
            conditioned waveform for a speech encoder.
        body: what the front end gives → log-odds of spoof (batch, 1).
        model: waveform → log-odds of spoof (batch, 1).
        window: samples in the window that it was made for.
    """

    front_end: keras.Model
    body: keras.Model
    model: keras.Model
    window: int

    @property
    def backbone(self) -> keras.Model | None:
        """The network inside the body that can be pretrained; None where there is none."""
        network = next(layer for layer in self.body.layers if isinstance(layer, keras.Model))
        return next((part for part in network.layers if isinstance(part, keras.Model)), None)

    @property
    def head(self) -> keras.Model | None:
        """What is behind a speech encoder: its states → log-odds; None for other networks."""
        network = next(layer for layer in self.body.layers if isinstance(layer, keras.Model))
        return next((part for part in network.layers if part.name == "head"), None)


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


def build_detector(config: Config) -> DetectorModel:
    """Builds the configured network, front end included, with fresh weights.

    Raises:
        ValueError: an unknown model or option, or settings that do not go together.
    """
    window = window_samples(config)
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    condition = conditioning_layer(config.front_end)
    conditioned = condition(waveform) if condition else waveform
    if find_family(config.model.name).kind == "speech":
        # The encoder has its own front end. Without a layer, input and output would be one tensor.
        seen = conditioned if condition else keras.layers.Identity()(waveform)
        network = _build_network(config, 0)
        inner = keras.Input((None,), name="conditioned", dtype="float32")
        score = network(inner)
    else:
        mel = mel_layer(config)
        seen = _normalization(config)(mel(conditioned))
        network = _build_network(config, mel.frame_count(window))
        inner = keras.Input(network.input_shape[1:], name="spectrogram", dtype="float32")
        score = network(_augmented(config, inner))
    front_end = keras.Model(waveform, seen, name="front_end")
    body = keras.Model(inner, score, name="body")
    model = keras.Model(waveform, body(front_end(waveform)), name=config.model.name)
    return DetectorModel(front_end, body, model, window)


def _normalization(config: Config) -> SpectrogramNormalization:
    # Fixed kernels, computed in full precision: half precision would lose the quiet bands.
    return SpectrogramNormalization(config.mel.normalize, dtype="float32", name="normalisation")


def _augmented(config: Config, spectrogram: keras.KerasTensor) -> keras.KerasTensor:
    """The spectrogram, in training with a random equalization and masks."""
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
    return masking(equalization(spectrogram))


def _build_network(config: Config, frames: int) -> keras.Model:
    """Builds the body, its options checked against the builder's signature."""
    family = find_family(config.model.name)
    if family.is_classical:
        raise ValueError(f"a network is needed here. Received: {config.model.name}")
    build = family.build
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


def weights_source(config: Config) -> str:
    """Where the weights that a backbone begins with come from: the config's, or the default."""
    build = find_family(config.model.name).build
    default = inspect.signature(build).parameters["weights"].default
    return model_options(build, config).get("weights", default)


class ClipScorer:
    """Scores clips with one compiled graph, whatever the batch.

    A clip's score is the mean of its windows' log-odds, of channels that are judged apart the
    highest of their means.

    Args:
        model: waveform (batch, samples) → log-odds (batch, 1).
        window: samples in a window.
        batch_size: windows scored at once; it does not change the scores.
    """

    def __init__(self, model: keras.Model, window: int, batch_size: int = 32):
        self.window = window
        self.batch_size = batch_size
        self._score = tf.function(
            lambda waveform: model(waveform, training=False)[:, 0],
            input_signature=[tf.TensorSpec([None, window], tf.float32)],
        )

    def score_clips(self, audio: Audio) -> np.ndarray:
        """The raw log-odds of each clip, float64 (n_clips,), higher = more likely spoof.

        NaN of a clip that was lost on the way.

        Raises:
            ValueError: too many were.
        """
        places, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
        with audio.lost.told():
            for index, values in self._windows(audio):
                places.append(index)
                scores.append(values.astype(np.float64))
        places, scores = np.concatenate(places), np.concatenate(scores)
        # The windows of a channel lie side by side, and each channel of a clip has as many.
        channels = np.ones(audio.n_clips, int) if audio.channels is None else audio.channels
        counts = np.bincount(places, minlength=audio.n_clips)
        first = np.repeat(np.cumsum(channels) - channels, counts)
        rank = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        channel = first + rank // np.maximum(1, np.repeat(counts // channels, counts))
        with np.errstate(invalid="ignore"):
            means = np.bincount(channel, scores, channels.sum()) / np.bincount(
                channel, minlength=channels.sum()
            )
        return np.maximum.reduceat(means, np.cumsum(channels) - channels) if len(means) else means

    def _windows(self, audio: Audio) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of windows: the clip that each is of, and its score."""
        for index, waveform in scoring_batches(audio, self.window, self.batch_size):
            yield index.numpy(), self._score(waveform).numpy()

    def score_waveform(self, waveform: np.ndarray) -> float:
        """The raw log-odds of one waveform, float32 (samples,)."""
        samples = tf.constant(waveform)
        return float(self.score_clips(Audio(lambda index: samples, 1))[0])


def without_lost(
    clips: pd.DataFrame, audio: Audio, scores: np.ndarray
) -> tuple[pd.DataFrame, Audio, np.ndarray]:
    """Clips, their audio and scores without the clips that were lost on the way."""
    there = ~np.isnan(scores)
    if there.all():
        return clips, audio, scores
    return clips[there].reset_index(drop=True), audio.subset(there), scores[there]
