"""What a fitted classifier leans on: the AUC that it loses when a feature is shuffled."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from tfpipeline.evaluation.metrics import roc_auc
from tfpipeline.features.statistics import STATISTICS
from tfpipeline.files.progress import track

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
        for own in shuffled:
            own[:, places] = rows[random.permutation(len(rows))][:, places]
        # All shuffles in one call: on few rows a call costs more than its rows.
        scores = score(shuffled.reshape(-1, rows.shape[1])).reshape(repeats, -1)
        drops = [whole - roc_auc(labels, own) for own in scores]
        found.append((kind, name, len(places), float(np.mean(drops)), float(np.std(drops))))
    table = pd.DataFrame(found, columns=["kind", "name", "columns", "auc_drop", "std"])
    order = table.sort_values(["kind", "auc_drop"], ascending=[False, False], kind="stable")
    return order.reset_index(drop=True)
