"""Detection metrics on (labels, scores): label 1 = spoof, a higher score = more likely spoof.

NumPy alone. Scores are only compared with each other, so any scale will do. Ties are exact: clips
with one score are accepted or rejected together, and never ordered by their place in the table.
"""

from __future__ import annotations

import numpy as np


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a spoof scores above a bonafide, ties half.

    Mann and Whitney's U over the product of the class sizes, by ranks averaged over ties.

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,); higher = more likely spoof, any scale.
    Returns:
        Fraction in [0, 1].
    Raises:
        ValueError: lengths differ, a class is missing, or a score is not finite.
    """
    labels, scores = _checked(labels, scores)
    spoofs, bonafides = _counts_by_score(labels, scores)
    below = np.cumsum(bonafides) - bonafides
    wins = np.sum(spoofs * (below + bonafides / 2))
    return float(wins / (spoofs.sum() * bonafides.sum()))


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float:
    """Equal error rate: where miss and false-alarm rates meet.

    The mean of the two rates at the threshold where they differ least, as in the ASVspoof 5
    evaluation package; of equally good thresholds the lowest.

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,); higher = more likely spoof, any scale.
    Returns:
        Fraction in [0, 1], not percent.
    Raises:
        ValueError: lengths differ, a class is missing, or a score is not finite.
    """
    miss, false_alarm, _ = error_rates(labels, scores)
    best = np.argmin(np.abs(miss - false_alarm))
    return float((miss[best] + false_alarm[best]) / 2)


def eer_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of the equal error rate: a clip is called spoof if its score reaches it.

    It lies half-way between the scores on its two sides, so that it does not hang on one clip's
    last digit.
    """
    miss, false_alarm, thresholds = error_rates(labels, scores)
    best = int(np.argmin(np.abs(miss - false_alarm)))
    if 0 < best < len(thresholds) - 1:
        return float((thresholds[best - 1] + thresholds[best]) / 2)
    return float(thresholds[min(best, len(thresholds) - 2)])


def error_rates(
    labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Miss and false-alarm rates at every threshold that makes a difference.

    A clip is called spoof where score >= threshold. A miss is a spoof called bonafide; a false
    alarm a bonafide called spoof.

    Returns:
        miss, false_alarm, thresholds: float (n_distinct + 1,), thresholds ascending and the last
        one infinite (nothing is called spoof).
    """
    labels, scores = _checked(labels, scores)
    spoofs, bonafides = _counts_by_score(labels, scores)
    miss = np.concatenate([[0], np.cumsum(spoofs)]) / spoofs.sum()
    false_alarm = 1 - np.concatenate([[0], np.cumsum(bonafides)]) / bonafides.sum()
    return miss, false_alarm, np.append(np.unique(scores), np.inf)


def _counts_by_score(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many spoofs and bonafides have each distinct score, ascending."""
    distinct, group = np.unique(scores, return_inverse=True)
    spoofs = np.bincount(group, weights=labels, minlength=len(distinct))
    return spoofs, np.bincount(group, minlength=len(distinct)) - spoofs


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The arguments as arrays, or a `ValueError` that says what is wrong with them."""
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(
            "labels and scores must be one number a clip. "
            f"Received: shapes {labels.shape} and {scores.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1. Received: {np.unique(labels)[:5].tolist()}.")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(f"scores must be finite. Received: {scores[row]} in row {row + 1}.")
    n_spoof = int(np.sum(labels))
    if n_spoof in (0, len(labels)):
        raise ValueError(
            "both classes must be there. "
            f"Received: {n_spoof} spoof and {len(labels) - n_spoof} bonafide."
        )
    return labels.astype(np.float64), scores
