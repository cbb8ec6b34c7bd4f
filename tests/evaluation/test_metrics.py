from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from tfpipeline.evaluation.metrics import (
    act_dcf,
    balanced_accuracy,
    brier_score,
    cllr,
    eer_threshold,
    equal_error_rate,
    error_rates,
    expected_calibration_error,
    false_alarm_threshold,
    fpr_at_tpr,
    min_cllr,
    min_dcf,
    rates_at,
    reliability,
    roc_auc,
    tpr_at_fpr,
)

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "asvspoof5_case.npz"


def case(seed, n=400, decimals=None):
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, n - 2)]
    scores = random.normal(size=n) + labels
    return labels, scores if decimals is None else np.round(scores, decimals)


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_auc_equals_scikit_learn(seed, decimals):
    labels, scores = case(seed, decimals=decimals)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("seed", range(5))
def test_eer_equals_the_roc_curve_of_scikit_learn(seed, decimals):
    labels, scores = case(seed, decimals=decimals)
    false_alarm, hit, _ = roc_curve(labels, scores, drop_intermediate=False)
    gaps = np.abs(1 - hit - false_alarm)
    ties = np.flatnonzero(gaps == gaps.min())
    expected = {round(float(1 - hit[i] + false_alarm[i]) / 2, 12) for i in ties}
    assert round(equal_error_rate(labels, scores), 12) in expected


@pytest.mark.skipif(not GOLDEN.exists(), reason="the organisers' golden case is not here")
def test_figures_equal_the_asvspoof5_organisers():
    golden = np.load(GOLDEN)
    bonafide, spoof = golden["bonafide_llr"], golden["spoof_llr"]
    labels = np.r_[np.zeros(len(bonafide), int), np.ones(len(spoof), int)]
    scores = -np.r_[bonafide, spoof]  # theirs are high for bonafide
    assert equal_error_rate(labels, scores) == pytest.approx(0.089, abs=1e-9)
    assert min_dcf(labels, scores) == pytest.approx(0.23525, abs=1e-9)
    assert act_dcf(labels, scores) == pytest.approx(0.256775, abs=1e-9)
    assert cllr(labels, scores) == pytest.approx(0.3689617349832058, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "scores", "auc", "eer"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0, 0.0),
        ([0, 0, 1, 1], [4, 3, 2, 1], 0.0, 1.0),
        ([0, 1], [7, 7], 0.5, 0.5),
        ([0, 1, 1, 0, 1], [3, 3, 3, 3, 3], 0.5, 0.5),
        ([1, 0], [2, 1], 1.0, 0.0),
    ],
)
def test_known_cases(labels, scores, auc, eer):
    assert roc_auc(labels, scores) == auc
    assert equal_error_rate(labels, scores) == eer


@pytest.mark.parametrize("transform", [np.exp, lambda s: 3 * s - 7, np.arctan])
def test_monotone_transforms_change_nothing(transform):
    labels, scores = case(3)
    assert roc_auc(labels, transform(scores)) == roc_auc(labels, scores)
    for metric in (equal_error_rate, min_dcf, min_cllr, fpr_at_tpr, tpr_at_fpr):
        assert metric(labels, transform(scores)) == metric(labels, scores)


def test_the_order_of_tied_clips_does_not_matter():
    labels, scores = case(1, decimals=0)
    order = np.random.default_rng(9).permutation(len(labels))
    assert equal_error_rate(labels[order], scores[order]) == equal_error_rate(labels, scores)


@pytest.mark.parametrize("decimals", [None, 1])
def test_the_threshold_gives_the_equal_error_rate(decimals):
    labels, scores = case(2, decimals=decimals)
    called = scores >= eer_threshold(labels, scores)
    miss, false_alarm = np.mean(~called[labels == 1]), np.mean(called[labels == 0])
    assert (miss + false_alarm) / 2 == pytest.approx(equal_error_rate(labels, scores), abs=1e-12)


def test_the_threshold_of_separate_classes_lies_half_way():
    assert eer_threshold([0, 0, 1, 1], [-3, -1, 2, 5]) == 0.5


def test_error_rates_span_everything():
    miss, false_alarm, thresholds = error_rates(*case(0))
    assert (miss[0], false_alarm[0]) == (0, 1)
    assert (miss[-1], false_alarm[-1]) == (1, pytest.approx(0))
    assert thresholds[-1] == np.inf
    assert np.all(np.diff(miss) >= 0)


@pytest.mark.parametrize("metric", [roc_auc, equal_error_rate, eer_threshold])
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [1.0], r"one number a clip\. Received: shapes \(2,\) and \(1,\)"),
        ([1, 1], [1.0, 2.0], r"both classes .* Received: 2 spoof and 0 bonafide"),
        ([0, 0], [1.0, 2.0], r"both classes .* Received: 0 spoof and 2 bonafide"),
        ([], [], r"both classes"),
        ([0, 2], [1.0, 2.0], r"labels must be 0 or 1"),
        ([0, 1], [1.0, np.nan], r"scores must be finite\. Received: nan in row 2"),
        ([0, 1], [-np.inf, 1.0], r"scores must be finite\. Received: -inf in row 1"),
    ],
)
def test_bad_input(metric, labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array(labels), np.array(scores))


