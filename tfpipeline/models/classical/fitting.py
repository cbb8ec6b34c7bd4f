"""The nine classifiers on hand-made features: how each is built and fitted.

A builder takes `(seed, *, options…)`; its keyword arguments are what a config may set. Those that
can stop early do so on the validation part: HistGradientBoosting, LightGBM and CatBoost by
their own means, gradient boosting by the stage with the lowest validation loss. Forests, linear and
naive Bayes models never see it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from tfpipeline.config import AtLeastTwo, AtLeastZero, Count, Depth, Positive, ShareAboveZero

PATIENCE = 30  # rounds without a better validation loss
# Numbers in a table up to which one thread fits boosted trees: on a busy machine OpenMP's threads
# wait for each other at every split, and 126 rows took LightGBM 19 s on two and 0.2 s on one.
SMALL = 1_000_000


def build_histgb(
    seed: int,
    *,
    max_iter: Count = 400,
    learning_rate: Positive = 0.1,
    max_leaf_nodes: AtLeastTwo = 31,
    min_samples_leaf: Count = 20,
    l2_regularization: AtLeastZero = 0.0,
    max_features: ShareAboveZero = 1.0,
):
    """scikit-learn's HistGradientBoosting; the published baseline's settings."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=max_iter,
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_samples_leaf,
        l2_regularization=l2_regularization,
        max_features=max_features,
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        random_state=seed,
    )


def build_lightgbm(
    seed: int,
    *,
    n_estimators: Count = 400,
    learning_rate: Positive = 0.1,
    num_leaves: AtLeastTwo = 31,
    min_child_samples: Count = 20,
    reg_lambda: AtLeastZero = 0.0,
    colsample_bytree: ShareAboveZero = 1.0,
):
    """LightGBM."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        num_leaves=num_leaves,
        min_child_samples=min_child_samples,
        reg_lambda=reg_lambda,
        colsample_bytree=colsample_bytree,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        n_jobs=-1,
        verbose=-1,
    )


def build_catboost(
    seed: int,
    *,
    iterations: Count = 400,
    learning_rate: Positive = 0.1,
    depth: Depth = 6,
    l2_leaf_reg: AtLeastZero = 3.0,
):
    """CatBoost with symmetric trees."""
    from catboost import CatBoostClassifier

    return CatBoostClassifier(
        iterations=iterations,
        learning_rate=learning_rate,
        depth=depth,
        l2_leaf_reg=l2_leaf_reg,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
        thread_count=-1,
    )


def build_random_forest(seed: int, *, n_estimators: Count = 300, min_samples_leaf: Count = 1):
    """Random forest."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators, min_samples_leaf=min_samples_leaf, n_jobs=-1, random_state=seed
    )


def build_extra_trees(seed: int, *, n_estimators: Count = 300, min_samples_leaf: Count = 1):
    """Extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(
        n_estimators, min_samples_leaf=min_samples_leaf, n_jobs=-1, random_state=seed
    )


def build_gradient_boosting(
    seed: int, *, n_estimators: Count = 200, learning_rate: Positive = 0.1, max_depth: Count = 3
):
    """scikit-learn's gradient boosting on exact splits."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=n_estimators,
        learning_rate=learning_rate,
        max_depth=max_depth,
        random_state=seed,
    )


def build_logistic_regression(seed: int, *, C: Positive = 1.0):  # noqa: N803
    """Logistic regression on standardized features."""
    from sklearn.linear_model import LogisticRegression

    return _standardized(LogisticRegression(C=C, max_iter=2000, random_state=seed))


def build_gaussian_nb(seed: int, *, var_smoothing: AtLeastZero = 1e-9):
    """Gaussian naive Bayes on standardized features."""
    from sklearn.naive_bayes import GaussianNB

    return _standardized(GaussianNB(var_smoothing=var_smoothing))


def build_bernoulli_nb(seed: int, *, alpha: AtLeastZero = 1.0):
    """Bernoulli naive Bayes on whether a feature is above its mean."""
    from sklearn.naive_bayes import BernoulliNB

    return _standardized(BernoulliNB(alpha=alpha))


CLASSIFIERS: dict[str, Callable] = {
    "histgb": build_histgb,
    "lightgbm": build_lightgbm,
    "catboost": build_catboost,
    "random_forest": build_random_forest,
    "extra_trees": build_extra_trees,
    "gradient_boosting": build_gradient_boosting,
    "logistic_regression": build_logistic_regression,
    "gaussian_nb": build_gaussian_nb,
    "bernoulli_nb": build_bernoulli_nb,
}


