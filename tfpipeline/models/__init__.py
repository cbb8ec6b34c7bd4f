"""The models that `model.name` can name: one file, one row each.

A network's builder takes `(frames, n_mels, *, options…)` and returns a Keras model from a log-mel
spectrogram (batch, frames, n_mels) to the log-odds of spoof (batch, 1). Its keyword arguments are
the options that a config may set, with their defaults.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from tfpipeline.models.backbones import BACKBONES
from tfpipeline.models.cnn import build_baseline_cnn, build_cnn
from tfpipeline.models.image_network import image_network

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "cnn": build_cnn,
    "baseline_cnn": build_baseline_cnn,
    **{name: image_network(name) for name in BACKBONES},
}
