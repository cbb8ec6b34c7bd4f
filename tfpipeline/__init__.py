"""tfpipeline: train, evaluate and serve audio-deepfake detectors on TensorFlow and Keras.

Everything that is named here is imported when it is first used, so that `import tfpipeline` is
fast, and a command answers `--help` before TensorFlow starts.

Example:
    >>> import tfpipeline as tfp
    >>> tfp.evaluate_scores([0, 0, 1, 1], [-2.0, 0.5, 0.1, 3.0])["auc"]
    0.75
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfpipeline.api import Run, evaluate_scores, fit, load, load_clips
    from tfpipeline.config import Config
    from tfpipeline.features.mel import LogMel
    from tfpipeline.prediction.detector import Detector, Verdict

__version__ = "0.1.0"

_PUBLIC = {
    "load": "tfpipeline.api",
    "fit": "tfpipeline.api",
    "evaluate_scores": "tfpipeline.api",
    "load_clips": "tfpipeline.api",
    "Run": "tfpipeline.api",
    "Detector": "tfpipeline.prediction.detector",
    "Verdict": "tfpipeline.prediction.detector",
    "LogMel": "tfpipeline.features.mel",
    "Config": "tfpipeline.config",
}
__all__ = [
    "Config",
    "Detector",
    "LogMel",
    "Run",
    "Verdict",
    "evaluate_scores",
    "fit",
    "load",
    "load_clips",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfpipeline' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
