"""The image networks that can be fine-tuned: name → network without its classifier."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras

from tfpipeline.models.applications import APPLICATIONS, build_application
from tfpipeline.models.efficientnet_lite0 import build_efficientnet_lite0
from tfpipeline.models.resnet18 import build_resnet18

BACKBONES: dict[str, Callable[[], keras.Model]] = {
    "resnet18": build_resnet18,
    "efficientnet_lite0": build_efficientnet_lite0,
    **{name: functools.partial(build_application, name) for name in APPLICATIONS},
}
