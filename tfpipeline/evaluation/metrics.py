"""Detection metrics on (labels, scores): label 1 = spoof, a higher score = more likely spoof.

NumPy and SciPy alone. A *miss* is a spoof called bonafide, a *false alarm* a bonafide called spoof;
a clip is called spoof where its score reaches the threshold. Rank metrics (AUC, EER, minDCF,
minCllr and the rates at a rate) compare scores only with each other, so any scale will do; actDCF
and Cllr want natural-logarithm likelihood ratios; Brier score and calibration error probabilities
of spoof. Ties are exact: clips with one score are accepted or rejected together, and never ordered
by their place in the table.

The costs are those of ASVspoof 5 (Wang et al. 2024, "ASVspoof 5: crowdsourced speech data,
deepfakes, and adversarial attacks at scale"). The field's tools call a bonafide that is rejected a
miss, and take high scores for bonafide; the figures are the same.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

SPOOF_PRIOR = 0.05
COST_FALSE_ALARM = 1.0  # a bonafide called spoof: ASVspoof's Cmiss
COST_MISS = 10.0  # a spoof called bonafide: ASVspoof's Cfa
CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Tally:
    """How many clips of each class have each distinct score: all that rank metrics need.

    Attributes:
        values: float64 (n_distinct,), ascending.
        spoofs, bonafides: float64 (n_distinct,), counts.
    """

    values: np.ndarray
    spoofs: np.ndarray
    bonafides: np.ndarray

    @functools.cached_property
    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Miss and false-alarm rates at each threshold in `values`, and above them all."""
        miss = np.concatenate([[0], np.cumsum(self.spoofs)]) / self.spoofs.sum()
        # Whole numbers are subtracted, so that equal differences of rates are found to be equal.
        n_bonafide = self.bonafides.sum()
        alarms = n_bonafide - np.concatenate([[0], np.cumsum(self.bonafides)])
        return miss, alarms / n_bonafide

    def auc(self) -> float:
        """See `roc_auc`."""
        below = np.cumsum(self.bonafides) - self.bonafides
        wins = np.sum(self.spoofs * (below + self.bonafides / 2))
        return float(wins / (self.spoofs.sum() * self.bonafides.sum()))

    def eer(self) -> float:
        """See `equal_error_rate`."""
        miss, false_alarm = self.rates
        best = closest(miss, false_alarm)
        return float((miss[best] + false_alarm[best]) / 2)

    def min_dcf(self) -> float:
        """See `min_dcf`."""
        return float(np.min(_cost(*self.rates)))

    def min_cllr(self) -> float:
        """See `min_cllr`."""
        from scipy.optimize import isotonic_regression

        counts = self.spoofs + self.bonafides
        spoof_share = isotonic_regression(self.spoofs / counts, weights=counts).x
        with np.errstate(divide="ignore"):
            odds = np.log(spoof_share) - np.log1p(-spoof_share)
        llr = odds - np.log(self.spoofs.sum() / self.bonafides.sum())
        spoof_cost = _mean(np.logaddexp(0, -llr), self.spoofs)
        return float((spoof_cost + _mean(np.logaddexp(0, llr), self.bonafides)) / (2 * np.log(2)))

    def fpr_at_tpr(self, tpr: float = 0.95) -> float:
        """See `fpr_at_tpr`."""
        miss, false_alarm = self.rates
        return float(np.min(false_alarm[1 - miss >= tpr - 1e-12]))

    def tpr_at_fpr(self, fpr: float = 0.01) -> float:
        """See `tpr_at_fpr`."""
        miss, false_alarm = self.rates
        return float(np.max(1 - miss[false_alarm <= fpr + 1e-12]))


