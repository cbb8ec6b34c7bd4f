"""What a search is for: a figure of the evaluator on scores of clips that were not trained on.

Folds by speaker, on which the trials of a search are judged.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.data.groups import joined_groups
from tfpipeline.evaluation.breakdown import duration_bands, group_rows
from tfpipeline.evaluation.calibration import fit_calibration
from tfpipeline.evaluation.evaluator import Evaluator
from tfpipeline.evaluation.metrics import eer_threshold
from tfpipeline.evaluation.scores import score_table

HIGHER = ("auc", "tpr_at_1_fpr", "balanced_accuracy")
LOWER = (
    "eer",
    "min_dcf",
    "act_dcf",
    "cllr",
    "min_cllr",
    "fpr_at_95_tpr",
    "brier",
    "ece",
    "miss_rate",
    "false_alarm_rate",
    "hter",
)
WORST = "worst:"


@dataclass(frozen=True)
class Objective:
    """A figure and where it should go.

    Attributes:
        name: of `HIGHER` or `LOWER`, or `worst:COLUMN`: the AUC of the value of a column that has
            the lowest one.
        direction: `max` or `min`.
    """

    name: str
    direction: Literal["max", "min"]

    @property
    def column(self) -> str | None:
        """The column of `worst:COLUMN`."""
        return self.name.removeprefix(WORST) if self.name.startswith(WORST) else None

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.direction == "max" else one < other

    def key(self, figures: dict[str, float]) -> tuple[float, float]:
        """Sorts the best first; the lower min Cllr decides where the objective ties.

        On few clips AUCs often tie.
        """
        value = figures[self.name]
        return (-value if self.direction == "max" else value, figures["min_cllr"])


def parse_objective(name: str, clips: pd.DataFrame) -> Objective:
    """The objective of that name.

    Args:
        name: as a user gives it.
        clips: that it will be computed on.
    Raises:
        ValueError: no such figure, or a column that the clips do not have or that does not divide
            them into groups of both classes.
    """
    if name in HIGHER or name in LOWER:
        return Objective(name, "max" if name in HIGHER else "min")
    if not name.startswith(WORST):
        raise ValueError(
            f"the objective must be one of {', '.join((*HIGHER, *LOWER))} or {WORST}COLUMN. "
            f"Received: {name!r}"
        )
    objective = Objective(name, "max")
    known = [c for c in (*clips.columns, "duration") if c not in ("label", "path", "clip_id")]
    if objective.column not in known:
        raise ValueError(
            f"{WORST}COLUMN names a column of the clips: {', '.join(known)}. "
            f"Received: {objective.column!r}"
        )
    if not _group_aucs(clips.assign(score=0.0), objective.column):
        raise ValueError(
            f"{name} needs a {objective.column} with clips of both classes among the "
            f"{len(clips)} clips that are judged. Received: none."
        )
    return objective


def measure(
    objective: Objective, parts: Sequence[tuple[pd.DataFrame, np.ndarray]]
) -> dict[str, float]:
    """All figures of one or several folds, each the mean over the folds.

    Threshold and calibration are fitted on the scores that they judge, as a run's are on
    validation.

    Args:
        objective: is among the figures.
        parts: clips and their raw scores, float64 (n_clips,), a fold each.
    Returns:
        Name → value. `worst:COLUMN` is the lowest over values of the mean over folds.
    Raises:
        ValueError: the objective cannot be computed.
    """
    found: list[dict[str, float | None]] = []
    groups: dict[str, list[float]] = {}
    for clips, scores in parts:
        there = ~np.isnan(scores)  # NaN of clips that were lost on the way
        clips, scores = clips[there], scores[there]
        labels = clips["label"].map(LABELS).to_numpy()
        table = score_table(clips, scores, fit_calibration(labels, scores))
        figures = Evaluator(eer_threshold(labels, scores), rounds=0).full(table, "validation")
        found.append({name: figures[name] for name in (*HIGHER, *LOWER)})
        if objective.column:
            for value, auc in _group_aucs(table, objective.column).items():
                groups.setdefault(value, []).append(auc)
    means = {}
    for name in (*HIGHER, *LOWER):
        values = [fold[name] for fold in found if fold[name] is not None]
        if values:
            means[name] = float(np.mean(values))
    if groups:
        means[objective.name] = min(float(np.mean(aucs)) for aucs in groups.values())
    if not math.isfinite(means.get(objective.name, math.nan)):
        raise ValueError(f"{objective.name} cannot be computed on these scores.")
    return means


def _group_aucs(table: pd.DataFrame, column: str) -> dict[str, float]:
    """The AUC of each value of a column that has clips of both classes."""
    table = table.reset_index(drop=True)
    if column == "duration":
        table = table.assign(duration=duration_bands(table["seconds"]))
    aucs = {}
    for value, rows in group_rows(table, column):
        if rows["label"].nunique() == 2:
            aucs[value] = Evaluator(rounds=0).short(rows, value)["auc"]
    return aucs


COLUMNS = ("speaker", "source")


def grouped_folds(clips: pd.DataFrame, n_folds: int, seed: int) -> np.ndarray:
    """Deals clips out to folds; those of one speaker or of one source recording stay together.

    Groups with the same classes and language are assigned in turn, so that the folds resemble each
    other.

    Args:
        clips: a normalized manifest.
        n_folds: at least 2.
        seed: another seed deals otherwise; the order of the clips does not matter.
    Returns:
        int (n_clips,), 0 … n_folds - 1.
    Raises:
        ValueError: a fold lacks a class.
    """
    groups = _named_groups(clips)
    labels = clips["label"].map(LABELS)
    spoof = labels.groupby(groups).agg(["min", "max"])
    kinds = (spoof["min"] + spoof["max"]).astype(str) + clips["language"].groupby(groups).first()
    order = sorted(
        kinds.index,
        key=lambda group: (kinds[group], hashlib.sha256(f"{seed}:{group}".encode()).digest()),
    )
    fold_of = {group: place % n_folds for place, group in enumerate(order)}
    folds = groups.map(fold_of).to_numpy(int)
    for fold in range(n_folds):
        classes = labels[folds == fold].nunique()
        if classes < len(LABELS):
            raise ValueError(
                f"each of {n_folds} folds by speaker needs clips of both classes. Received: "
                f"{len(order)} groups of {len(clips)} clips, and a fold with {classes} of the "
                "classes. Are fewer folds enough?"
            )
    return folds


def _named_groups(clips: pd.DataFrame) -> pd.Series:
    """The group of each clip, named after its least speaker, source or id."""
    groups = joined_groups(clips, COLUMNS)
    names = clips["clip_id"]
    for column in reversed(COLUMNS):
        names = names.where(clips[column] == UNKNOWN, column + " " + clips[column])
    return groups.map(names.groupby(groups).min())
