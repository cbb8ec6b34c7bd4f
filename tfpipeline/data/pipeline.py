"""tf.data pipelines from clips to batches of waveform windows.

Training draws random windows in a random order; evaluation takes all windows of each clip in
order. Order and crops are pure functions of (seed, position in the stream), so a stream that starts
at position p equals the rest of one that started at 0: a stopped run goes on exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE, decode
from tfpipeline.data.clips import LABELS
from tfpipeline.data.decoded import DecodedFiles
from tfpipeline.data.resample import stretch
from tfpipeline.data.screening import drop_skipped, screen_clips, screen_once
from tfpipeline.data.windows import cut_windows, repeat_to

PARALLEL = tf.data.AUTOTUNE
MEMORY_SAMPLES = 4 * 3600 * SAMPLE_RATE  # 4 hours: 0.9 GB
SPEED_STEP = 250  # samples
END_OF_STREAM = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Audio:
    """The waveforms of a list of clips, by index, from memory or from their files.

    Attributes:
        waveform: in-graph function, index (scalar int64) → float32 (samples,).
        n_clips: how many there are.
    """

    waveform: Callable[[tf.Tensor], tf.Tensor]
    n_clips: int

    def subset(self, rows: np.ndarray) -> Audio:
        """The audio of some rows of the manifest, sharing what is decoded.

        Args:
            rows: int or bool array, as NumPy indexes with.
        """
        chosen = tf.constant(np.arange(self.n_clips)[rows])
        return Audio(lambda index: self.waveform(tf.gather(chosen, index)), len(chosen))


def open_audio(
    clips: pd.DataFrame, cache: str = "auto"
) -> tuple[pd.DataFrame, Audio, pd.DataFrame]:
    """Decodes and checks the clips, and makes those that can be used available to the pipelines.

    Args:
        clips: a manifest.
        cache: where decoded audio is kept: `memory`; `disk`, in the user's cache, where later runs
            find it; `none`, so that a clip is decoded from its file each time it is asked for;
            `auto` is `memory` up to `MEMORY_SAMPLES` and `none` beyond.
    Returns:
        The clips that can be used, their audio (the index of a clip is its row), and a table
        `path, reason` of the clips that cannot.
    Raises:
        ValueError: too many clips cannot be used.
    """
    if cache == "disk":
        return _open_on_disk(clips)
    if cache != "none":
        try:
            return _open_in_memory(clips, MEMORY_SAMPLES if cache == "auto" else None)
        except _TooLongError:
            print(
                "more audio than memory is meant for: each clip is decoded whenever it is needed. "
                "--set data.cache=disk keeps it decoded.",
                file=sys.stderr,
            )
    return _open_files(clips)


class _TooLongError(Exception):
    """The decoded audio does not fit into the memory that it may take."""


def _open_in_memory(clips: pd.DataFrame, most_samples: int | None) -> tuple:
    """`open_audio` with one flat array of all samples."""
    waveforms: dict[int, np.ndarray] = {}
    total = 0

    def keep(index: int, waveform: np.ndarray) -> None:
        nonlocal total
        waveforms[index] = waveform
        total += len(waveform)
        if most_samples and total > most_samples:
            raise _TooLongError

    kept, skipped = drop_skipped(clips, screen_clips(clips["path"], keep))
    lengths = np.array([len(waveforms[index]) for index in sorted(waveforms)], np.int64)
    ends = np.cumsum(lengths)
    samples = np.empty(total, np.float32)
    for begin, index in zip(ends - lengths, sorted(waveforms), strict=True):
        waveform = waveforms.pop(index)
        samples[begin : begin + len(waveform)] = waveform
    # Eager tensors captured by a tf.data function are passed by reference, never copied into it.
    begins, ends, samples = tf.constant(ends - lengths), tf.constant(ends), tf.constant(samples)
    audio = Audio(
        lambda index: samples[tf.gather(begins, index) : tf.gather(ends, index)], len(kept)
    )
    return kept, audio, skipped


def _open_files(clips: pd.DataFrame) -> tuple:
    """`open_audio` with nothing kept: whatever the number of clips, memory holds their names."""
    kept, skipped = drop_skipped(clips, screen_once(clips["path"]))
    paths = tf.constant(kept["path"].to_list())
    return kept, Audio(lambda index: decode(tf.gather(paths, index)), len(kept)), skipped


def _open_on_disk(clips: pd.DataFrame) -> tuple:
    """`open_audio` with one decoded file a clip; what is there already is not decoded again."""
    _, reasons = decode_missing(DecodedFiles(clips["path"]), clips["path"])
    kept, skipped = drop_skipped(clips, reasons)
    return kept, Audio(DecodedFiles(kept["path"]).waveform, len(kept)), skipped


def decode_missing(decoded: DecodedFiles, paths: pd.Series) -> tuple[int, dict[int, str]]:
    """Decodes the clips that have no decoded file yet; what was stopped goes on where it was.

    Args:
        decoded: where they go.
        paths: of the same clips.
    Returns:
        How many were missing, and index → reason of those that cannot be used.
    """
    missing = decoded.missing()
    found = screen_clips(
        paths.iloc[missing], lambda place, waveform: decoded.write(missing[place], waveform)
    )
    return len(missing), {int(missing[place]): why for place, why in found.items()}


def training_batches(
    audio: Audio,
    clips: pd.DataFrame,
    window: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    speed: float = 0.0,
) -> tf.data.Dataset:
    """An endless, seeded stream of batches of random windows.

    An epoch has `steps_per_epoch` batches and holds every clip once, but for the few that fill up
    its last batch.

    Args:
        audio: of the same clips.
        clips: the training part of a manifest.
        window: samples in a window.
        batch_size: windows in a batch; all batches are full.
        seed: of order and crops.
        start_step: the batch that the stream starts with.
        speed: each window is played at a speed drawn from [1 - speed, 1 + speed].
    Returns:
        Dataset of (step int64 (), waveform float32 (batch, window), label float32 (batch,)).
    """
    labels = tf.constant(clips["label"].map(LABELS).to_numpy(np.float32))
    n_clips = audio.n_clips
    epoch_size = steps_per_epoch(n_clips, batch_size) * batch_size

    def draw(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, place = position // epoch_size, position % epoch_size
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(place % n_clips, key, n_clips - 1)
        draws = tf.random.stateless_uniform([2], tf.stack([tf.constant(seed, tf.int64), position]))
        taken = window
        if speed:
            factor = 1 + speed * (2 * draws[0] - 1)
            # Whole steps, since Fourier transforms of prime lengths are seven times slower.
            taken = tf.cast(tf.round(factor * window / SPEED_STEP), tf.int32) * SPEED_STEP
        waveform = repeat_to(audio.waveform(index), taken)
        latest = tf.cast(tf.shape(waveform)[0] - taken, tf.float32)
        begin = tf.cast(tf.floor(draws[1] * (latest + 1)), tf.int32)
        crop = waveform[begin : begin + taken]
        crop = stretch(crop, window) if speed else crop
        return tf.ensure_shape(crop, [window]), labels[index]

    windows = (
        tf.data.Dataset.range(start_step * batch_size, END_OF_STREAM)
        .map(draw, num_parallel_calls=PARALLEL, deterministic=True)
        .batch(batch_size, drop_remainder=True)
    )
    steps = tf.data.Dataset.range(start_step, END_OF_STREAM)
    return tf.data.Dataset.zip(steps, windows).map(lambda step, batch: (step, *batch))


def steps_per_epoch(n_clips: int, batch_size: int) -> int:
    """Batches in an epoch: enough for every clip to be in one."""
    return -(-n_clips // batch_size)


def scoring_batches(audio: Audio, window: int, batch_size: int) -> tf.data.Dataset:
    """All windows of all clips, in order, across clips in batches; the last may be smaller.

    Returns:
        Dataset of (clip index int64 (batch,), waveform float32 (batch, window)).
    """

    def cut(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        windows = cut_windows(audio.waveform(index)[None, :], window)[0]  # (windows, window)
        return tf.repeat(index, tf.shape(windows)[0]), tf.ensure_shape(windows, [None, window])

    return (
        tf.data.Dataset.range(audio.n_clips)
        .map(cut, num_parallel_calls=PARALLEL, deterministic=True)
        .unbatch()
        .batch(batch_size)
        .prefetch(PARALLEL)
    )
