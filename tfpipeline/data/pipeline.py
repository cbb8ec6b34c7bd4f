"""tf.data pipelines from clips to batches of waveform windows.

Training draws random windows in a random order; evaluation takes all windows of each clip in
order. Order and crops are pure functions of (seed, position in the stream), so a stream that starts
at position p equals the rest of one that started at 0: a stopped run continues exactly.

Putting the pipeline's last stage on a device, and making sure that it went there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import AugmentConfig
from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.windows import cut_windows, repeat_to, trim_edges
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.clips import LABELS

PARALLEL = tf.data.AUTOTUNE
SPEED_STEP = 250  # samples
END_OF_STREAM = np.iinfo(np.int64).max
AS_GIVEN = AugmentConfig()


@dataclass(frozen=True)
class Share:
    """The rows of every batch that one of several machines takes.

    Attributes:
        index: of the machine.
        machines: how many there are.
        devices: of each; the rows come in as many batches.
    """

    index: int = 0
    machines: int = 1
    devices: int = 1


WHOLE = Share()


def training_batches(
    audio: Audio,
    clips: pd.DataFrame,
    window: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    augment: AugmentConfig = AS_GIVEN,
    weights: np.ndarray | None = None,
    change: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    share: Share = WHOLE,
) -> tf.data.Dataset:
    """An endless, seeded stream of batches of random windows.

    An epoch has `steps_per_epoch` batches and holds every clip once, but for the few that fill up
    its last batch; with `weights` it is as long, and each clip in it is drawn by itself.

    Args:
        audio: of the same clips.
        clips: the training part of a manifest.
        window: samples in a window.
        batch_size: windows in a batch; all batches are full.
        seed: of order and crops.
        start_step: the batch that the stream starts with.
        augment: what is done to single clips: trimmed and silenced ends, speed.
        weights: how often each clip is drawn, float (n_clips,); None: equally often.
        change: what happens to whole clips: index, place in the stream and waveform → waveform,
            such as of `tfpipeline.data.codec_bank.codec_bank`.
        share: of each batch; clips of other shares are not read.
    Returns:
        Dataset of (step int64 (), waveform float32 (batch, window), label float32 (batch,)). Of a
        share, the batches of each device in turn, and `step` counts those of all devices.
    """
    labels = tf.constant(clips["label"].map(LABELS).to_numpy(np.float32))
    n_clips = audio.n_clips
    epoch_size = steps_per_epoch(n_clips, batch_size) * batch_size

    shuffled = tf.constant(seed, tf.int64)
    channels = None if audio.channels is None else tf.constant(audio.channels, tf.int32)
    bounds = None if weights is None else tf.constant(np.cumsum(weights) / np.sum(weights))
    speed = augment.speed

    rows = batch_size // share.machines

    def load(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        position = row // rows * batch_size + share.index * rows + row % rows
        if bounds is not None:
            key = tf.stack([shuffled + 1, position])
            drawn = tf.random.stateless_uniform([1], key, dtype=tf.float64)
            index = tf.searchsorted(bounds, drawn, side="right", out_type=tf.int64)[0]
            index = tf.minimum(index, n_clips - 1)
        else:
            epoch, place = position // epoch_size, position % epoch_size
            key = tf.stack([shuffled, epoch])
            index = tf.random.experimental.index_shuffle(place % n_clips, key, n_clips - 1)
        waveform = audio.waveform(index)
        return position, index, waveform if change is None else change(index, position, waveform)

    def crop(position: tf.Tensor, index: tf.Tensor, waveform: tf.Tensor) -> tuple:
        draws = tf.random.stateless_uniform([3], tf.stack([shuffled, position]))
        if channels is not None:
            own = tf.reshape(waveform, [channels[index], -1])
            waveform = own[tf.cast(draws[2] * tf.cast(channels[index], tf.float32), tf.int32)]
        if augment.trim_db:
            waveform = trim_edges(waveform, augment.trim_db)
        taken = window
        if speed:
            factor = 1 + speed * (2 * draws[0] - 1)
            # Whole steps, since Fourier transforms of prime lengths are seven times slower.
            taken = tf.cast(tf.round(factor * window / SPEED_STEP), tf.int32) * SPEED_STEP
        waveform = repeat_to(waveform, taken)
        latest = tf.cast(tf.shape(waveform)[0] - taken, tf.float32)
        begin = tf.cast(tf.floor(draws[1] * (latest + 1)), tf.int32)
        cut = waveform[begin : begin + taken]
        cut = stretch(cut, window) if speed else cut
        if augment.edge_probability:
            cut = silence_edges(cut, augment, tf.stack([shuffled + 2, position]))
        return tf.ensure_shape(cut, [window]), labels[index]

    windows = (
        tf.data.Dataset.range(start_step * rows, END_OF_STREAM)
        .map(load, num_parallel_calls=PARALLEL, deterministic=True)
        .filter(lambda position, index, waveform: tf.size(waveform) > 0)
        .map(crop, num_parallel_calls=PARALLEL, deterministic=True)
        .batch(rows // share.devices, drop_remainder=True)
    )

    def count(number: tf.Tensor, batch: tuple) -> tuple:
        step, device = number // share.devices, number % share.devices
        return ((step * share.machines + share.index) * share.devices + device, *batch)

    numbers = tf.data.Dataset.range(start_step * share.devices, END_OF_STREAM)
    return tf.data.Dataset.zip(numbers, windows).map(count)


def silence_edges(waveform: tf.Tensor, augment: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Silences the ends of a share of the waveforms, half of these but for faint noise.

    Args:
        waveform: float32 (samples,).
        augment: `edge_probability`, and `edge_seconds`, up to which each end is silenced.
        seed: of the draws, int64 (2,).
    Returns:
        float32 (samples,); what is between the ends, at least half of it, is as it was.
    """
    seeds = tf.random.split(seed, 2)
    draws = tf.random.stateless_uniform([5], seeds[0])
    samples = tf.size(waveform)
    longest = tf.minimum(augment.edge_seconds * SAMPLE_RATE, tf.cast(samples, tf.float32) / 4)
    ends = tf.cast(draws[:2] * longest, tf.int32)
    place = tf.range(samples)
    inside = (place >= ends[0]) & (place < samples - ends[1])
    noise = tf.random.stateless_normal([samples], seeds[1])
    noise *= tf.where(draws[2] < 0.5, 0.0, 10.0 ** (-5 + 2 * draws[3]))  # -100 to -60 dBFS
    return tf.where(inside | (draws[4] >= augment.edge_probability), waveform, noise)


