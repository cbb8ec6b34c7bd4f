"""A detector of the boosting branch: hand-made features and a fitted model, from waveforms on."""

from __future__ import annotations

from pathlib import Path

import keras

from tfpipeline.config import Config
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.models.classical.arrays import DenseModel, TreeEnsemble, load_arrays
from tfpipeline.models.classical.graph import FittedScore
from tfpipeline.models.detector import DetectorModel, window_samples
from tfpipeline.runs import layout


def build_feature_detector(config: Config, fitted: TreeEnsemble | DenseModel) -> DetectorModel:
    """Builds the detector of a fitted classifier.

    Raises:
        ValueError: the model was fitted on other features than the config names.
    """
    features = HandcraftedFeatures(
        config.features.set, **config.front_end.model_dump(), name="features"
    )
    if fitted.n_features != len(features.names):
        raise ValueError(
            f"the model must take the {len(features.names)} features of the set "
            f"{config.features.set}. Received: one of {fitted.n_features}. Is it another run's?"
        )
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    front_end = keras.Model(waveform, features(waveform), name="front_end")
    rows = keras.Input((fitted.n_features,), name="features", dtype="float32")
    body = keras.Model(rows, FittedScore(fitted, name="score")(rows), name="body")
    model = keras.Model(waveform, body(front_end(waveform)), name=config.model.name)
    return DetectorModel(front_end, body, model, window_samples(config))


def load_feature_detector(config: Config, folder: Path) -> DetectorModel:
    """The detector of a run folder.

    Raises:
        FileNotFoundError, ValueError: as `load_arrays`, or the features do not fit.
    """
    return build_feature_detector(config, load_arrays(folder / layout.CLASSICAL))
