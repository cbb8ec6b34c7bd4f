"""tf.data pipelines from clips to batches of waveform windows.

Training draws random windows in a random order; evaluation takes all windows of each clip in
order. Order and crops are pure functions of (seed, position in the stream), so a stream that starts
at position p equals the rest of one that started at 0: a stopped run goes on exactly.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio import STEPS
from tfpipeline.data.audio.decode import Decoded, decode
from tfpipeline.data.audio.windows import cut_windows, repeat_to
from tfpipeline.data.clips import LABELS
from tfpipeline.data.decoded import DecodedFiles, to_steps
from tfpipeline.data.screening import (
    MAX_SKIPPED_SHARE,
    Screening,
    drop_skipped,
    screen_clips,
    screen_once,
    skipped_table,
)
from tfpipeline.files.memory import free_bytes

PARALLEL = tf.data.AUTOTUNE
# Of the memory that is free; while the samples are put together, they are there twice.
MEMORY_SHARE = 0.3
DISK_SHARE = 0.8
SPEED_STEP = 250  # samples
END_OF_STREAM = np.iinfo(np.int64).max


class LostClips:
    """Clips that could be read when a run was opened, and cannot any more.

    Args:
        paths: of all clips.
    """

    def __init__(self, paths: list[str]):
        self._paths = paths
        self._reasons: dict[int, str] = {}
        self._lock = threading.Lock()

    def add(self, index: int, reason: str) -> None:
        """Notes a clip, once, with a line.

        Raises:
            ValueError: there are too many.
        """
        with self._lock:
            if index not in self._reasons:
                self._reasons[index] = reason
                print(f"left out from here on: {reason}", file=sys.stderr)
        self.check()

    def check(self) -> None:
        """Raises ValueError if more than `MAX_SKIPPED_SHARE` of the clips are lost."""
        number = len(self._reasons)
        if number > MAX_SKIPPED_SHARE * len(self._paths):
            raise ValueError(
                f"at most {MAX_SKIPPED_SHARE:.0%} of the clips may get lost on the way. Received: "
                f"{number} of {len(self._paths)}, such as {next(iter(self._reasons.values()))} "
                "Bring them back, and go on with --resume."
            )

    def table(self) -> pd.DataFrame:
        """The table `path, reason`."""
        rows = sorted(self._reasons)
        return skipped_table(
            [self._paths[row] for row in rows], [self._reasons[row] for row in rows]
        )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turns TensorFlow's account of what `add` raised inside a pipeline into that one line."""
        try:
            yield
        except tf.errors.OpError:
            self.check()
            raise


@dataclass(frozen=True)
class Audio:
    """The waveforms of a list of clips, by index, from memory or from their files.

    Attributes:
        waveform: in-graph function, index (scalar int64) → float32 (samples,), channels that are
            judged apart one behind the other; empty where a clip was lost on the way.
        n_clips: how many there are.
        channels: of each clip, int (n_clips,); None: one each.
        remarks: index → what was noticed about a clip.
        lost: what was lost on the way, of all clips.
    """

    waveform: Callable[[tf.Tensor], tf.Tensor]
    n_clips: int
    channels: np.ndarray | None = None
    remarks: dict[int, tuple[str, ...]] = field(default_factory=dict)
    lost: LostClips = field(default_factory=lambda: LostClips([]))

    def subset(self, rows: np.ndarray) -> Audio:
        """The audio of some rows of the manifest, sharing what is decoded.

        Args:
            rows: int or bool array, as NumPy indexes with.
        """
        taken = np.arange(self.n_clips)[rows]
        chosen = tf.constant(taken)
        remarks = {
            place: self.remarks[row] for place, row in enumerate(taken) if row in self.remarks
        }
        return Audio(
            lambda index: self.waveform(tf.gather(chosen, index)), len(chosen),
            None if self.channels is None else self.channels[taken], remarks, self.lost,
        )  # fmt: skip