def tally(labels: np.ndarray, scores: np.ndarray) -> Tally:
    """Sorts once what every rank metric needs.

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,); higher = more likely spoof, any scale.
    Raises:
        ValueError: lengths differ, a class is missing, or a score is not finite.
    """
    labels, scores = checked(labels, scores)
    order = np.argsort(scores)
    scores, spoof = scores[order], labels[order] == 1
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    spoofs = np.diff(np.cumsum(spoof)[last], prepend=0)
    counts = np.diff(last, prepend=-1)
    return Tally(scores[last], spoofs.astype(np.float64), (counts - spoofs).astype(np.float64))


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a spoof scores above a bonafide, ties half.

    Mann and Whitney's U over the product of the class sizes: sum over spoofs of (bonafides below +
    half of those level) / (n_spoof · n_bonafide).

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,); higher = more likely spoof, any scale.
    Returns:
        Fraction in [0, 1].
    Raises:
        ValueError: lengths differ, a class is missing, or a score is not finite.
    """
    return tally(labels, scores).auc()


def equal_error_rate(labels: np.ndarray, scores: np.ndarray) -> float:
    """Equal error rate: where miss and false-alarm rates meet.

    The mean of the two rates at the threshold where they differ least; of equally good thresholds
    the highest. That is `compute_eer` of the ASVspoof packages (2019, 2021, 5) and of Speech DF
    Arena, who go upwards from the lowest score, where high is bonafide; equal to the last bit where
    no spoof ties with a bonafide. Theirs order such ties, bonafide first; here they stay together.

    Args, Returns, Raises: as `roc_auc`; a fraction, not percent.
    """
    return tally(labels, scores).eer()


def closest(miss: np.ndarray, false_alarm: np.ndarray) -> int:
    """Where the two rates differ least; of equally good places the last."""
    return len(miss) - 1 - int(np.argmin(np.abs(miss - false_alarm)[::-1]))


def eer_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of the equal error rate: a clip is called spoof if its score reaches it.

    It lies half-way between the scores on its two sides, so that it does not hang on one clip's
    last digit.
    """
    miss, false_alarm, thresholds = error_rates(labels, scores)
    best = closest(miss, false_alarm)
    if 0 < best < len(thresholds) - 1:
        return float((thresholds[best - 1] + thresholds[best]) / 2)
    return float(thresholds[min(best, len(thresholds) - 2)])


def false_alarm_threshold(labels: np.ndarray, scores: np.ndarray, rate: float) -> float:
    """The lowest threshold at which at most a share `rate` of the bonafide clips is called spoof.

    It lies half-way to the next score below, as that of `eer_threshold`; where no score is above
    all bonafide ones, just above these.

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,).
        rate: 0 to 1.
    Raises:
        ValueError: as `error_rates`.
    """
    _, false_alarm, thresholds = error_rates(labels, scores)
    first = int(np.flatnonzero(false_alarm <= rate)[0])
    if not first:
        return float(thresholds[0])
    if np.isinf(thresholds[first]):
        return float(np.nextafter(thresholds[first - 1], np.inf))
    return float((thresholds[first - 1] + thresholds[first]) / 2)


