"""Fitting a classifier on hand-made features, and turning it into a detector."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import Config
from tfpipeline.data.clips import LABELS
from tfpipeline.data.mixing import training_rows
from tfpipeline.data.opening import Audio
from tfpipeline.features.extraction import extract_features
from tfpipeline.files.atomic import write_table
from tfpipeline.models.classifiers.arrays import DenseModel, TreeEnsemble, save_arrays
from tfpipeline.models.classifiers.contributions import save_own_file
from tfpipeline.models.classifiers.convert import to_arrays
from tfpipeline.models.classifiers.detector import ARRAYS, build_feature_detector
from tfpipeline.models.classifiers.graph import log_odds, probability
from tfpipeline.models.detector import Detector, model_options, window_samples
from tfpipeline.training.classifiers import CLASSIFIERS, fit_classifier
from tfpipeline.training.importance import permutation_importance

IMPORTANCES = "importances.csv"
SAME = 1e-6  # of a probability: the graph against the library


def training_features(config: Config, clips: pd.DataFrame, audio: Audio) -> pd.DataFrame:
    """The features of the windows of the train and validation clips, `clip` a row of `clips`."""
    rows = np.flatnonzero(clips["part"].isin(["train", "validation"]))
    features = extract_features(
        audio.subset(rows), config.features.set, window_samples(config), config.front_end
    )
    return features.assign(clip=rows[features["clip"]])


def fit_on_features(
    config: Config, clips: pd.DataFrame, features: pd.DataFrame, folder: Path
) -> tuple[Detector, dict]:
    """Fits the configured classifier, and writes its arrays and its features' importances.

    Args:
        config: of the run.
        clips: a manifest with `train` and `validation` parts.
        features: of `training_features`; one row a window.
        folder: of the run; takes `trees.npz`, `importances.csv`, and the library's own file where
            explanations need it.
    Returns:
        The detector; and for the run's record `fit_seconds`, and `own_file` where there is one.
    Raises:
        ValueError: an option that the classifier does not have, features that are not finite, or a
            graph that does not equal its model.
    """
    started = time.perf_counter()
    model, fitted = fit_configured(config, clips, features)
    record = {"fit_seconds": round(time.perf_counter() - started, 3)}
    validation = windows_of(clips, features, np.flatnonzero(clips["part"] == "validation"))
    features = features.drop(columns=["clip", "window"])
    _check_graph(model, fitted, validation[0])
    save_arrays(folder / ARRAYS, fitted)
    own_file = save_own_file(model, folder)
    signature = [tf.TensorSpec([None, features.shape[1]], tf.float64)]
    score = tf.function(functools.partial(log_odds, fitted), input_signature=signature)
    importances = permutation_importance(
        lambda own: score(tf.constant(own)).numpy(), *validation, list(features), config.seed
    )
    write_table(folder / IMPORTANCES, importances)
    if own_file:
        record["own_file"] = own_file
    return build_feature_detector(config, fitted), record


def fit_configured(
    config: Config, clips: pd.DataFrame, features: pd.DataFrame
) -> tuple[object, TreeEnsemble | DenseModel]:
    """Fits the configured classifier; it may stop early on the validation part.

    Returns:
        The library's model, and its arrays.
    """
    build = CLASSIFIERS[config.model.name]
    model = build(config.seed, **model_options(build, config))
    taken = training_rows(clips, config.data.balance, config.seed)
    train = windows_of(clips, features, taken)
    validation = windows_of(clips, features, np.flatnonzero(clips["part"] == "validation"))
    names = list(features.columns.drop(["clip", "window"]))
    fit_classifier(model, train, validation, config.training.class_balance, names)
    return model, to_arrays(model, len(names))


def windows_of(
    clips: pd.DataFrame, features: pd.DataFrame, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The windows of some clips: features float64 (rows, n_features) and labels int (rows,).

    Args:
        clips: a manifest.
        features: of its clips.
        taken: rows of the manifest; a clip that is named several times counts so with all of its
            windows.
    """
    times = np.bincount(taken, minlength=len(clips))[features["clip"]]
    own = features.iloc[np.repeat(np.arange(len(features)), times)]
    labels = clips["label"].map(LABELS).to_numpy()[own["clip"]]
    # float64, as the trees compare: some models would compute in float32 otherwise.
    return own.drop(columns=["clip", "window"]).to_numpy(np.float64), labels


def _check_graph(model: object, fitted, rows: np.ndarray) -> None:
    """Refuses arrays that do not say what their model says."""
    own = model.predict_proba(rows)[:, 1]
    difference = float(np.abs(probability(fitted, rows).numpy() - own).max())
    if difference > SAME:
        raise ValueError(
            f"the graph of a classifier must equal it to {SAME:g}. Received: {difference:.2g} for "
            f"{type(model).__name__}. Is this another version of its library?"
        )
