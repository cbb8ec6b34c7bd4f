import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tfpipeline.evaluation.calibration import Calibration, fit_calibration


def test_recovers_the_true_log_likelihood_ratio():
    # Two Gaussians one apart: the log-likelihood ratio is s - 0.5, whatever the class sizes.
    random = np.random.default_rng(0)
    scores = np.r_[random.normal(0, 1, 40_000), random.normal(1, 1, 4_000)]
    found = fit_calibration(np.r_[np.zeros(40_000), np.ones(4_000)], scores)
    assert found.a == pytest.approx(1.0, abs=0.05)
    assert found.b == pytest.approx(-0.5, abs=0.05)


def test_equals_scikit_learns_balanced_logistic_regression():
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 3000)
    scores = random.normal(size=3000) + labels
    model = LogisticRegression(C=1e9, class_weight="balanced").fit(scores[:, None], labels)
    found = fit_calibration(labels, scores)
    assert found.a == pytest.approx(model.coef_[0, 0], rel=0.01)
    assert found.b == pytest.approx(model.intercept_[0], rel=0.02)


def test_separate_classes_give_a_finite_slope_and_scale_does_not_matter():
    labels, scores = np.r_[0, 0, 0, 1, 1, 1], np.r_[-6.0, -5, -4, 4, 5, 6]
    found = fit_calibration(labels, scores)
    assert 0 < found.a < 2
    scaled = fit_calibration(labels, 1000 * scores)
    np.testing.assert_allclose(scaled.llr(1000 * scores), found.llr(scores), atol=1e-3)


def test_probability_follows_the_prior():
    even, rare = Calibration(2.0, -1.0), Calibration(2.0, -1.0, prior=0.01)
    assert even.probability(0.5) == pytest.approx(0.5)
    assert even.probability(3.0) == pytest.approx(expit(5.0))
    assert rare.probability(0.5) == pytest.approx(0.01)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"needs scores of both classes.*2 spoof and 0 bonafide"):
        fit_calibration(np.array([1, 1]), np.array([0.0, 1.0]))
