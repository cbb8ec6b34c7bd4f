"""tf.data pipelines from clips to batches of waveform windows.

Training draws random windows in a random order; evaluation takes all windows of each clip in
order. Order and crops are pure functions of (seed, position in the stream), so a stream that starts
at position p equals the rest of one that started at 0: a stopped run goes on exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio import decode, read_clip
from tfpipeline.data.clips import LABELS
from tfpipeline.data.resample import stretch
from tfpipeline.data.windows import cut_windows, repeat_to

PARALLEL = tf.data.AUTOTUNE
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


def open_audio(clips: pd.DataFrame, cache: str = "memory") -> Audio:
    """Makes the clips' audio available to the pipelines below.

    Args:
        clips: a manifest; the index of a clip is its row.
        cache: `memory` decodes all clips now, in parallel, with a progress bar; `none` decodes a
            clip from its file each time it is asked for.
    Raises:
        ValueError, FileNotFoundError: clips that cannot be used, by name.
    """
    paths = tf.constant(clips["path"].to_numpy(dtype=str))
    if cache == "none":
        return Audio(lambda index: decode(tf.gather(paths, index)), len(clips))
    waveforms = _decode_all(clips)
    lengths = np.array([len(waveform) for waveform in waveforms], np.int64)
    ends = tf.constant(np.cumsum(lengths))
    starts = tf.constant(np.cumsum(lengths) - lengths)
    # An eager tensor captured by a tf.data function is passed by reference, never copied into it.
    samples = tf.constant(np.concatenate(waveforms))
    return Audio(
        lambda index: samples[tf.gather(starts, index) : tf.gather(ends, index)], len(clips)
    )


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


def _decode_all(clips: pd.DataFrame) -> list[np.ndarray]:
    """Decodes every clip in parallel; on a failure, all clips that fail are named."""
    from tqdm import tqdm

    dataset = tf.data.Dataset.from_tensor_slices(clips["path"].to_numpy(dtype=str))
    dataset = dataset.map(decode, num_parallel_calls=PARALLEL, deterministic=True)
    bar = tqdm(total=len(clips), desc="decoding", unit="clip", ascii=" #", delay=2)
    waveforms = []
    try:
        for waveform in dataset.prefetch(PARALLEL).as_numpy_iterator():
            waveforms.append(waveform)
            bar.update()
    except tf.errors.OpError:
        raise ValueError(_name_bad_clips(clips)) from None
    finally:
        bar.close()
    return waveforms


def _name_bad_clips(clips: pd.DataFrame) -> str:
    """One line on the clips that cannot be read: how many, and what ails the first."""
    reasons = []
    for path in clips["path"]:
        try:
            read_clip(path)
        except (OSError, ValueError) as error:
            reasons.append(str(error))
    if not reasons:
        return "clips failed to decode, but read one by one they do not. Do the files change?"
    return f"{len(reasons)} of {len(clips)} clips cannot be used. The first: {reasons[0]}"