def open_audio(
    clips: pd.DataFrame, cache: str = "auto", decoder: str = "auto"
) -> tuple[pd.DataFrame, Audio, pd.DataFrame]:
    """Decodes and checks the clips, and makes those that can be used available to the pipelines.

    Args:
        clips: a manifest.
        cache: where decoded audio is kept, as 16-bit samples: `memory`; `disk`, in the user's
            cache, where later runs find it; `none`, so that a clip is decoded from its file each
            time it is asked for; `auto` is `memory` up to `MEMORY_SHARE` of what is free, and
            `disk` beyond.
        decoder: `auto`, or `tensorflow_io`, with which nothing is kept, and WAV, FLAC, MP3 and Ogg
            Vorbis are decoded in the graph by its operations.
    Returns:
        The clips that can be used, their audio (the index of a clip is its row), and a table
        `path, reason` of the clips that cannot.
    Raises:
        ValueError: too many clips cannot be used.
    """
    if decoder == "tensorflow_io":
        from tfpipeline.data.tensorflow_io import open_in_graph

        return open_in_graph(clips)
    if cache == "none":
        return _open_files(clips)
    decoded = DecodedFiles(clips["path"])
    if cache == "disk":
        return _open_on_disk(clips, decoded)
    most = None if cache == "memory" else int(MEMORY_SHARE * free_bytes())
    if most is not None and decoded.size() > most:
        return _open_on_disk(clips, decoded)
    return _open_in_memory(clips, decoded, most)


