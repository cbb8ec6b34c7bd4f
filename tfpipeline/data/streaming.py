"""Recordings of any length in bounded memory: decoded in blocks, cut into windows on the fly.

What comes out equals `data.audio.read_clip` and `data.windows.cut_windows`, with which training and
evaluation read: WAV and FLAC, which the graph decodes there, are decoded by libsndfile to the same
numbers and resampled by the graph's own filter, in blocks; what goes through `data.foreign` there
goes through it here. MP3 and Ogg Vorbis up to `WHOLE_SECONDS` are decoded by the graph; beyond, by
libsndfile, whose decoders differ in how they cut the ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfpipeline.data.audio import (
    SAMPLE_RATE,
    SOURCE_RATES,
    UnusableError,
    check_file,
    check_levels,
    read_clip,
)
from tfpipeline.data.block_resampling import GraphBlocks, SoxrBlocks
from tfpipeline.data.foreign import MAX_FILE_BYTES, MAX_SECONDS, TooLongError, waveform_blocks

WHOLE_SECONDS = 180
# What the graph decodes, as libsndfile names it.
GRAPH_SUBTYPES = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "WAVEX": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"),
    "FLAC": ("PCM_16", "PCM_24"),
}
# Those whose decoders differ from libsndfile's.
LOSSY = {("MP3", "MPEG_LAYER_III"), ("MPEG", "MPEG_LAYER_III"), ("OGG", "VORBIS")}


@dataclass(frozen=True)
class Header:
    """What libsndfile says of a file before it is decoded; of other files nothing is known.

    Attributes:
        seconds: None where the header does not tell.
        in_graph: training decodes and resamples such a file inside the graph.
        lossy: and it does so by another decoder than libsndfile's.
    """

    seconds: float | None = None
    in_graph: bool = False
    lossy: bool = False


def stream_clip(
    path: str | Path, name: str | None = None, header: Header | None = None
) -> Iterator[np.ndarray]:
    """Decodes one file a block at a time, and checks that it can be judged, as `read_clip` does.

    Args:
        path: of the file.
        name: for messages; default: the path.
        header: of the file, if it was read already.
    Yields:
        float32 (samples,) at `SAMPLE_RATE`, of any length.
    Raises:
        FileNotFoundError: there is no such file.
        UnusableError, ValueError: it cannot be decoded, is longer or larger than is read of one
            file, or there is nothing to judge in it; possibly only at its end.
    """
    name = str(path) if name is None else name
    check_file(path, name)
    size = Path(path).stat().st_size
    if size > MAX_FILE_BYTES:
        raise UnusableError(
            f"{name}: at most {MAX_FILE_BYTES / 1e6:.0f} MB can be judged. "
            f"Received: {size / 1e6:.0f} MB. Cut it up.", "too long",
        )  # fmt: skip
    header = header or read_header(path)
    if header.seconds and header.seconds > MAX_SECONDS:
        raise UnusableError(
            f"{name}: at most {MAX_SECONDS / 3600:g} hours can be judged. "
            f"Received: {header.seconds / 3600:.2f} hours. Cut it up.", "too long",
        )  # fmt: skip
    if header.lossy and header.seconds <= WHOLE_SECONDS:
        yield read_clip(path, name)
        return
    samples, peak = 0, 0.0
    resampler = GraphBlocks if header.in_graph else SoxrBlocks
    try:
        for block in waveform_blocks(os.fspath(path), SAMPLE_RATE, resampler):
            if not len(block):
                continue
            samples += len(block)
            # NaN stays NaN; and no array of absolute values is made.
            peak = float(np.maximum(peak, np.maximum(block.max(), -block.min())))
            if not np.isfinite(peak):
                break
            yield block
    except TooLongError as error:
        raise UnusableError(f"{name}: cannot be judged: {error}.", "too long") from None
    except ValueError as error:
        raise UnusableError(f"{name}: cannot be decoded: {error}.", "not audio") from None
    check_levels(samples, peak, name)


def read_header(path: str | Path) -> Header:
    """What is known of a file without decoding it."""
    import soundfile

    from tfpipeline.data.foreign import UNKNOWN_FRAMES

    try:
        # By descriptor, as in `data.foreign`.
        with open(path, "rb") as opened:
            head = os.pread(opened.fileno(), 4, 0)
            with soundfile.SoundFile(opened.fileno(), closefd=False) as file:
                if file.frames >= UNKNOWN_FRAMES:
                    return Header()
                lossy = (file.format, file.subtype) in LOSSY
                # FLAC behind a tag is not the graph's.
                plain = file.subtype in GRAPH_SUBTYPES.get(file.format, ()) and (
                    head in (b"RIFF", b"fLaC")
                )
                known = file.samplerate in SOURCE_RATES
                return Header(file.frames / file.samplerate, known and (plain or lossy), lossy)
    except (soundfile.SoundFileError, ValueError, OSError):
        return Header()


def stream_windows(blocks: Iterable[np.ndarray], window: int) -> Iterator[np.ndarray]:
    """`data.windows.cut_windows` of a waveform that comes in blocks.

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
