"""Calibration: raw scores into log-likelihood ratios and probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Class-balanced Platt scaling: `llr = a * score + b`.

    Attributes:
        a, b: slope and offset.
        prior: of spoof; `probability = sigmoid(llr + logit(prior))`.
    """

    a: float
    b: float
    prior: float = 0.5

    def llr(self, scores: np.ndarray) -> np.ndarray:
        """Log-likelihood ratios, natural logarithm, higher = more likely spoof."""
        return self.a * np.asarray(scores, np.float64) + self.b

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of spoof at the prior."""
        from scipy.special import expit

        return expit(self.llr(scores) + np.log(self.prior / (1 - self.prior)))


def fit_calibration(labels: np.ndarray, scores: np.ndarray) -> Calibration:
    """Fits Platt scaling on validation scores, both classes weighted to the same mass.

    Logistic regression on the score with Platt's softened targets, (n + 1) / (n + 2) instead of 1,
    which keep the slope finite where the classes do not overlap. With both classes at half the
    mass, the fitted log-odds are log-likelihood ratios.

    Reference: Platt (1999), "Probabilistic outputs for support vector machines".

    Args:
        labels: int (n_clips,); 1 = spoof, 0 = bonafide.
        scores: float (n_clips,).
    Raises:
        ValueError: a class is missing.
    """
    from scipy.optimize import minimize

    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    n_spoof, n_bonafide = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if not n_spoof or not n_bonafide:
        raise ValueError(
            "calibration needs scores of both classes. "
            f"Received: {n_spoof} spoof and {n_bonafide} bonafide."
        )
    target = np.where(labels == 1, (n_spoof + 1) / (n_spoof + 2), 1 / (n_bonafide + 2))
    weight = np.where(labels == 1, 0.5 / n_spoof, 0.5 / n_bonafide)
    # In units of the scores' own spread the problem looks the same whatever their scale.
    centre, spread = scores.mean(), scores.std() or 1.0
    unit = (scores - centre) / spread

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        from scipy.special import expit

        logit = parameters[0] * unit + parameters[1]
        value = np.sum(weight * (np.logaddexp(0, logit) - target * logit))
        slope = weight * (expit(logit) - target)
        return value, np.array([np.sum(slope * unit), np.sum(slope)])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return Calibration(float(found[0] / spread), float(found[1] - found[0] * centre / spread))
