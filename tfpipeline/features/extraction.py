"""Hand-made features of the clips of a manifest: one row a window, in the order of the clips.

A clip of one window or less gives one row, a longer one a row for each window (`data.windows`). The
trees learn from windows, as the networks do, and score a clip by the mean over its windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import FrontEndConfig
from tfpipeline.data.opening import Audio
from tfpipeline.data.pipeline import scoring_batches
from tfpipeline.features.handcrafted import HandcraftedFeatures

BATCH_SIZE = 64


def check_window(layer: HandcraftedFeatures, window: int) -> None:
    """Raises ValueError if a window of so many samples is too short for the features."""
    if window < layer.min_samples:
        raise ValueError(
            f"a window must have {layer.min_samples} samples or more for the features "
            f"{layer.feature_set!r}. Received: {window}. Is it in seconds?"
        )


def feature_batches(
    audio: Audio, layer: HandcraftedFeatures, window: int, first_clip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Streams the features of all windows of the clips, holding a few batches at a time.

    Args:
        audio: of the clips.
        layer: computes the features.
        window: samples in a window, at least the layer's `min_samples`.
        first_clip: the clip to start with.
    Yields:
        Clip index int64 (rows,), number of the window in its clip int64 (rows,), and features
        float32 (rows, len(layer.names)).
    Raises:
        ValueError: the window is too short for the features.
    """
    check_window(layer, window)
    compute = tf.function(layer, input_signature=[tf.TensorSpec([None, window], tf.float32)])
    rest = audio.subset(np.arange(first_clip, audio.n_clips))
    clip, number = -1, 0
    with audio.lost.told():
        for indices, waveform in scoring_batches(rest, window, BATCH_SIZE):
            indices = indices.numpy() + first_clip
            numbers = np.empty_like(indices)
            for row, index in enumerate(indices):
                number = number + 1 if index == clip else 0
                clip, numbers[row] = index, number
            yield indices, numbers, compute(waveform).numpy()


def extract_features(
    audio: Audio, feature_set: str, window: int, front_end: FrontEndConfig
) -> pd.DataFrame:
    """The features of all windows of the clips, in memory.

    Args:
        audio: of the clips.
        feature_set: a key of `FEATURE_SETS`.
        window: samples in a window.
        front_end: what happens to each window first.
    Returns:
        Columns `clip` (its row in the manifest) and `window` (its number in the clip), both int64,
        then the features, float32; one row a window.
    Raises:
        ValueError: the feature set is unknown, or the window too short for it.
    """
    layer = HandcraftedFeatures(feature_set, **front_end.model_dump())
    batches = list(feature_batches(audio, layer, window))
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(layer.names)), "f4"))
    clip, number, features = (np.concatenate(parts) for parts in zip(empty, *batches, strict=True))
    table = pd.DataFrame(features, columns=list(layer.names))
    return pd.concat([pd.DataFrame({"clip": clip, "window": number}), table], axis=1)
