"""Clips of different lengths side by side, and the windows of all of them, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio import LOUDEST, MIN_SECONDS, SAMPLE_RATE, SILENCE_DBFS
from tfpipeline.data.audio.windows import window_count
from tfpipeline.serving.status import (
    CLIPPED,
    CLIPPED_SHARE,
    FULL_SCALE,
    NO_SCORE,
    NOT_AUDIO,
    NOT_FINITE,
    OK,
    SCORED,
    SILENT,
    STATUSES,
    TOO_SHORT,
)

WINDOWS_AT_ONCE = 32


class Clips(NamedTuple):
    """The clips of a batch in one row of samples; a file whose channels differ is several clips.

    Attributes:
        samples: float32 (total,).
        starts: int64 (clips,), where each clip begins in it.
        lengths: int32 (clips,), samples of each.
        status: int32 (clips,), codes of `tfpipeline.serving.status`.
        row: int32 (clips,), the row of the batch that a clip belongs to, in order.
        batch: int32 (), how many rows there are.
    """

    samples: tf.Tensor
    starts: tf.Tensor
    lengths: tf.Tensor
    status: tf.Tensor
    row: tf.Tensor
    batch: tf.Tensor


class Windows(NamedTuple):
    """The scored windows of a batch of clips, clip after clip.

    Attributes:
        scores: float32 (windows,), log-odds.
        clip: int32 (windows,), the clip's number.
        counts: int32 (clips,), windows of each clip; 0 of one that is not scored.
    """

    scores: tf.Tensor
    clip: tf.Tensor
    counts: tf.Tensor


def clips_of_rows(waveform: tf.Tensor) -> Clips:
    """Clips out of waveforms of one length, float32 (batch, samples)."""
    batch, samples = tf.unstack(tf.shape(waveform))
    lengths = tf.fill([batch], samples)
    statuses = tf.fill([batch], OK)
    rows = tf.range(batch)
    return Clips(tf.reshape(waveform, [-1]), row_starts(lengths), lengths, statuses, rows, batch)


def row_starts(sizes: tf.Tensor) -> tf.Tensor:
    """Where rows of these sizes, int32 (batch,), begin when they lie one behind the other.

    Returns:
        int64 (batch,): several hours of audio are more than 2^31 samples.
    """
    return tf.cumsum(tf.cast(sizes, tf.int64), exclusive=True)


def judge_sound(clips: Clips) -> Clips:
    """The same clips, with the status of what can be heard in them, as `check_levels` has it."""

    def judge(clip: tuple[tf.Tensor, ...]) -> tf.Tensor:
        start, length, status = clip
        length = tf.cast(length, tf.int64)
        # The zero keeps the maximum defined where there is no sample.
        size = tf.abs(tf.concat([clips.samples[start : start + length], [0.0]], 0))
        clipped = tf.reduce_mean(tf.cast(size >= FULL_SCALE, tf.float32)) > CLIPPED_SHARE
        heard = tf.where(clipped, CLIPPED, OK)
        for holds, code in (
            (tf.reduce_max(size) < 10 ** (SILENCE_DBFS / 20), SILENT),
            (~is_audio(size), NOT_AUDIO),
            (tf.cast(length, tf.float32) < MIN_SECONDS * SAMPLE_RATE, TOO_SHORT),
            (status != OK, status),
        ):
            heard = tf.where(holds, code, heard)
        return heard

    status = tf.map_fn(
        judge,
        (clips.starts, clips.lengths, clips.status),
        fn_output_signature=tf.TensorSpec([], tf.int32),
    )
    return clips._replace(status=status)


def is_audio(samples: tf.Tensor) -> tf.Tensor:
    """Whether samples are those of audio: float32 (…, samples) → bool (…)."""
    return tf.reduce_all(tf.abs(samples) <= LOUDEST, -1)  # NaN is not at most anything


def is_scored(status: tf.Tensor) -> tf.Tensor:
    """Whether clips of a status get a score: int32 (batch,) → bool (batch,)."""
    return tf.reduce_any([tf.equal(status, code) for code in SCORED], axis=0)


def is_score(score: tf.Tensor) -> tf.Tensor:
    """Whether values are log-odds, not NaN and far from `NO_SCORE`: float32 → bool, one shape."""
    return tf.abs(score) < -NO_SCORE


def score_windows(clips: Clips, window: int, score: Callable[[tf.Tensor], tf.Tensor]) -> Windows:
    """Scores all windows of all clips that can be scored, some windows at a time.

    Windows are those of `tfpipeline.data.audio.windows`. A clip without a score has none, so that
    it costs nothing and its samples, which may be NaN, go nowhere.

    Args:
        clips: already judged.
        window: samples in a window.
        score: float32 (n, window) → float32 (n,), each from its own window alone.
    """
    lengths = tf.where(is_scored(clips.status), clips.lengths, 0)
    counts = tf.where(lengths > 0, window_count(lengths, window), 0)
    clip = tf.repeat(tf.range(tf.shape(counts)[0]), counts)  # (windows,)
    total = tf.shape(clip)[0]
    number = tf.range(total) - tf.gather(tf.cumsum(counts, exclusive=True), clip)
    length = tf.gather(lengths, clip)
    starts = tf.minimum(number * window, tf.maximum(length - window, 0))
    # One silent sample behind all others makes the windows that fill up the last group.
    samples = tf.concat([clips.samples, [0.0]], 0)
    groups = tf.maximum(1, -(-total // WINDOWS_AT_ONCE))
    size = tf.maximum(1, -(-total // groups))

    def in_groups(values: tf.Tensor, filler: tf.Tensor | int) -> tf.Tensor:
        fill = tf.fill([groups * size - total], filler)
        return tf.reshape(tf.concat([values, fill], 0), [groups, size])

    def score_group(group: tuple[tf.Tensor, ...]) -> tf.Tensor:
        base, start, length = (column[:, None] for column in group)
        # A clip shorter than the window is repeated to length.
        within = (start + tf.range(window)[None]) % length  # (size, window)
        places = base + tf.cast(within, tf.int64)
        return score(tf.gather(samples, places))

    scores = tf.map_fn(
        score_group,
        (
            in_groups(tf.gather(clips.starts, clip), tf.size(samples, tf.int64) - 1),
            in_groups(starts, 0),
            in_groups(length, 1),
        ),
        fn_output_signature=tf.TensorSpec([None], tf.float32),
        parallel_iterations=1,  # each group fills the machine, and its memory is the bound
    )  # (groups, size)
    return Windows(tf.reshape(scores, [-1])[:total], clip, counts)


def row_scores(clips: Clips, windows: Windows) -> tuple[tf.Tensor, tf.Tensor]:
    """The score and the status of each row: of its clip that looks most like spoof.

    A clip's score is the mean of its windows'.

    Returns:
        float32 (batch,), `NO_SCORE` where no clip of the row has a score, and int32 (batch,).
    """
    number = tf.size(windows.counts)
    total = tf.math.unsorted_segment_sum(
        tf.cast(windows.scores, tf.float64), windows.clip, number
    )  # (clips,)
    score = tf.cast(total / tf.cast(tf.maximum(windows.counts, 1), tf.float64), tf.float32)
    scored = (windows.counts > 0) & is_score(score)
    statuses = tf.where((windows.counts > 0) & ~scored, NOT_FINITE, clips.status)
    highest = tf.math.unsorted_segment_max(
        tf.where(scored, score, -np.inf), clips.row, clips.batch
    )  # (batch,)
    chosen = scored & (score >= tf.gather(highest, clips.row))
    any_scored = tf.math.unsorted_segment_max(tf.cast(scored, tf.int32), clips.row, clips.batch) > 0
    counts = chosen | ~tf.gather(any_scored, clips.row)
    status = tf.math.unsorted_segment_min(
        tf.where(counts, statuses, len(STATUSES)), clips.row, clips.batch
    )
    return tf.where(any_scored, highest, NO_SCORE), status