def fit_classifier(
    model: object,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    balance: bool = True,
    names: Sequence[str] | None = None,
) -> object:
    """Fits a classifier that `CLASSIFIERS` built.

    Args:
        model: as built.
        train, validation: features float (n_rows, n_features) and labels int (n_rows,), 1 = spoof.
        balance: weight the classes so that both have the same mass.
        names: of the features, for errors.
    Returns:
        The same model, fitted.
    Raises:
        ValueError: a feature is not finite, all are constant, or a class is missing.
    """
    for part, (rows, labels) in (("training", train), ("validation", validation)):
        _check(rows, labels, part, names)
    _check_constant(train[0], names)
    weights = [_weights(labels) if balance else None for _, labels in (train, validation)]
    name = type(model).__name__
    threads = 1 if train[0].size <= SMALL else None
    if name == "HistGradientBoostingClassifier":
        from threadpoolctl import threadpool_limits

        with threadpool_limits(threads, user_api="openmp"):
            return model.fit(
                *(_even(*train, model.random_state) if balance else train),
                X_val=validation[0],
                y_val=validation[1],
                sample_weight_val=weights[1],
            )
    if name == "LGBMClassifier":
        from lightgbm import early_stopping

        model.set_params(n_jobs=threads or -1)
        return model.fit(
            *train,
            sample_weight=weights[0],
            eval_X=validation[0],
            eval_y=validation[1],
            eval_sample_weight=[weights[1]],
            callbacks=[early_stopping(PATIENCE, verbose=False)],
        )
    if name == "CatBoostClassifier":
        from catboost import Pool

        return model.fit(
            Pool(*train, weight=weights[0]),
            eval_set=Pool(*validation, weight=weights[1]),
            early_stopping_rounds=PATIENCE,
            use_best_model=True,
        )
    if name == "Pipeline":
        last = model.steps[-1][0]
        return model.fit(*train, **{f"{last}__sample_weight": weights[0]})
    model.fit(*train, sample_weight=weights[0])
    if name == "GradientBoostingClassifier":
        _keep_best_stage(model, validation, weights[1])
    return model


def _keep_best_stage(model, validation: tuple, weights: np.ndarray | None) -> None:
    """Cuts a gradient boosting off behind the stage with the lowest validation loss."""
    rows, labels = validation
    signed = np.where(labels == 1, 1, -1)
    losses = [
        np.average(np.logaddexp(0, -signed * np.ravel(scores)), weights=weights)
        for scores in model.staged_decision_function(rows)
    ]
    model.estimators_ = model.estimators_[: int(np.argmin(losses)) + 1]
    model.n_estimators_ = len(model.estimators_)


def _standardized(model):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), model)


def _even(rows: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rarer class repeated until both have as many rows.

    Weights would say the same, but scikit-learn 1.9 then computes the edge of each of 255 bins by a
    weighted percentile of its own: sixty times as long, at 3,000 rows of 155 features.
    """
    counts = np.bincount(labels, minlength=2)
    rare = np.flatnonzero(labels == np.argmin(counts))
    copies, rest = divmod(int(counts.max()), len(rare))
    some = np.random.default_rng(seed).choice(rare, rest, replace=False)
    more = np.concatenate([np.tile(rare, copies - 1), some])
    return np.concatenate([rows, rows[more]]), np.concatenate([labels, labels[more]])


def _weights(labels: np.ndarray) -> np.ndarray:
    """Both classes at the same mass, 1 on average."""
    return len(labels) / (2 * np.bincount(labels, minlength=2)[labels])


def _check(rows: np.ndarray, labels: np.ndarray, part: str, names: Sequence[str] | None) -> None:
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"features must be finite. Received: {rows[row, column]} in row {row + 1}, "
            f"{_name(column, names)}, of the {part} part. Is a clip silent?"
        )
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise ValueError(
            f"the {part} part needs rows of both classes. Received: {counts[1]} spoof and "
            f"{counts[0]} bonafide."
        )


def _check_constant(rows: np.ndarray, names: Sequence[str] | None) -> None:
    """Says which features are the same in all rows; such are of no use, and hint at a mistake."""
    constant = np.flatnonzero(np.ptp(rows, axis=0) == 0)
    if not len(constant):
        return
    some = ", ".join(_name(column, names) for column in constant[:5])
    more = f" and {len(constant) - 5} more" if len(constant) > 5 else ""
    if len(constant) == rows.shape[1]:
        raise ValueError(
            f"some feature must differ between the training rows. Received: {len(rows)} rows, all "
            "the same. Is it one clip, many times?"
        )
    print(f"note: constant in training, and so of no use: {some}{more}", file=sys.stderr)


def _name(column: int, names: Sequence[str] | None) -> str:
    return names[column] if names else f"column {column + 1}"
