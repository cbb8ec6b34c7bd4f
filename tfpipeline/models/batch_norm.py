"""Batch normalization that does not depend on how many devices share a batch."""

from __future__ import annotations

import keras
import tensorflow as tf


def batch_normalization(**options) -> keras.layers.BatchNormalization:
    """A `keras.layers.BatchNormalization` over the whole batch, wherever its parts are.

    Where a `tf.distribute` strategy splits batches, the moments are summed over its devices, so
    that training on several comes to the same as training on one. On one device the plain layer
    is kept, which computes the variance in one pass less.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return keras.layers.BatchNormalization(synchronized=several, **options)
