"""Windows of a clip: how recordings of any length become inputs of one length.

A clip shorter than the window is repeated to length, never padded with a value that would tell its
length. A longer one is cut into windows that start at 0, w, 2w, …; the last ends flush with the
clip, and so overlaps its neighbour where the length is not a multiple of w.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def window_count(samples: tf.Tensor, window: int) -> tf.Tensor:
    """How many windows a clip of so many samples has; at least one. Any integer shape."""
    import tensorflow as tf

    return tf.maximum(1, -(-samples // window))


def repeat_to(waveform: tf.Tensor, window: int | tf.Tensor) -> tf.Tensor:
    """Repeats waveforms (..., samples) until they have at least `window` samples.

    One that is long enough is returned as it is; a shorter one comes out exactly `window` long.
    """
    import tensorflow as tf

    samples = tf.shape(waveform)[-1]
    copies = -(-window // tf.maximum(samples, 1))
    repeats = tf.concat([tf.ones([tf.rank(waveform) - 1], tf.int32), [copies]], 0)
    return tf.cond(
        samples < window, lambda: tf.tile(waveform, repeats)[..., :window], lambda: waveform
    )


def trim_edges(waveform: tf.Tensor, top_db: float) -> tf.Tensor:
    """Cuts off what is quieter than the loudest frame by `top_db` or more, at both ends.

    As `librosa.effects.trim` with its frames of 2048 samples every 512; a silent waveform, which
    that would cut to nothing, stays as it is.

    Args:
        waveform: float32 (samples,).
        top_db: positive, in dB.
    Returns:
        float32 (fewer samples,).
    """
    import tensorflow as tf

    hop = 512
    samples = tf.shape(waveform)[0]
    frames = samples // hop + 1
    padded = tf.pad(waveform, [[2 * hop, (frames + 2) * hop - samples]])
    blocks = tf.reduce_sum(tf.reshape(padded, [-1, hop]) ** 2, axis=1)
    power = sum(blocks[shift : shift + frames] for shift in range(4))  # (frames,)
    loud = tf.where(power > tf.reduce_max(power) * 10.0 ** (-top_db / 10))[:, 0]
    first = tf.reduce_min(tf.concat([loud * hop, [tf.cast(samples, tf.int64)]], 0))
    last = tf.reduce_max(tf.concat([loud * hop + hop, [0]], 0))
    trimmed = waveform[first:last]
    return tf.cond(tf.size(loud) > 0, lambda: trimmed, lambda: waveform)


def cut_windows(waveform: tf.Tensor, window: int) -> tf.Tensor:
    """All windows of waveforms of one length.

    Args:
        waveform: float (batch, samples).
        window: samples in a window.
    Returns:
        float (batch, windows, window).
    """
    import tensorflow as tf

    waveform = repeat_to(waveform, window)
    samples = tf.shape(waveform)[1]
    whole, left = samples // window, samples % window
    windows = tf.reshape(waveform[:, : whole * window], tf.stack([-1, whole, window]))
    # By slices, since gathering by place takes longer than decoding.
    last = waveform[:, None, samples - window :][:, : tf.minimum(left, 1)]
    return tf.concat([windows, last], 1)  # (batch, windows, window)


def stream_windows(blocks: Iterable[np.ndarray], window: int) -> Iterator[np.ndarray]:
    """`cut_windows` of a waveform that comes in blocks.

    Args:
        blocks: float32 (samples,), of any lengths.
        window: samples in a window.
    Yields:
        float32 (some windows, window), together all windows of the clip; nothing of an empty one.
    """
    held, last = np.zeros(0, np.float32), None
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else block
        whole = len(held) // window
        if whole:
            windows = held[: whole * window].reshape(whole, window)
            held, last = held[whole * window :], windows[-1]
            yield windows
    if last is None:
        if len(held):
            yield np.resize(held, window)[None]
    elif len(held):
        # Flush with the end, and so over a part of the window before it.
        yield np.concatenate([last, held])[None, -window:]
