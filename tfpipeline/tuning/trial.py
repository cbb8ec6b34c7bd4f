"""One trial: a config is fitted, and judged on clips of speakers that it did not learn from.

The validation part selects, and the test parts are not even decoded: a bench holds clips of `train`
and `validation` alone. On folds, one fold is judged by a model that was fitted on the others, one
of which stops its training, so that no early stopping sees the clips that are judged.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tensorflow.python.framework.ops import gradient_registry

from tfpipeline.config import Config
from tfpipeline.data.clip_audio import Audio
from tfpipeline.models.classical.graph import log_odds
from tfpipeline.models.detector import ClipScorer, model_options, window_samples
from tfpipeline.models.families import find_family
from tfpipeline.runs import layout
from tfpipeline.training.fit import fit_network
from tfpipeline.training.fit_classical import fit_configured, training_features
from tfpipeline.tuning.objective import Objective, grouped_folds, measure

LEARNT = ("train", "validation")
FEWEST_FOLDS = 3  # one is judged, one stops the training, and one is left to learn from
FEATURE_TABLES = 4  # kept for later trials


@dataclass
class TrialContext:
    """What all trials share: clips, their decoded audio, and how they are judged.

    Attributes:
        clips: a manifest of `train` and `validation` alone.
        audio: of the same clips.
        objective: that is judged by.
        folds: 0, or `FEWEST_FOLDS` or more.
        seed: deals the folds.
    Raises:
        ValueError: clips of another part, or too few folds.
    """

    clips: pd.DataFrame
    audio: Audio
    objective: Objective
    folds: int = 0
    seed: int = 0
    _tables: dict[tuple, pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        others = sorted(set(self.clips["part"]) - set(LEARNT))
        if others:
            raise ValueError(
                f"a search sees the parts {' and '.join(LEARNT)} alone. Received: clips of "
                f"{', '.join(others)}."
            )
        if self.folds and self.folds < FEWEST_FOLDS:
            raise ValueError(
                f"folds must be 0 or at least {FEWEST_FOLDS}: one is judged, one stops the "
                f"training. Received: {self.folds}"
            )
        if self.folds:
            grouped_folds(self.clips, self.folds, self.seed)

    def features(self, config: Config) -> pd.DataFrame:
        """The hand-made features of the clips; computed once for each of their settings."""
        key = (config.features.set, window_samples(config), config.front_end)
        if key not in self._tables:
            while len(self._tables) >= FEATURE_TABLES:
                del self._tables[next(iter(self._tables))]
            self._tables[key] = training_features(config, self.clips, self.audio)
            keras.utils.clear_session()
        return self._tables[key]


def check_options(config: Config) -> None:
    """Refuses a model, or an option, that is not to be had, without building anything."""
    model_options(find_family(config.model.name).build, config)


def evaluate_trial(
    context: TrialContext, config: Config, folder: Path, until: int | None = None
) -> dict:
    """A trial's figures: a classifier's on the folds, where there are any, else on validation."""
    if context.folds and find_family(config.model.name).is_classical:
        return judge_on_folds(context, config, folder)
    return judge_on_validation(context, config, folder, until)


def judge_on_validation(
    context: TrialContext, config: Config, folder: Path, until: int | None = None
) -> dict:
    """The figures on the validation part, of the config fitted as `train` fits it.

    Args:
        bench: of the search.
        config: to fit.
        folder: of the trial; a network's checkpoint there is gone on from.
        until: the epoch to stop after for now.
    Returns:
        Name → value, and `epochs`: how many were trained.
    Raises:
        ValueError: settings that do not go together, or scores that cannot be judged.
        KeyboardInterrupt: Ctrl-C; the checkpoint stays.
    """
    clips = context.clips
    scores, epochs = _score(context, config, clips, "validation", folder, until)
    judged = clips[clips["part"] == "validation"]
    return {**measure(context.objective, [(judged, scores)]), "epochs": epochs}


def judge_on_folds(context: TrialContext, config: Config, folder: Path) -> dict:
    """The mean figures over folds by speaker; see `judge_on_validation`."""
    parts, epochs = [], 0
    for number, clips in enumerate(_fold_manifests(context)):
        fold_folder = folder / f"fold_{number}"
        scores, more = _score(context, config, clips, "judged", fold_folder, None)
        parts.append((clips[clips["part"] == "judged"], scores))
        epochs += more
        (fold_folder / layout.CHECKPOINT).unlink(missing_ok=True)
        if fold_folder.exists():
            fold_folder.rmdir()
    return {**measure(context.objective, parts), "epochs": epochs}


def _fold_manifests(context: TrialContext) -> Iterator[pd.DataFrame]:
    """The clips with the parts `train`, `validation` and `judged`, once for each fold."""
    folds = grouped_folds(context.clips, context.folds, context.seed)
    for fold in range(context.folds):
        stopping = (fold + 1) % context.folds
        part = np.select([folds == fold, folds == stopping], ["judged", "validation"], "train")
        yield context.clips.assign(part=part)


def _score(
    context: TrialContext,
    config: Config,
    clips: pd.DataFrame,
    part: str,
    folder: Path,
    until: int | None,
) -> tuple[np.ndarray, int]:
    """Fits on `train`, selecting on `validation`, and scores the clips of a part."""
    rows = np.flatnonzero(clips["part"] == part)
    if find_family(config.model.name).is_classical:
        return _score_features(context.features(config), config, clips, rows), 0
    gradients = set(gradient_registry.list())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        detector, selection, _ = fit_network(config, clips, context.audio, folder, until)
        if selection.interrupted:
            raise KeyboardInterrupt
        scorer = ClipScorer(detector.model, detector.window)
        return scorer.score_clips(context.audio.subset(rows)), len(selection.history)
    finally:
        detector = selection = scorer = None
        _forget_graphs(gradients)


def _forget_graphs(gradients: set[str]) -> None:
    """Frees what a process keeps of networks that it will not use again.

    Keras keeps names. TensorFlow never drops the gradient that `all_reduce`, a part of every
    training step, registers, and with it the step's whole graph: 10 MB a trial.

    Args:
        gradients: names that were registered before the network was built.
    """
    registered = gradient_registry._registry
    for name in set(registered) - gradients:
        if name.startswith("CustomGradient-"):
            del registered[name]
    keras.utils.clear_session()
    gc.collect()


def _score_features(
    features: pd.DataFrame, config: Config, clips: pd.DataFrame, rows: np.ndarray
) -> np.ndarray:
    """A classifier's log-odds of some clips, each the mean over its windows, float64."""
    _, fitted = fit_configured(config, clips, features)
    chosen = features[features["clip"].isin(rows)]
    matrix = chosen.drop(columns=["clip", "window"]).to_numpy(np.float64)
    # float32, as the detector scores a window.
    scores = log_odds(fitted, matrix).numpy().astype(np.float32).astype(np.float64)
    return pd.Series(scores).groupby(chosen["clip"].to_numpy()).mean().loc[rows].to_numpy()
