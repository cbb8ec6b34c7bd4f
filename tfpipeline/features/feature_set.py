"""What a set of hand-made features is: named columns, and the function that computes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class FeatureSet:
    """A set of features for one sample rate.

    Attributes:
        names: of the columns.
        compute: float32 (size, samples) → float32 (size, columns), each row from its own clip.
        min_samples: the shortest clip, in samples.
    """

    names: tuple[str, ...]
    compute: Callable[[tf.Tensor], tf.Tensor]
    min_samples: int
