"""Clips are opened: decoded and checked once, and then at hand from memory, disk or their files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.data.audio import STEPS
from tfpipeline.data.audio.decode import Decoded, decode
from tfpipeline.data.cache import DecodedFiles, free_bytes, to_steps
from tfpipeline.data.screening import (
    MAX_SKIPPED_SHARE,
    LostClips,
    Screening,
    drop_skipped,
    screen_clips,
    screen_once,
)

# Of the memory that is free; while the samples are put together, they are there twice.
MEMORY_SHARE = 0.3
DISK_SHARE = 0.8


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
        kept = np.arange(self.n_clips)[rows]
        chosen = tf.constant(kept)
        remarks = {
            place: self.remarks[row] for place, row in enumerate(kept) if row in self.remarks
        }
        return Audio(
            lambda index: self.waveform(tf.gather(chosen, index)),
            len(chosen),
            None if self.channels is None else self.channels[kept],
            remarks,
            self.lost,
        )


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
        return _open_in_graph(clips)
    if cache == "none":
        return _open_files(clips)
    decoded = DecodedFiles(clips["path"])
    if cache == "disk":
        return _open_on_disk(clips, decoded)
    most = None if cache == "memory" else int(MEMORY_SHARE * free_bytes())
    if most is not None and decoded.size() > most:
        return _open_on_disk(clips, decoded)
    return _open_in_memory(clips, decoded, most)


def open_chunk(clips: pd.DataFrame) -> tuple[pd.DataFrame, Audio, pd.DataFrame]:
    """`open_audio` of a few clips of a corpus in memory, however many of them cannot be used."""
    return _open_in_memory(clips, DecodedFiles(()), None, most_skipped=1.0)


def _open_in_memory(
    clips: pd.DataFrame,
    decoded: DecodedFiles,
    most: int | None,
    most_skipped: float = MAX_SKIPPED_SHARE,
) -> tuple:
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
            for place, earlier in held.items():
                decoded.write(place, *earlier)
            held = None

    screening = screen_clips(clips["path"].tolist(), keep)
    kept, skipped = drop_skipped(clips, screening.reasons, most_skipped)
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
    return kept, _audio(kept, clips, screening, None), skipped


def _open_in_graph(clips: pd.DataFrame) -> tuple:
    """`open_audio` with tensorflow-io."""
    from tfpipeline.data.tensorflow_io import GraphDecoder

    decoder = GraphDecoder(len(clips))
    screening = screen_clips(clips["path"].tolist(), decoder.note)
    kept, skipped = drop_skipped(clips, screening.reasons)
    audio = _audio(kept, clips, screening, None)
    rows = screening.usable(len(clips))
    waveform = decoder.waveform(kept["path"].tolist(), rows, audio.waveform)
    return kept, replace(audio, waveform=waveform), skipped


def _open_on_disk(clips: pd.DataFrame, decoded: DecodedFiles) -> tuple:
    """`open_audio` with one decoded file a clip; what is there already is not decoded again."""
    _, screening = decode_missing(decoded, clips["path"])
    kept, skipped = drop_skipped(clips, screening.reasons)
    return kept, _audio(kept, clips, screening, DecodedFiles(kept["path"])), skipped


def decode_missing(decoded: DecodedFiles, paths: pd.Series) -> tuple[int, Screening]:
    """Decodes the clips that have no decoded file yet; what was stopped continues where it was.

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
    kept: pd.DataFrame,
    clips: pd.DataFrame,
    screening: Screening,
    source: Callable[[tf.Tensor], tf.Tensor] | DecodedFiles | None,
) -> Audio:
    """The audio of the clips that were kept.

    Args:
        kept: of `clips`, without those that cannot be used.
        clips: all.
        screening: of all.
        source: the in-graph function, or decoded files, or None: the clips' own files.
    """
    rows = screening.usable(len(clips))
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
