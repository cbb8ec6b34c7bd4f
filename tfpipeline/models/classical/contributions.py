"""What each feature adds to a score: contributions that sum, with a base, to the log-odds.

Of LightGBM and CatBoost these are SHAP values (Lundberg et al. 2020), computed by the libraries
themselves from their own model files, which serve this alone: scores come from `trees.npz`. Of
linear and naive Bayes models they are exact, counted from the mean of the training rows. The other
libraries have no such thing built in.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from tfpipeline.files.atomic import atomic_file
from tfpipeline.models.classical.arrays import DenseModel, TreeEnsemble
from tfpipeline.models.classical.graph import log_odds

OWN_FILES = {"lightgbm": "lightgbm.txt", "catboost": "catboost.cbm"}
EXPLAINED = (*OWN_FILES, "logistic_regression", "gaussian_nb", "bernoulli_nb")
SAME = 1e-3  # of log-odds: the sum of the contributions against the score


def save_own_file(model: object, folder: Path) -> dict[str, str]:
    """Keeps a library's own file of a fitted LightGBM or CatBoost model.

    Returns:
        Its `file` name and `sha256`; empty for other models.
    """
    kind = type(model).__name__
    if kind == "LGBMClassifier":
        path = folder / OWN_FILES["lightgbm"]
        with atomic_file(path) as partial:
            model.booster_.save_model(str(partial))
    elif kind == "CatBoostClassifier":
        path = folder / OWN_FILES["catboost"]
        with atomic_file(path) as partial:
            model.save_model(str(partial), format="cbm")
    else:
        return {}
    return {"file": path.name, "sha256": _sha256(path)}


def check_own_file(path: Path, sha256: str) -> None:
    """Refuses a file that is not the one that was kept, before a library reads it.

    Raises:
        ValueError: it is missing or another.
    """
    if not path.is_file() or _sha256(path) != sha256:
        state = "another file" if path.is_file() else "none"
        raise ValueError(
            f"{path}: expected the model file that training kept (its SHA-256 stands in "
            f"environment.json). Received: {state}. Scores need no such file; explanations do."
        )


def contributions(
    fitted: TreeEnsemble | DenseModel, rows: np.ndarray, own_file: Path | None = None
) -> np.ndarray:
    """What each feature adds to the log-odds of each row.

    Args:
        fitted: the model's arrays.
        rows: float (n_rows, n_features).
        own_file: of LightGBM or CatBoost; its name says whose.
    Returns:
        float64 (n_rows, n_features + 1); the last column is the base.
    Raises:
        ValueError: a model without contributions, or a file of another model.
    """
    rows = np.asarray(rows, np.float64)
    if isinstance(fitted, DenseModel):
        values = _dense(fitted, rows)
    elif own_file is None:
        raise ValueError(
            f"contributions are known of {', '.join(EXPLAINED)}. Received: another tree model."
        )
    elif own_file.name == OWN_FILES["lightgbm"]:
        from lightgbm import Booster

        values = Booster(model_file=str(own_file)).predict(rows, pred_contrib=True)
    else:
        from catboost import CatBoost, Pool

        model = CatBoost().load_model(str(own_file), format="cbm")
        values = model.get_feature_importance(Pool(rows), type="ShapValues")
    expected = log_odds(fitted, rows).numpy()
    if values.shape[1] != rows.shape[1] + 1 or np.abs(values.sum(axis=1) - expected).max() > SAME:
        raise ValueError(
            f"contributions must sum to the score. Received: others from {own_file}. "
            "Is the file another run's?"
        )
    return values


def _dense(model: DenseModel, rows: np.ndarray) -> np.ndarray:
    z = (rows - model.mean) / model.scale
    base = model.base
    if model.kind == "linear":
        parts = z * model.first[0]
    elif model.kind == "bernoulli":
        parts = ((z > 0) - 0.5) * model.first[0]
        base += model.first[0].sum() / 2
    else:
        parts, at_mean = _gaussian(model, z), _gaussian(model, np.zeros((1, model.n_features)))
        base, parts = base + at_mean.sum(), parts - at_mean
    return np.concatenate([parts, np.full((len(rows), 1), base)], axis=1)


def _gaussian(model: DenseModel, z: np.ndarray) -> np.ndarray:
    distance = (z[:, None] - model.first) ** 2 / model.second  # (n_rows, 2, n_features)
    return (distance[:, 0] - distance[:, 1]) / 2


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
