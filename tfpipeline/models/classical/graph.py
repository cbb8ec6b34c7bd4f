"""Symmetric trees, as CatBoost grows them: one question a level, so that a row's answers are the
bits of its leaf's number. No walk from node to node is needed, which takes most of the time.

The graph of a fitted model: feature rows in, log-odds out, by core TensorFlow ops alone.

All trees and all rows go down one level at a time: a level is five gathers of (batch, trees), and
one where the trees are symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.models.classical.arrays import DenseModel, TreeEnsemble


@dataclass(frozen=True)
class ObliviousTrees:
    """Symmetric trees of one depth.

    Attributes:
        feature, threshold, missing_left: (n_trees, depth), of each level's question.
        value: float64 (n_trees, 2 ** depth), leaves from left to right.
    """

    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray


def oblivious_trees(model: TreeEnsemble) -> list[ObliviousTrees] | None:
    """The trees by their depth, shallow ones first; None if one of them is not symmetric."""
    groups = []
    level = model.roots[:, None]  # (trees, 2 ** depth) nodes, left to right
    questions: list[np.ndarray] = []
    for _ in range(model.depth + 1):
        leaf = model.left[level] == level
        done = leaf.all(axis=1)
        if (leaf.any(axis=1) & ~done).any():
            return None
        if done.any():
            groups.append(_group(model, [nodes[done] for nodes in questions], level[done]))
        level, questions = level[~done], [nodes[~done] for nodes in questions]
        for asked in (model.feature, model.threshold, model.missing_left):
            if (asked[level] != asked[level[:, :1]]).any():
                return None
        questions.append(level[:, 0])
        children = np.stack([model.left[level], model.right[level]], axis=2)
        level = children.reshape(len(level), 2 * level.shape[1])
    return groups


def sum_of_values(trees: ObliviousTrees, rows: tf.Tensor) -> tf.Tensor:
    """The sum of the trees' values for each row.

    Args:
        trees: of one depth.
        rows: float64 (batch, n_features).
    Returns:
        float64 (batch,).
    """
    n_trees, leaves = trees.value.shape
    depth = trees.feature.shape[1]
    leaf = tf.zeros([tf.shape(rows)[0], n_trees], tf.int32)
    for level in range(depth):
        x = tf.gather(rows, trees.feature[:, level], axis=1)  # (batch, trees)
        goes_right = x > trees.threshold[:, level]
        if not trees.missing_left[:, level].all():
            goes_right |= tf.math.is_nan(x) & ~trees.missing_left[:, level]
        leaf = 2 * leaf + tf.cast(goes_right, tf.int32)
    places = leaf + np.arange(n_trees, dtype=np.int32) * leaves
    return tf.reduce_sum(tf.gather(tf.constant(trees.value.ravel()), places), axis=1)


def _group(model: TreeEnsemble, questions: list[np.ndarray], level: np.ndarray) -> ObliviousTrees:
    asked = np.stack(questions, axis=1) if questions else np.empty((len(level), 0), int)
    return ObliviousTrees(
        model.feature[asked], model.threshold[asked], model.missing_left[asked], model.value[level]
    )


# A forest may be sure: 0 and 1 have no finite log-odds. The probability of the library is kept.
SURE = 1e-6


def log_odds(model: TreeEnsemble | DenseModel, rows: tf.Tensor) -> tf.Tensor:
    """The raw score of each row.

    Args:
        model: the fitted arrays.
        rows: float (batch, n_features); NaN goes where the library sends it.
    Returns:
        float64 (batch,). Of a `mean_probability` forest it is the log-odds of the probability kept
        between `SURE` and 1 - `SURE`.
    """
    if isinstance(model, DenseModel):
        return _dense(model, tf.cast(rows, tf.float64))
    total = _sum_of_trees(model, rows)
    if model.link == "sum":
        return total + model.base
    p = tf.clip_by_value(total / len(model.roots), SURE, 1 - SURE)
    return tf.math.log(p) - tf.math.log1p(-p)


def probability(model: TreeEnsemble | DenseModel, rows: tf.Tensor) -> tf.Tensor:
    """The library's own probability of spoof, float64 (batch,)."""
    if isinstance(model, TreeEnsemble) and model.link == "mean_probability":
        return _sum_of_trees(model, rows) / len(model.roots)
    return tf.sigmoid(log_odds(model, rows))


@keras.saving.register_keras_serializable(package="tfpipeline")
class FittedScore(keras.layers.Layer):
    """A fitted model as the last layer of a detector: features → log-odds (batch, 1)."""

    def __init__(self, model: TreeEnsemble | DenseModel, **kwargs):
        kwargs.pop("dtype", None)
        super().__init__(dtype="float32", autocast=False, trainable=False, **kwargs)
        self.model = model

    def call(self, rows):
        """Float (batch, n_features) → float32 (batch, 1)."""
        return tf.cast(log_odds(self.model, rows), tf.float32)[:, None]

    def compute_output_shape(self, input_shape):
        return input_shape[0], 1


def _sum_of_trees(model: TreeEnsemble, rows: tf.Tensor) -> tf.Tensor:
    """The sum of the trees' values for each row, float64 (batch,)."""
    # Rounded as the library rounds, then compared exactly.
    rows = tf.cast(tf.cast(rows, model.precision), tf.float64)
    symmetric = oblivious_trees(model)
    if symmetric is not None:
        return tf.add_n([sum_of_values(trees, rows) for trees in symmetric])
    return _walk(model, rows)


def _walk(model: TreeEnsemble, rows: tf.Tensor) -> tf.Tensor:
    """The same by walking, for trees of any shape."""
    feature, left = tf.constant(model.feature), tf.constant(model.left)
    right, threshold = tf.constant(model.right), tf.constant(model.threshold)
    missing_left = tf.constant(model.missing_left)
    batch, n_features = tf.shape(rows)[0], model.n_features
    flat = tf.reshape(rows, [-1])
    starts = tf.range(batch)[:, None] * n_features  # (batch, 1)
    node = tf.tile(tf.constant(model.roots)[None], [batch, 1])  # (batch, trees)
    for _ in range(model.depth):
        x = tf.gather(flat, starts + tf.gather(feature, node))
        goes_left = x <= tf.gather(threshold, node)
        goes_left |= tf.math.is_nan(x) & tf.gather(missing_left, node)
        node = tf.where(goes_left, tf.gather(left, node), tf.gather(right, node))
    return tf.reduce_sum(tf.gather(tf.constant(model.value), node), axis=1)


def _dense(model: DenseModel, rows: tf.Tensor) -> tf.Tensor:
    z = (rows - model.mean) / model.scale
    if model.kind == "linear":
        return tf.linalg.matvec(z, model.first[0]) + model.base
    if model.kind == "bernoulli":
        return tf.linalg.matvec(tf.cast(z > 0, tf.float64), model.first[0]) + model.base
    squares = (z[:, None] - model.first) ** 2 / model.second  # (batch, 2, n_features)
    distance = tf.reduce_sum(squares, axis=2)
    return model.base - (distance[:, 1] - distance[:, 0]) / 2