def steps_per_epoch(n_clips: int, batch_size: int) -> int:
    """Batches in an epoch: enough for every clip to be in one."""
    return -(-n_clips // batch_size)


def scoring_batches(audio: Audio, window: int, batch_size: int) -> tf.data.Dataset:
    """All windows of all clips, in order, across clips in batches; the last may be smaller.

    Channels that are judged apart come one behind the other; a clip that was lost gives no window.

    Returns:
        Dataset of (clip index int64 (batch,), waveform float32 (batch, window)).
    """

    channels = None if audio.channels is None else tf.constant(audio.channels, tf.int32)

    def cut(index: tf.Tensor, waveform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        own = tf.reshape(waveform, [1 if channels is None else channels[index], -1])
        windows = cut_windows(own, window)  # (channels, windows, window)
        windows = tf.reshape(windows, [-1, window])
        return tf.repeat(index, tf.shape(windows)[0]), windows

    return (
        tf.data.Dataset.range(audio.n_clips)
        .map(lambda index: (index, audio.waveform(index)), PARALLEL, deterministic=True)
        .filter(lambda index, waveform: tf.size(waveform) > 0)
        .map(cut, PARALLEL, deterministic=True)
        .unbatch()
        .batch(batch_size)
        .prefetch(PARALLEL)
    )


def stretch(waveform: tf.Tensor, samples: int) -> tf.Tensor:
    """Plays a waveform faster or slower, pitch and all, so that it has so many samples.

    By the Fourier transform: the band is kept up to the lower of the two rates, and the ends are
    taken to meet. For small changes of crops in training; `resample` is for true conversion.

    Args:
        waveform: float32 (n,).
        samples: length of the result.
    Returns:
        float32 (samples,).
    """
    given = tf.shape(waveform)[0]
    spectrum = tf.signal.rfft(waveform)
    bins = samples // 2 + 1
    spectrum = tf.pad(spectrum, [[0, tf.maximum(0, bins - tf.shape(spectrum)[0])]])[:bins]
    scale = tf.cast(samples, tf.float32) / tf.cast(given, tf.float32)
    return tf.signal.irfft(spectrum, [samples]) * scale


def default_device() -> str:
    """The first GPU if TensorFlow sees one, else the CPU."""
    return "/GPU:0" if tf.config.list_logical_devices("GPU") else "/CPU:0"


def distribution(devices: Sequence[str]) -> tf.distribute.Strategy:
    """How a training step is spread over devices.

    None is TensorFlow's own choice; one device takes everything; on several,
    `tf.distribute.MirroredStrategy` keeps a copy of the model on each, which sees its share of
    every batch, and adds up the gradients.

    Raises:
        ValueError: a device that TensorFlow does not see; the message names those it does.
    """
    known = [device.name.replace("/device:", "/") for device in tf.config.list_logical_devices()]
    for device in devices:
        if device not in known:
            raise ValueError(
                f"a device must be one of {', '.join(known)}. Received: {device!r}. "
                "Is the GPU build of TensorFlow installed?"
            )
    if not devices:
        return tf.distribute.get_strategy()
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    return tf.distribute.MirroredStrategy(list(devices))


def map_on_device(
    dataset: tf.data.Dataset, function: Callable[..., tuple], device: str
) -> tf.data.Dataset:
    """Moves a dataset's elements to `device`, then maps `function` over them there.

    `tf.data.experimental.copy_to_device` stays on the CPU without a word where the device does not
    exist; so the device of a real element is looked at, once, before the dataset is handed out.

    Raises:
        ValueError: the elements are not on `device` afterwards.
    """
    moved = dataset.apply(tf.data.experimental.copy_to_device(device))
    # The stage runs where its inputs are; prefetching on the device keeps the results there.
    with tf.device(device):
        mapped = moved.map(function).prefetch(1)
        first = tf.nest.flatten(next(iter(mapped)))
    wanted = tf.DeviceSpec.from_string(device)
    for tensor in first:
        found = tf.DeviceSpec.from_string(tensor.device)
        if (found.device_type, found.device_index) != (wanted.device_type, wanted.device_index):
            known = [own.name for own in tf.config.list_logical_devices()]
            raise ValueError(
                f"the pipeline's last stage must run on {device}. Received a tensor on "
                f"{tensor.device}. Devices here: {', '.join(known)}. "
                "Set mel.place=model, or name a device that exists."
            )
    return mapped