def _open_in_memory(clips: pd.DataFrame, decoded: DecodedFiles, most: int | None) -> tuple:
    """`open_audio` with one flat array of all samples; once there are too many, on disk."""
    held: dict[int, tuple] | None = {}
    total = 0

    def keep(index: int, clip: Decoded) -> None:
        nonlocal total, held
        stored = _stored(clip)
        if held is None:
            decoded.write(index, *stored)
            return
        held[index] = stored
        total += stored[0].nbytes
        if most is not None and total > most:
            _tell_spill(decoded, total, len(clips) * total // (index + 1))
            for own, earlier in held.items():
                decoded.write(own, *earlier)
            held = None

    screening = screen_clips(clips["path"].tolist(), keep)
    kept, skipped = drop_skipped(clips, screening.reasons)
    if held is None:
        return kept, _audio(kept, clips, screening, DecodedFiles(kept["path"])), skipped
    lengths = np.array([len(held[index][0]) for index in sorted(held)], np.int64)
    ends = np.cumsum(lengths)
    samples = np.empty(total // 2, np.int16)
    for begin, index in zip(ends - lengths, sorted(held), strict=True):
        steps = held.pop(index)[0]
        samples[begin : begin + len(steps)] = steps
    # Eager tensors captured by a tf.data function are passed by reference, never copied into it.
    begins, ends, samples = tf.constant(ends - lengths), tf.constant(ends), tf.constant(samples)

    def waveform(index: tf.Tensor) -> tf.Tensor:
        steps = samples[tf.gather(begins, index) : tf.gather(ends, index)]
        return tf.cast(steps, tf.float32) / STEPS

    return kept, _audio(kept, clips, screening, waveform), skipped


def _tell_spill(decoded: DecodedFiles, total: int, expected: int) -> None:
    """Says that audio goes to the disk, and refuses where it has no room.

    Raises:
        ValueError: it has not.
    """
    decoded.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(decoded.folder).free
    if expected > DISK_SHARE * free:
        raise ValueError(
            f"data.cache auto keeps {total / 1e9:.1f} GB of audio in memory, and more of it in "
            f"{decoded.folder}. Received: some {expected / 1e9:.1f} GB, where {free / 1e9:.1f} GB "
            "are free. Name another folder in TFPIPELINE_CACHE, or --set data.cache=none to decode "
            "each clip whenever it is needed."
        )
    print(
        f"more audio than memory is meant for ({total / 1e9:.1f} GB): some {expected / 1e9:.1f} GB "
        f"of decoded audio go to {decoded.folder}",
        file=sys.stderr,
    )


def _open_files(clips: pd.DataFrame) -> tuple:
    """`open_audio` with nothing kept: whatever the number of clips, memory holds their names."""
    screening = screen_once(clips["path"].tolist())
    kept, skipped = drop_skipped(clips, screening.reasons)
    return kept, audio_of_files(kept, clips, screening), skipped


def audio_of_files(kept: pd.DataFrame, clips: pd.DataFrame, screening: Screening) -> Audio:
    """The audio of the clips that were kept, each decoded from its file whenever it is needed."""
    return _audio(kept, clips, screening, None)


def _open_on_disk(clips: pd.DataFrame, decoded: DecodedFiles) -> tuple:
    """`open_audio` with one decoded file a clip; what is there already is not decoded again."""
    _, screening = decode_missing(decoded, clips["path"])
    kept, skipped = drop_skipped(clips, screening.reasons)
    return kept, _audio(kept, clips, screening, DecodedFiles(kept["path"])), skipped


def decode_missing(decoded: DecodedFiles, paths: pd.Series) -> tuple[int, Screening]:
    """Decodes the clips that have no decoded file yet; what was stopped goes on where it was.

    Args:
        decoded: where they go.
        paths: of the same clips.
    Returns:
        How many were missing, and what is known of all.
    """
    missing = decoded.missing()
    found = screen_clips(
        paths.iloc[missing].tolist(),
        lambda place, clip: decoded.write(missing[place], *_stored(clip)),
    )
    screening = Screening({int(missing[place]): why for place, why in found.reasons.items()})
    for index in range(len(paths)):
        if index not in screening.reasons:
            screening.note(index, *decoded.known(index))
    return len(missing), screening


def _stored(clip: Decoded) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """A clip as `DecodedFiles.write` takes it."""
    return to_steps(clip.waveform), len(clip.channels), clip.remarks


def _audio(
    kept: pd.DataFrame, clips: pd.DataFrame, screening: Screening,
    source: Callable[[tf.Tensor], tf.Tensor] | DecodedFiles | None,
) -> Audio:  # fmt: skip
    """The audio of the clips that were kept.

    Args:
        kept: of `clips`, without those that cannot be used.
        clips: all.
        screening: of all.
        source: the in-graph function, or decoded files, or None: the clips' own files.
    """
    rows = np.delete(np.arange(len(clips)), sorted(screening.reasons))
    channels = None
    if screening.channels:
        channels = np.array([screening.channels.get(int(row), 1) for row in rows])
    remarks = {
        place: screening.remarks[row] for place, row in enumerate(rows) if row in screening.remarks
    }
    paths = kept["path"].tolist()
    lost = LostClips(paths)
    if source is None or isinstance(source, DecodedFiles):
        source = _reader(paths, channels, lost, source)
    return Audio(source, len(kept), channels, remarks, lost)


def _reader(
    paths: list[str], channels: np.ndarray | None, lost: LostClips, decoded: DecodedFiles | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """In-graph function that reads a clip in Python, in parallel threads; empty if it is lost."""

    def read(index: np.ndarray) -> np.ndarray:
        place = int(index)
        if decoded is not None:
            try:
                waveform = decoded.read(place)
                if len(waveform):
                    return waveform
            except OSError:
                pass  # somebody emptied the cache
        try:
            clip = decode(paths[place])
            if len(clip.channels) != (1 if channels is None else channels[place]):
                raise ValueError(f"{paths[place]}: it has changed since the run was opened.")
        except (OSError, ValueError) as error:
            lost.add(place, str(error))
            return np.zeros(0, np.float32)
        return clip.waveform

    def waveform(index: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(read, [index], tf.float32), [None])

    return waveform


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

    shuffled = tf.constant(seed, tf.int64)
    channels = None if audio.channels is None else tf.constant(audio.channels, tf.int32)

    def load(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        epoch, place = position // epoch_size, position % epoch_size
        key = tf.stack([shuffled, epoch])
        index = tf.random.experimental.index_shuffle(place % n_clips, key, n_clips - 1)
        return position, index, audio.waveform(index)

    def crop(position: tf.Tensor, index: tf.Tensor, waveform: tf.Tensor) -> tuple:
        draws = tf.random.stateless_uniform([3], tf.stack([shuffled, position]))
        if channels is not None:
            own = tf.reshape(waveform, [channels[index], -1])
            waveform = own[tf.cast(draws[2] * tf.cast(channels[index], tf.float32), tf.int32)]
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
        return tf.ensure_shape(cut, [window]), labels[index]

    windows = (
        tf.data.Dataset.range(start_step * batch_size, END_OF_STREAM)
        .map(load, num_parallel_calls=PARALLEL, deterministic=True)
        .filter(lambda position, index, waveform: tf.size(waveform) > 0)
        .map(crop, num_parallel_calls=PARALLEL, deterministic=True)
        .batch(batch_size, drop_remainder=True)
    )
    steps = tf.data.Dataset.range(start_step, END_OF_STREAM)
    return tf.data.Dataset.zip(steps, windows).map(lambda step, batch: (step, *batch))


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