def organisers_dcf(labels, scores):
    """The ASVspoof 5 package's minDCF, word for word but for NumPy; high = bonafide, no ties."""
    target, nontarget = -scores[labels == 0], -scores[labels == 1]
    order = np.argsort(np.r_[target, nontarget], kind="mergesort")
    hits = np.r_[np.ones(target.size), np.zeros(nontarget.size)][order]
    frr = np.r_[0, np.cumsum(hits) / target.size]
    below = np.arange(1, order.size + 1) - np.cumsum(hits)
    far = np.r_[1, (nontarget.size - below) / nontarget.size]
    cost = frr * (1 - 0.05) + 10 * far * 0.05
    return cost.min() / min(1 - 0.05, 10 * 0.05)


@pytest.mark.parametrize("seed", range(5))
def test_min_dcf_equals_the_organisers_formula(seed):
    labels, scores = case(seed)
    assert min_dcf(labels, scores) == pytest.approx(organisers_dcf(labels, scores), abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_min_cllr_equals_scikit_learns_isotonic_regression(decimals):
    from sklearn.isotonic import IsotonicRegression

    labels, scores = case(2, decimals=decimals)
    p = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, labels)
    with np.errstate(divide="ignore"):
        llr = np.log(p) - np.log1p(-p) - np.log(labels.sum() / (1 - labels).sum())
    spoof, bonafide = llr[labels == 1], llr[labels == 0]
    expected = (np.logaddexp(0, -spoof).mean() + np.logaddexp(0, bonafide).mean()) / 2 / np.log(2)
    assert min_cllr(labels, scores) == pytest.approx(expected, abs=1e-9)


def test_costs_at_their_ends():
    labels = np.array([0, 0, 1, 1])
    perfect, reversed_ = np.array([-50.0, -40, 40, 50]), np.array([50.0, 40, -40, -50])
    assert min_dcf(labels, perfect) == act_dcf(labels, perfect) == min_cllr(labels, perfect) == 0
    assert cllr(labels, perfect) == pytest.approx(0, abs=1e-12)
    assert min_dcf(labels, reversed_) == min_cllr(labels, reversed_) == 1
    nothing = np.zeros(4)
    assert min_dcf(labels, nothing) == cllr(labels, nothing) == min_cllr(labels, nothing) == 1
    # A clip exactly at Bayes' threshold is accepted as bonafide.
    assert act_dcf(labels, np.array([np.log(1.9), -1, 9, 9])) == 0
    assert act_dcf(labels, np.array([np.nextafter(np.log(1.9), 9), -1, 9, 9])) > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_minimum_is_never_above_the_actual_cost(seed):
    labels, scores = case(seed)
    assert min_dcf(labels, scores) <= act_dcf(labels, scores)
    assert min_cllr(labels, scores) <= cllr(labels, scores)


@pytest.mark.parametrize("decimals", [None, 1])
def test_rates_at_a_rate_equal_the_roc_curve(decimals):
    labels, scores = case(4, decimals=decimals)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert fpr_at_tpr(labels, scores) == pytest.approx(fpr[tpr >= 0.95].min())
    assert tpr_at_fpr(labels, scores) == pytest.approx(tpr[fpr <= 0.01].max())


def test_balanced_accuracy_and_rates_at_a_threshold():
    from sklearn.metrics import balanced_accuracy_score

    labels, scores = case(5)
    called = (scores >= 0.5).astype(int)
    expected = balanced_accuracy_score(labels, called)
    assert balanced_accuracy(labels, scores, 0.5) == pytest.approx(expected)
    miss, alarm = rates_at(labels, scores, 0.5)
    assert 1 - (miss + alarm) / 2 == pytest.approx(expected)
    miss, alarm = rates_at(np.ones(3, int), np.array([0.0, 1, 2]), 1.0)
    assert miss == pytest.approx(1 / 3)
    assert np.isnan(alarm)


def test_probabilities():
    from sklearn.metrics import brier_score_loss

    labels, scores = case(6)
    p = 1 / (1 + np.exp(-scores))
    weights = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    expected = brier_score_loss(labels, p, sample_weight=weights)
    assert brier_score(labels, p) == pytest.approx(expected)
    assert brier_score(labels, np.full(len(labels), 0.5)) == 0.25
    assert expected_calibration_error(labels, labels.astype(float)) == 0
    assert expected_calibration_error(labels, 1.0 - labels) == pytest.approx(1)
    mass, stated, found = reliability(np.array([0, 1, 1]), np.array([0.1, 0.1, 1.0]))
    np.testing.assert_allclose([mass, stated, found], [[0.75, 0.25], [0.1, 1], [1 / 3, 1]])
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\].*Are they scores"):
        brier_score(labels, scores)


def test_one_clip_of_each_class():
    labels, scores = np.array([0, 1]), np.array([0.0, 1])
    for metric in (min_dcf, min_cllr, fpr_at_tpr):
        assert metric(labels, scores) == 0
    assert tpr_at_fpr(labels, scores) == 1


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_the_threshold_of_false_alarms_is_the_lowest_that_keeps_them(rate, decimals):
    labels, scores = case(3)
    scores = np.round(scores, decimals)
    threshold = false_alarm_threshold(labels, scores, rate)
    human = scores[labels == 0]
    assert np.mean(human >= threshold) <= rate
    below = human[human < threshold]
    if rate < 1:  # one human clip more would be too many
        assert np.mean(human >= below.max()) > rate


def test_the_threshold_of_no_false_alarm_where_no_spoof_is_above():
    assert false_alarm_threshold([0, 1], [2.0, 1.0], 0.0) == np.nextafter(2.0, np.inf)
