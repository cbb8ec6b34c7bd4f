"""Fitting a classifier on hand-made features, and turning it into a detector.

What a fitted classifier leans on: the AUC that it loses when a feature is shuffled.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import Config
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.clips import LABELS
from tfpipeline.data.mixing import training_rows
from tfpipeline.evaluation.metrics import roc_auc
from tfpipeline.features.handcrafted.extraction import extract_features
from tfpipeline.features.handcrafted.statistics import STATISTICS
from tfpipeline.files.atomic import write_table
from tfpipeline.files.progress import track
from tfpipeline.models.classical.arrays import DenseModel, TreeEnsemble, save_arrays
from tfpipeline.models.classical.contributions import save_own_file
from tfpipeline.models.classical.convert import to_arrays
from tfpipeline.models.classical.detector import build_feature_detector
from tfpipeline.models.classical.fitting import fit_classifier
from tfpipeline.models.classical.graph import log_odds, probability
from tfpipeline.models.detector import DetectorModel, model_options, window_samples
from tfpipeline.models.families import find_family
from tfpipeline.runs import layout

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
) -> tuple[DetectorModel, dict]:
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
    save_arrays(folder / layout.CLASSICAL, fitted)
    own_file = save_own_file(model, folder)
    signature = [tf.TensorSpec([None, features.shape[1]], tf.float64)]
    score = tf.function(functools.partial(log_odds, fitted), input_signature=signature)
    importances = permutation_importance(
        lambda batch: score(tf.constant(batch)).numpy(), *validation, list(features), config.seed
    )
    write_table(folder / layout.IMPORTANCES, importances)
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
    build = find_family(config.model.name).build
    model = build(config.seed, **model_options(build, config))
    chosen = training_rows(clips, config.data.balance, config.seed)
    train = windows_of(clips, features, chosen)
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
    windows = features.iloc[np.repeat(np.arange(len(features)), times)]
    labels = clips["label"].map(LABELS).to_numpy()[windows["clip"]]
    # float64, as the trees compare: some models would compute in float32 otherwise.
    return windows.drop(columns=["clip", "window"]).to_numpy(np.float64), labels


def _check_graph(model: object, fitted, rows: np.ndarray) -> None:
    """Refuses arrays that do not say what their model says."""
    expected = model.predict_proba(rows)[:, 1]
    difference = float(np.abs(probability(fitted, rows).numpy() - expected).max())
    if difference > SAME:
        raise ValueError(
            f"the graph of a classifier must equal it to {SAME:g}. Received: {difference:.2g} for "
            f"{type(model).__name__}. Is this another version of its library?"
        )


REPEATS = 5
MOST_ROWS = 2000  # more make the figures hardly steadier, and the wait longer
GROUP = re.compile(rf"(_\d+)?(_({'|'.join([*STATISTICS, 'min', 'max'])}))?$")


def feature_group(name: str) -> str:
    """The series that a feature tells of: `mfcc_delta` of `mfcc_delta_07_std`."""
    return GROUP.sub("", name)


def permutation_importance(
    score: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    seed: int = 0,
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """The AUC lost when a feature, or a whole group, is shuffled among the rows.

    Features that tell the same can stand in for each other, so that each alone may seem of no
    use; a group's figure tells what they are worth together.

    Args:
        score: float (n, n_features) → float (n,), higher = more likely spoof.
        rows: float (n_rows, n_features), of clips that the model was not fitted on.
        labels: int (n_rows,); 1 = spoof; both classes.
        names: of the features.
        seed: of the shuffling, and of the `MOST_ROWS` rows that are taken from more.
        repeats: shuffles of each.
    Returns:
        Columns `kind` (`feature` or `group`), `name`, `columns` (how many features), `auc_drop` and
        `std` (over the repeats); groups of several features first, the greatest drop first.
    Reference:
        Breiman (2001), with AUC as the measure; `sklearn.inspection.permutation_importance`.
    """
    random = np.random.default_rng(seed)
    if len(rows) > MOST_ROWS:
        kept = random.choice(len(rows), MOST_ROWS, replace=False)
        rows, labels = rows[kept], labels[kept]
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(feature_group(name), []).append(place)
    # A group of one is its feature.
    chosen = [("group", name, places) for name, places in groups.items() if len(places) > 1]
    chosen += [("feature", name, [place]) for place, name in enumerate(names)]
    whole = roc_auc(labels, score(rows))
    found = []
    for kind, name, places in track(chosen, "importances", "features"):
        shuffled = np.tile(rows, (repeats, 1, 1))
        for copy in shuffled:
            copy[:, places] = rows[random.permutation(len(rows))][:, places]
        # All shuffles in one call: on few rows a call costs more than its rows.
        scores = score(shuffled.reshape(-1, rows.shape[1])).reshape(repeats, -1)
        drops = [whole - roc_auc(labels, shuffle_scores) for shuffle_scores in scores]
        found.append((kind, name, len(places), float(np.mean(drops)), float(np.std(drops))))
    table = pd.DataFrame(found, columns=["kind", "name", "columns", "auc_drop", "std"])
    order = table.sort_values(["kind", "auc_drop"], ascending=[False, False], kind="stable")
    return order.reset_index(drop=True)
