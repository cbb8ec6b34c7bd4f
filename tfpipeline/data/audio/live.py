"""Audio that arrives over time, from a pipe: raw samples or WAV, as blocks of 16 kHz mono.

What `decode` learns from a first pass over a whole file, a stream cannot know. The mix of its
channels is chosen from the first window that is not silent, and float samples beyond full scale are
clipped. All else equals `decode`: the resampler, the grid of 16 bits, and so the samples.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tfpipeline.data.audio import LOUDEST, SAMPLE_RATE, SILENCE_DBFS
from tfpipeline.data.audio.channels import ChannelStatistics
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.decode import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, on_grid
from tfpipeline.data.audio.resample import block_resampler
from tfpipeline.data.audio.wav import MOST_CHUNKS, STREAMED, read_format, to_samples

# ffmpeg's names of raw samples.
FORMATS = {
    "u8": "u1",
    "s16le": "<i2",
    "s24le": "3u1",
    "s32le": "<i4",
    "f32le": "<f4",
    "f64le": "<f8",
}
READ_BYTES = 2**16  # at most at once; a pipe holds no more
MOST_HEADER = 2**20  # bytes of a chunk before the samples, such as a picture

Read = Callable[[int], bytes]


@dataclass(frozen=True)
class Layout:
    """How the samples of a stream lie.

    Attributes:
        kind: a value of `FORMATS`.
        channels, rate: the rate in Hz.
        size: bytes of samples; None: all that comes.
    """

    kind: str
    channels: int
    rate: int
    size: int | None = None


def raw_layout(form: str, rate: int, channels: int) -> Layout:
    """The layout of raw samples, without a header.

    Raises:
        ValueError: an unknown format, or numbers that no stream has.
    """
    if form not in FORMATS:
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}. Received: {form!r}.")
    return _checked(Layout(FORMATS[form], channels, rate))


def read_layout(read: Read) -> Layout:
    """Reads the header of a WAV stream, up to its first sample.

    Raises:
        UnusableError: it is none, or not of plain samples.
    """
    head = _exactly(read, 12)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        raise UnusableError(
            "a stream must be WAV, or raw samples that --format names. Received: "
            f"{head[:12]!r}. Convert it: ffmpeg -i INPUT -f wav - | …",
            "not audio" if head else "empty",
        )
    layout, large = None, None
    for _ in range(MOST_CHUNKS):
        chunk = _exactly(read, 8)
        if len(chunk) < 8:
            break
        name, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        if name == b"data":
            if layout is None:
                break
            if size == 0xFFFFFFFF and large is not None:
                size = large
            # ffmpeg cannot go back in a pipe to fill the size in, and leaves 0xFFFFFFFF or 0.
            unknown = size == 0 or 2**32 > size >= STREAMED
            return _checked(Layout(*layout, None if unknown else size))
        if size > MOST_HEADER:
            break
        content = _exactly(read, size + size % 2)
        if name == b"ds64" and len(content) >= 16:
            large = struct.unpack("<Q", content[8:16])[0]
        elif name == b"fmt ":
            layout = read_format(content)
            if layout is None:
                raise UnusableError(
                    "a WAV stream must hold plain samples. Received: a compressed kind. Convert "
                    "it: ffmpeg -i INPUT -c:a pcm_s16le -f wav - | …"
                )
    raise UnusableError("a WAV stream needs a fmt and a data chunk. Received: none. Is it cut off?")


def stream_blocks(read: Read, layout: Layout, window: int) -> Iterator[np.ndarray]:
    """The waveform of a stream, as soon as it is there.

    Args:
        read: takes the most bytes that are wanted, waits for some, and returns what is there;
            nothing at the end of the stream.
        layout: of its samples.
        window: samples at `SAMPLE_RATE` from which the mix of channels is chosen.
    Yields:
        float32 (samples,) at `SAMPLE_RATE` on the grid of 16 bits, of any length.
    Raises:
        UnusableError: samples that are not finite, or that no recording holds.
    """
    resampler = block_resampler(layout.rate)
    frames = _frames(read, layout)
    if layout.channels > 1:
        mixed = _mixed(frames, -(-window * layout.rate // SAMPLE_RATE))
    else:
        mixed = (block[:, 0] for block in frames)
    for block in mixed:
        peak = float(np.maximum(block.max(), -block.min()))
        if not peak <= LOUDEST:
            raise UnusableError(
                f"samples must be finite, and lie in [-1, 1]. Received: one of {peak:.3g}. "
                "Is --format right?",
                "not finite",
            )
        if len(resampled := resampler.add(block)):
            yield on_grid(resampled)
    if len(resampled := resampler.end()):
        yield on_grid(resampled)


def _frames(read: Read, layout: Layout) -> Iterator[np.ndarray]:
    """float32 (some frames, channels); a part of a frame at the end is left out."""
    width = np.dtype(layout.kind).itemsize * layout.channels
    left, held = layout.size, b""
    while left is None or left > 0:
        raw = read(READ_BYTES if left is None else min(READ_BYTES, left))
        if not raw:
            return
        left = left if left is None else left - len(raw)
        held += raw
        whole = len(held) // width * width
        if whole:
            yield to_samples(held[:whole], layout.kind).reshape(-1, layout.channels)
            held = held[whole:]


def _mixed(frames: Iterator[np.ndarray], wanted: int) -> Iterator[np.ndarray]:
    """One waveform of several channels: their mean, those in opposite phase turned round.

    Args:
        frames: float32 (some, channels).
        wanted: frames from which the signs are chosen; as long as they are silent, the next ones.
    """
    held: list[np.ndarray] = []
    weights = None
    heard = None
    for block in frames:
        if weights is not None:
            yield block @ weights
            continue
        heard = heard or ChannelStatistics(block.shape[1])
        heard.add(block)
        held.append(block)
        if heard.frames < wanted:
            continue
        if heard.peak >= 10 ** (SILENCE_DBFS / 20):
            weights = _weights(heard)
        yield np.concatenate(held) @ (_plain(heard) if weights is None else weights)
        held, heard = [], None
    if held:
        yield np.concatenate(held) @ _weights(heard)


def _plain(heard: ChannelStatistics) -> np.ndarray:
    return np.full(len(heard.total), 1 / len(heard.total), np.float32)


def _weights(heard: ChannelStatistics) -> np.ndarray:
    """float32 (channels,)."""
    if not np.isfinite(heard.peak):
        return _plain(heard)  # what they are mixed to is not finite either, and is refused
    mix = heard.mix()
    if mix.remark:
        told = mix.remark.replace("are judged apart", "are mixed: give each a stream of its own")
        print(told, file=sys.stderr)
    signs = np.sign(mix.weights).sum(axis=0)
    return (signs / np.abs(signs).sum()).astype(np.float32)


def _exactly(read: Read, size: int) -> bytes:
    """So many bytes, or fewer at the end of the stream."""
    parts = b""
    while len(parts) < size and (raw := read(size - len(parts))):
        parts += raw
    return parts


def _checked(layout: Layout) -> Layout:
    if not LOWEST_RATE <= layout.rate <= HIGHEST_RATE or not 1 <= layout.channels <= MOST_CHANNELS:
        raise ValueError(
            f"a stream must have a rate of {LOWEST_RATE} to {HIGHEST_RATE} Hz and 1 to "
            f"{MOST_CHANNELS} channels. Received: {layout.rate} Hz and {layout.channels}. Are "
            "--rate and --channels, or its header, right?"
        )
    return layout
