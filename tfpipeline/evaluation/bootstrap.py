"""Intervals by the bootstrap over groups: whole speakers (or source recordings) are drawn.

Clips of one speaker resemble each other, so clips drawn one by one would make intervals too narrow
(Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 8). The same groups and seed
give the same draws, so the metrics of two models on the same clips are paired, and their
differences may be taken draw by draw.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.evaluation.metrics import checked, closest

ROUNDS = 2000
LEVEL = 0.95
FEWEST_GROUPS = 5  # with fewer there is nothing to draw from


def resampling_groups(table: pd.DataFrame) -> tuple[np.ndarray, str]:
    """What is drawn as a whole: the clips of a speaker, else of a source, else single clips.

    Args:
        table: with `clip_id`, `speaker` and `source`.
    Returns:
        A name a row, and the noun of what most rows are grouped by: speakers, sources or clips.
    """
    speaker, source = table["speaker"], table["source"]
    names = ("clip " + table["clip_id"].astype(str)).to_numpy(object)
    by_source, by_speaker = (source != UNKNOWN).to_numpy(), (speaker != UNKNOWN).to_numpy()
    if source.nunique() == 1:
        by_source = np.zeros(len(table), bool)  # inside one source its clips are all that can vary
    names[by_source] = "source " + source[by_source]
    names[by_speaker] = "speaker " + speaker[by_speaker]
    if by_speaker.mean() > 0.5:
        return names, "speakers"
    return names, "sources" if (by_source | by_speaker).mean() > 0.5 else "clips"


def bootstrap(
    labels: np.ndarray,
    scores: np.ndarray,
    groups: np.ndarray,
    rounds: int = ROUNDS,
    seed: int = 0,
    eer: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """AUC and EER of resampled clips.

    Scores are sorted once; a round then is a weight for each group (how often it was drawn) and a
    cumulated sum over the sorted clips.

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,); higher = more likely spoof.
        groups: (n_clips,), a name or number a clip; equal ones are drawn together.
        rounds: how many resamplings.
        seed: of the draws.
        eer: whether the EER is wanted too; NaN otherwise.
    Returns:
        auc, eer: float64 (rounds,); NaN in a round that drew one class only.
    """
    labels, scores = checked(labels, scores)
    order = np.argsort(scores, kind="stable")
    spoof, values = labels[order] == 1, scores[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    group = pd.factorize(np.asarray(groups))[0]
    # Whether a metric is paired must not hang on the order of the scores.
    n_groups, group = int(group.max()) + 1, group[order]
    aucs, eers = np.full(rounds, np.nan), np.full(rounds, np.nan)
    for number, weight in enumerate(_draws(n_groups, rounds, seed)):
        clip_weight = weight[group]
        # Of each distinct score: the mass of spoofs and of all up to and with it.
        spoofs = np.cumsum(np.where(spoof, clip_weight, 0.0))[last]
        bonafides = np.cumsum(clip_weight)[last] - spoofs
        n_spoof, n_bonafide = spoofs[-1], bonafides[-1]
        if not n_spoof or not n_bonafide:
            continue
        level = np.diff(bonafides, prepend=0)
        at = np.diff(spoofs, prepend=0)
        aucs[number] = np.dot(at, bonafides - level / 2) / (n_spoof * n_bonafide)
        if eer:
            miss = np.concatenate([[0.0], spoofs / n_spoof])
            false_alarm = np.concatenate([[1.0], (n_bonafide - bonafides) / n_bonafide])
            best = closest(miss, false_alarm)
            eers[number] = (miss[best] + false_alarm[best]) / 2
    return aucs, eers


def bootstrap_auc(
    labels: np.ndarray, scores: np.ndarray, groups: np.ndarray, rounds: int = ROUNDS, seed: int = 0
) -> np.ndarray:
    """The AUCs of `bootstrap` alone, which takes half the time."""
    return bootstrap(labels, scores, groups, rounds, seed, eer=False)[0]


def interval(
    draws: np.ndarray, point: float | None = None, level: float = LEVEL
) -> tuple[float, float] | None:
    """The interval of a metric from its draws.

    With `point`, the metric of the clips as they are, the percentiles are bias-corrected (Efron
    1981): where a speaker's clips are drawn twice, pairs of his own count four times, so that the
    draws of an AUC lie beside it if it is higher within speakers than across them.

    Args:
        draws: float (rounds,); NaN where undefined.
        point: what the draws should lie around.
        level: share that the interval covers.
    Returns:
        low, high; None if most draws are undefined.
    """
    from scipy.special import ndtr, ndtri

    defined = draws[np.isfinite(draws)]
    if len(defined) < len(draws) / 2 or not len(defined):
        return None
    edges = np.array([(1 - level) / 2, (1 + level) / 2])
    if point is not None:
        below = np.mean(defined < point) + np.mean(defined == point) / 2
        shift = ndtri(np.clip(below, 1 / len(defined), 1 - 1 / len(defined)))
        edges = ndtr(2 * shift + ndtri(edges))
    low, high = np.quantile(defined, edges)
    return float(low), float(high)


def _draws(n_groups: int, rounds: int, seed: int) -> Iterator[np.ndarray]:
    """How often each group is drawn in each round, float64 (n_groups,)."""
    random = np.random.default_rng(seed)
    for _ in range(rounds):
        drawn = random.integers(0, n_groups, n_groups)
        yield np.bincount(drawn, minlength=n_groups).astype(np.float64)
