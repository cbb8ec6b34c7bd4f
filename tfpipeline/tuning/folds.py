"""Folds by speaker, on which the trials of a search are judged."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.data.groups import joined_groups

COLUMNS = ("speaker", "source")


def grouped_folds(clips: pd.DataFrame, n_folds: int, seed: int) -> np.ndarray:
    """Deals clips out to folds; those of one speaker or of one source recording stay together.

    Groups with the same classes and language are dealt out in turn, so that the folds resemble each
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
