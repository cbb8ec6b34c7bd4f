"""Fitted models of scikit-learn, LightGBM and CatBoost as arrays.

What each library does with a row was read from its source: scikit-learn 1.9's
`_predictor.pyx` and `_tree.pyx`, LightGBM 4.7's `tree.h`, CatBoost 1.2's JSON model.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfpipeline.models.classical.arrays import DenseModel, TreeEnsemble, tree_depth

LIGHTGBM_ZERO = float(np.float32(1e-35))  # kZeroThreshold of its meta.h

# feature, threshold, left, right, missing_left, value; -1 as a child marks a leaf
Nodes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def to_arrays(model: object, n_features: int) -> TreeEnsemble | DenseModel:
    """The arrays of a fitted binary classifier.

    Args:
        model: fitted on classes 0 and 1, spoof = 1.
        n_features: columns that it was fitted on.
    Raises:
        ValueError: a kind of model, or an option of it, that has no arrays here.
    """
    name = type(model).__name__
    if name not in CONVERTERS:
        raise ValueError(f"a model must be one of {', '.join(CONVERTERS)}. Received: {name}.")
    return CONVERTERS[name](model, n_features)


def _hist_gradient_boosting(model, n_features: int) -> TreeEnsemble:
    trees = []
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        if nodes["is_categorical"].any():
            raise ValueError(
                "features must be numbers. Received: a category in HistGradientBoosting"
            )
        leaf = nodes["is_leaf"].astype(bool)
        left, right = (np.where(leaf, -1, nodes[side].astype(int)) for side in ("left", "right"))
        trees.append(
            (
                nodes["feature_idx"],
                nodes["num_threshold"],
                left,
                right,
                nodes["missing_go_to_left"].astype(bool),
                nodes["value"],
            )
        )
    base = float(np.ravel(model._baseline_prediction)[0])
    return _ensemble(trees, n_features, base, "sum", "float64")


def _gradient_boosting(model, n_features: int) -> TreeEnsemble:
    rate = model.learning_rate
    trees = [
        _sklearn_tree(tree.tree_, rate * tree.tree_.value[:, 0, 0]) for (tree,) in model.estimators_
    ]
    base = float(np.ravel(model._raw_predict_init(np.zeros((1, n_features), np.float32)))[0])
    return _ensemble(trees, n_features, base, "sum", "float32")


def _forest(model, n_features: int) -> TreeEnsemble:
    trees = []
    for tree in model.estimators_:
        shares = tree.tree_.value[:, 0, :]
        trees.append(_sklearn_tree(tree.tree_, shares[:, 1] / shares.sum(axis=1)))
    return _ensemble(trees, n_features, 0.0, "mean_probability", "float32")


def _sklearn_tree(tree, value: np.ndarray) -> Nodes:
    return (
        tree.feature,
        tree.threshold,
        tree.children_left,
        tree.children_right,
        tree.missing_go_to_left.astype(bool),
        value,
    )


def _lightgbm(model, n_features: int) -> TreeEnsemble:
    dumped = model.booster_.dump_model()
    trees = [_lightgbm_tree(info["tree_structure"]) for info in dumped["tree_info"]]
    return _ensemble(trees, n_features, 0.0, "sum", "float64")


def _lightgbm_tree(root: dict) -> Nodes:
    """LightGBM's nested nodes in one row, parents first."""
    rows: list[list] = []
    waiting = [(root, None)]
    while waiting:
        node, parent = waiting.pop()
        place = len(rows)
        if parent is not None:
            rows[parent[0]][parent[1]] = place
        if "leaf_value" in node:
            rows.append([0, 0.0, -1, -1, False, node["leaf_value"]])
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise ValueError(
                "LightGBM's features must be plain numbers, and zero no missing value. Received: "
                f"decision {node['decision_type']}, missing {node['missing_type']}."
            )
        # Without a missing value in training, LightGBM takes NaN for 0.
        nan_left = node["threshold"] >= 0
        if node["missing_type"] == "NaN":
            nan_left = node["default_left"]
        threshold = _beyond_zero(node["threshold"])
        rows.append([node["split_feature"], threshold, 0, 0, bool(nan_left), 0.0])
        waiting += [(node["right_child"], (place, 3)), (node["left_child"], (place, 2))]
    columns = list(zip(*rows, strict=True))
    kinds = (int, float, int, int, bool, float)
    return tuple(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))


def _beyond_zero(threshold: float) -> float:
    """LightGBM reads what lies within `LIGHTGBM_ZERO` as 0; the threshold that says the same."""
    if -LIGHTGBM_ZERO <= threshold < 0:
        return float(np.nextafter(-LIGHTGBM_ZERO, -1))
    return max(threshold, LIGHTGBM_ZERO) if threshold >= 0 else threshold


