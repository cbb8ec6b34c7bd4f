from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from tfpipeline.evaluation.metrics import (
    eer_threshold,
    equal_error_rate,
    error_rates,
    roc_auc,
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
def test_eer_equals_the_asvspoof5_organisers():
    golden = np.load(GOLDEN)
    bonafide, spoof = golden["bonafide_llr"], golden["spoof_llr"]
    labels = np.r_[np.zeros(len(bonafide), int), np.ones(len(spoof), int)]
    scores = -np.r_[bonafide, spoof]  # theirs are high for bonafide
    assert equal_error_rate(labels, scores) == pytest.approx(0.089, abs=1e-9)


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
    assert equal_error_rate(labels, transform(scores)) == equal_error_rate(labels, scores)


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
