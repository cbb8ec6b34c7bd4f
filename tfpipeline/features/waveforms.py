"""What every layer that takes waveforms asks of them.

Clips a few at a time: the way in which the front ends go through a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def check_waveforms(waveform: tf.Tensor) -> None:
    """Raises ValueError if waveforms are not float (batch, samples)."""
    if waveform.shape.rank != 2:
        raise ValueError(
            "waveform must have the shape (batch, samples). "
            f"Received: {waveform.shape}. One clip needs waveform[None]; drop a channel axis."
        )
    if not waveform.dtype.is_floating:
        raise ValueError(
            "waveform must be float in [-1, 1]. "
            f"Received: {waveform.dtype.name}. Is this PCM, to be divided by 32768?"
        )


# At 64 clips the frames alone fill 50 MB, which the allocator hands back to the system after every
# call, and paging them in again halves the speed.
CLIPS_AT_ONCE = 8


def in_groups(
    function: Callable[[tf.Tensor], tf.Tensor],
    waveform: tf.Tensor,
    row_shape: tuple[int | None, ...],
    dtype: str,
    clips_at_once: int = CLIPS_AT_ONCE,
) -> tf.Tensor:
    """Applies a function to a batch of waveforms, some clips at a time.

    In a `tf.function` the groups run side by side.

    Args:
        function: float (size, samples) → (size, *row_shape), each row from its own clip alone.
        waveform: float (batch, samples); both may be unknown.
        row_shape: of the result for one clip; None where it is not known.
        dtype: of the result.
        clips_at_once: the largest group.
    Returns:
        (batch, *row_shape).
    """
    batch, samples = tf.shape(waveform)[0], waveform.shape[1]
    samples = tf.shape(waveform)[1] if samples is None else samples
    groups = tf.maximum(1, -(-batch // clips_at_once))
    size = -(-batch // groups)
    # Silent clips fill the last group, and are cut off again.
    waveform = tf.pad(waveform, [[0, groups * size - batch], [0, 0]])
    waveform = tf.reshape(waveform, [groups, size, samples])
    # Nothing in it is for AutoGraph, which would leave its source files where a process ends early.
    function = tf.autograph.experimental.do_not_convert(function)
    result = tf.map_fn(
        function, waveform, fn_output_signature=tf.TensorSpec([None, *row_shape], dtype)
    )  # (groups, size, …)
    result = tf.reshape(result, tf.concat([[groups * size], tf.shape(result)[2:]], 0))[:batch]
    return tf.ensure_shape(result, [None, *row_shape])