def error_rates(
    labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Miss and false-alarm rates at every threshold that makes a difference.

    Returns:
        miss, false_alarm, thresholds: float (n_distinct + 1,), thresholds ascending and the last
        one infinite (nothing is called spoof).
    """
    counted = tally(labels, scores)
    return (*counted.rates, np.append(counted.values, np.inf))


def min_dcf(labels: np.ndarray, scores: np.ndarray) -> float:
    """Minimum detection cost: the normalized cost at the best threshold for these very clips.

    DCF = [C_fa (1 - π) P_fa + C_miss π P_miss] / min(C_fa (1 - π), C_miss π), with π = .05,
    C_fa = 1, C_miss = 10 in this module's words. 1 is what calling all clips alike costs.
    """
    return tally(labels, scores).min_dcf()


def act_dcf(labels: np.ndarray, llr: np.ndarray) -> float:
    """Actual detection cost: the same at Bayes' threshold, which honest ratios make the best one.

    A clip is called spoof where llr > ln[C_fa (1 - π) / (C_miss π)] = ln 1.9.

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        llr: float (n_clips,), natural-logarithm likelihood ratios, higher = more likely spoof.
    Returns:
        At least `min_dcf`; the difference is what calibration costs.
    """
    labels, llr = checked(labels, llr)
    rejected = llr > np.log(COST_FALSE_ALARM * (1 - SPOOF_PRIOR) / (COST_MISS * SPOOF_PRIOR))
    return float(_cost(1 - rejected[labels == 1].mean(), rejected[labels == 0].mean()))


def cllr(labels: np.ndarray, llr: np.ndarray) -> float:
    """Cost of log-likelihood ratios, in bits: how far they are from the truth, both classes alike.

    Cllr = ½ [mean over bonafide of ln(1 + e^llr) + mean over spoof of ln(1 + e^-llr)] / ln 2.
    0 is perfect, 1 is what llr = 0 for every clip costs.

    Reference: Brümmer and du Preez (2006), "Application-independent evaluation of speaker
    detection".
    """
    labels, llr = checked(labels, llr)
    bonafide, spoof = llr[labels == 0], llr[labels == 1]
    both = np.logaddexp(0, bonafide).mean() + np.logaddexp(0, -spoof).mean()
    return float(both / (2 * np.log(2)))


def min_cllr(labels: np.ndarray, scores: np.ndarray) -> float:
    """Cllr after the best monotone calibration for these very clips: what ranking alone costs.

    Pool-adjacent-violators (SciPy's `isotonic_regression`) makes the share of spoofs rise with the
    score; its log-odds less those of the classes' sizes are the best ratios.

    Reference: Brümmer and du Preez (2006).
    """
    return tally(labels, scores).min_cllr()


def balanced_accuracy(labels: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    """Mean of the two classes' shares that are judged rightly at a threshold, in [0, 1]."""
    miss, false_alarm = rates_at(labels, scores, threshold)
    return 1 - (miss + false_alarm) / 2


def rates_at(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    """Miss and false-alarm rates at one threshold; NaN for a class without clips."""
    labels, scores = checked(labels, scores, both=False)
    called = scores >= threshold
    n_spoof = np.count_nonzero(labels == 1)
    misses = np.count_nonzero(~called & (labels == 1))
    alarms = np.count_nonzero(called & (labels == 0))
    n_bonafide = len(labels) - n_spoof
    return (
        misses / n_spoof if n_spoof else float("nan"),
        alarms / n_bonafide if n_bonafide else float("nan"),
    )


def fpr_at_tpr(labels: np.ndarray, scores: np.ndarray, tpr: float = 0.95) -> float:
    """The least false-alarm rate at which at least the share `tpr` of spoofs is found."""
    return tally(labels, scores).fpr_at_tpr(tpr)


def tpr_at_fpr(labels: np.ndarray, scores: np.ndarray, fpr: float = 0.01) -> float:
    """The largest share of spoofs found at a false-alarm rate of at most `fpr`."""
    return tally(labels, scores).tpr_at_fpr(fpr)


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared distance of the probability from the truth, both classes at half the weight.

    ½ [mean over bonafide of p² + mean over spoof of (1 - p)²]: .25 is what p = .5 costs. Balanced,
    because the probabilities are stated at a prior of .5 whatever the table's shares.

    Reference: Brier (1950), "Verification of forecasts expressed in terms of probability".
    """
    labels, p = _probabilities(labels, probabilities)
    return float((np.mean(p[labels == 0] ** 2) + np.mean((1 - p[labels == 1]) ** 2)) / 2)


def expected_calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Mean distance of stated probability and share of spoofs, over equal bins of probability.

    Both classes have half the weight, as in `brier_score`.

    Reference: Guo et al. (2017), "On calibration of modern neural networks", 15 bins.
    """
    mass, stated, found = reliability(labels, probabilities, bins)
    return float(np.sum(mass * np.abs(stated - found)))


def reliability(
    labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a reliability diagram shows, for the bins that hold clips.

    Returns:
        mass (sums to 1), mean stated probability, share of spoofs: float (n_filled,), both classes
        at half the weight.
    """
    labels, p = _probabilities(labels, probabilities)
    weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    place = np.minimum((p * bins).astype(int), bins - 1)
    mass = np.bincount(place, weights, bins)
    filled = mass > 0
    stated = np.bincount(place, weights * p, bins)[filled] / mass[filled]
    found = np.bincount(place, weights * labels, bins)[filled] / mass[filled]
    return mass[filled], stated, found


def checked(
    labels: np.ndarray, scores: np.ndarray, both: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The arguments as arrays, int8 and float64, or a `ValueError` that says what is wrong."""
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(
            "labels and scores must be one number a clip. "
            f"Received: shapes {labels.shape} and {scores.shape}."
        )
    spoof = labels == 1
    if not (spoof | (labels == 0)).all():
        raise ValueError(f"labels must be 0 or 1. Received: {np.unique(labels)[:5].tolist()}.")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(f"scores must be finite. Received: {scores[row]} in row {row + 1}.")
    n_spoof = np.count_nonzero(spoof)
    if both and n_spoof in (0, len(labels)):
        raise ValueError(
            "both classes must be there. "
            f"Received: {n_spoof} spoof and {len(labels) - n_spoof} bonafide."
        )
    return spoof.astype(np.int8), scores


def _cost(miss: np.ndarray, false_alarm: np.ndarray) -> np.ndarray:
    """The normalized detection cost of rates."""
    alarm_weight = COST_FALSE_ALARM * (1 - SPOOF_PRIOR)
    miss_weight = COST_MISS * SPOOF_PRIOR
    return (alarm_weight * false_alarm + miss_weight * miss) / min(alarm_weight, miss_weight)


def _mean(values: np.ndarray, counts: np.ndarray) -> float:
    """Weighted mean over what is counted; values beside a count of 0 may be infinite."""
    there = counts > 0
    return float(np.sum(values[there] * counts[there]) / counts.sum())


def _probabilities(labels: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, p = checked(labels, values)
    if p.min() < 0 or p.max() > 1:
        raise ValueError(
            f"probabilities must be in [0, 1]. Received: {p.min():g} to {p.max():g}. "
            "Are they scores?"
        )
    return labels.astype(np.float64), p
