"""The models that `model.name` can name: one table, one record each.

A network's builder takes `(frames, n_mels, *, options…)` and returns a Keras model from a log-mel
spectrogram (batch, frames, n_mels) to the log-odds of spoof (batch, 1); around a speech encoder,
from the waveform (batch, samples). A classical model's takes `(seed, *, options…)` and returns an
estimator of hand-made features. The keyword arguments are the options that a config may set, with
their defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.classical.contributions import EXPLAINED
from tfpipeline.models.classical.fitting import CLASSIFIERS
from tfpipeline.models.cnn import build_baseline_cnn, build_cnn
from tfpipeline.models.image_network import image_network
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_network import speech_network


@dataclass(frozen=True)
class Family:
    """What the rest of the project knows of a model.

    Attributes:
        build: the builder.
        kind: `network` on spectrograms; `image`, a network on them around a pretrained backbone;
            `speech`, a network on waveforms around a speech encoder; or `classical`, on hand-made
            features.
        explained: by what a score can be explained: `evidence`, a picture of where in time and
            frequency it comes from; `contributions` of the features; None.
    """

    build: Callable
    kind: Literal["network", "image", "speech", "classical"]
    explained: Literal["evidence", "contributions"] | None

    @property
    def is_classical(self) -> bool:
        """Whether it is fitted on hand-made features."""
        return self.kind == "classical"

    @property
    def is_pretrained(self) -> bool:
        """Whether it has a backbone that can begin with pretrained weights."""
        return self.kind in ("image", "speech")


FAMILIES: dict[str, Family] = {
    "cnn": Family(build_cnn, "network", "evidence"),
    "baseline_cnn": Family(build_baseline_cnn, "network", "evidence"),
    **{name: Family(image_network(name), "image", "evidence") for name in BACKBONES},
    **{name: Family(speech_network(name), "speech", "evidence") for name in SPEECH_ENCODERS},
    **{
        name: Family(build, "classical", "contributions" if name in EXPLAINED else None)
        for name, build in CLASSIFIERS.items()
    },
}


def find_family(name: str) -> Family:
    """The record of a model.

    Raises:
        ValueError: there is no such model.
    """
    if name not in FAMILIES:
        raise ValueError(f"model.name must be one of {', '.join(FAMILIES)}. Received: {name!r}")
    return FAMILIES[name]
