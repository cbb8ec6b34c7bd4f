"""Symmetric trees, as CatBoost grows them: one question a level, so that a row's answers are the
bits of its leaf's number. No walk from node to node is needed, which takes most of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfpipeline.models.classifiers.arrays import TreeEnsemble


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