def _catboost(model, n_features: int) -> TreeEnsemble:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        dumped = json.loads(path.read_text(encoding="utf-8"))
    if "oblivious_trees" not in dumped:
        raise ValueError("CatBoost's trees must be symmetric. Received: another grow_policy.")
    flat, nan_left = {}, {}
    for feature in dumped["features_info"]["float_features"]:
        flat[feature["feature_index"]] = feature["flat_feature_index"]
        # A split asks whether x > border; NaN says no, unless it counts as the largest.
        nan_left[feature["feature_index"]] = feature.get("nan_value_treatment") != "AsTrue"
    scale, bias = dumped["scale_and_bias"]
    trees = []
    for tree in dumped["oblivious_trees"]:
        splits = tree["splits"] or []
        if any(split["split_type"] != "FloatFeature" for split in splits):
            raise ValueError("CatBoost's features must be numbers. Received: another split.")
        trees.append(_oblivious(splits, scale * np.array(tree["leaf_values"]), flat, nan_left))
    base = float(np.ravel(bias)[0]) if np.size(bias) else 0.0
    return _ensemble(trees, n_features, base, "sum", "float32")


def _oblivious(splits: Sequence[dict], leaves: np.ndarray, flat: dict, nan_left: dict) -> Nodes:
    """A symmetric tree in full: level k asks one question in all its 2^k nodes.

    CatBoost numbers leaves by bits, the first split the lowest; node n has the children 2n + 1
    (no) and 2n + 2 (yes), so the leaves' places spell the bits in the other order.
    """
    depth = len(splits)
    inner, n_nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    feature, threshold = np.zeros(n_nodes, int), np.zeros(n_nodes)
    missing_left, value = np.zeros(n_nodes, bool), np.zeros(n_nodes)
    for level, split in enumerate(splits):
        nodes = slice(2**level - 1, 2 ** (level + 1) - 1)
        feature[nodes] = flat[split["float_feature_index"]]
        threshold[nodes] = np.float32(split["border"])
        missing_left[nodes] = nan_left[split["float_feature_index"]]
    place = np.arange(2**depth)
    bits = sum(((place >> (depth - 1 - level)) & 1) << level for level in range(depth))
    value[inner:] = leaves[bits] if depth else leaves
    left = np.where(np.arange(n_nodes) < inner, 2 * np.arange(n_nodes) + 1, -1)
    return feature, threshold, left, np.where(left < 0, -1, left + 1), missing_left, value


def _ensemble(
    trees: Sequence[Nodes], n_features: int, base: float, link: str, precision: str
) -> TreeEnsemble:
    """Trees set one behind the other, parents before children."""
    trees = [_parents_first(tree) for tree in trees]
    counts = np.array([len(tree[0]) for tree in trees])
    starts = np.cumsum(counts) - counts
    feature, threshold, left, right, missing, value = (
        np.concatenate([tree[column] for tree in trees]) for column in range(6)
    )
    offset, place = np.repeat(starts, counts), np.arange(counts.sum())
    leaf = left < 0
    left, right = np.where(leaf, place, left + offset), np.where(leaf, place, right + offset)
    return TreeEnsemble(
        n_features,
        np.where(leaf, 0, feature).astype(np.int32),
        np.where(leaf, 0.0, threshold).astype(np.float64),
        left.astype(np.int32),
        right.astype(np.int32),
        missing & ~leaf,
        np.where(leaf, value, 0.0).astype(np.float64),
        starts.astype(np.int32),
        base,
        link,
        precision,
        tree_depth(left, right, starts),
    )


def _parents_first(tree: Nodes) -> Nodes:
    """The same tree, level by level; libraries that grow best-first number nodes otherwise."""
    left, right = tree[2], tree[3]
    order, level = [], np.array([0])
    while len(level):
        order.append(level)
        inner = level[left[level] >= 0]
        level = np.stack([left[inner], right[inner]], axis=1).ravel()
    order = np.concatenate(order)
    new = np.empty(len(left), int)
    new[order] = np.arange(len(order))
    columns = [np.asarray(column)[order] for column in tree]
    for side in (2, 3):
        columns[side] = np.where(columns[side] < 0, -1, new[columns[side]])
    return tuple(columns)


def _pipeline(model, n_features: int) -> DenseModel:
    """A standardization and a linear or naive Bayes model behind it."""
    scaler, last = model[0], model[-1]
    mean, scale = scaler.mean_, scaler.scale_
    one = np.ones((1, n_features))
    name = type(last).__name__
    if name == "LogisticRegression":
        return DenseModel(
            "linear", mean, scale, last.coef_.astype(float), one, float(last.intercept_[0])
        )
    if name == "GaussianNB":
        log = np.log(last.class_prior_) - np.log(2 * np.pi * last.var_).sum(axis=1) / 2
        return DenseModel("gaussian", mean, scale, last.theta_, last.var_, float(log[1] - log[0]))
    if name == "BernoulliNB" and last.binarize == 0:
        absent = np.log1p(-np.exp(last.feature_log_prob_))
        weight = last.feature_log_prob_ - absent
        base = last.class_log_prior_ + absent.sum(axis=1)
        return DenseModel(
            "bernoulli", mean, scale, (weight[1] - weight[0])[None], one, float(base[1] - base[0])
        )
    raise ValueError(f"a pipeline must end in a linear or naive Bayes model. Received: {name}.")


CONVERTERS: dict[str, Callable[[object, int], TreeEnsemble | DenseModel]] = {
    "HistGradientBoostingClassifier": _hist_gradient_boosting,
    "GradientBoostingClassifier": _gradient_boosting,
    "RandomForestClassifier": _forest,
    "ExtraTreesClassifier": _forest,
    "LGBMClassifier": _lightgbm,
    "CatBoostClassifier": _catboost,
    "Pipeline": _pipeline,
}
