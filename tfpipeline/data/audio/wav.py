"""WAV files of plain samples: RIFF and RF64, PCM of every width and float, with sizes that lie.

`wav_graph` is its twin in core operations; both follow the rules of `data_size`.

Waveforms as WAV files in memory, in which nothing is lost.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE

# More than any writer leaves; a hostile file could hold millions.
MOST_CHUNKS = 256
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
KINDS = {
    (PCM, 8): "u1",
    (PCM, 16): "<i2",
    (PCM, 24): "3u1",
    (PCM, 32): "<i4",
    (FLOAT, 32): "<f4",
    (FLOAT, 64): "<f8",
}
# From here on, a size that the file does not have was left by a writer that could not know it.
STREAMED = 0x7FFFF000
# Writers count headers in, or forget them: a promise of a few bytes too many is no truncation.
SLACK = 64
BLOCK = 2**20  # samples of all channels


@dataclass(frozen=True)
class Part:
    """The samples of one WAVE.

    Attributes:
        kind: a value of `KINDS`.
        channels, rate: the rate in Hz.
        begin: where the samples begin, in bytes.
        frames: how many a channel there are.
    """

    kind: str
    channels: int
    rate: int
    begin: int
    frames: int


class WavSource:
    """The samples of a WAV file; of several that were joined, if all have one format.

    Attributes:
        format, rate, channels, frames, is_float: of the samples.
        remarks: what the header says wrongly.

    Args:
        file: opened.
        parts: of `read_parts`.
        remarks: of `read_parts`.
    """

    format = "WAV"

    def __init__(self, file: BinaryIO, parts: list[Part], remarks: list[str]):
        self._file, self._parts = file, parts
        self.remarks = remarks
        self.rate, self.channels = parts[0].rate, parts[0].channels
        self.frames = sum(part.frames for part in parts)
        self.is_float = "f" in parts[0].kind

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields float32 (frames, channels), integers scaled to [-1, 1) as libsndfile does."""
        frames = max(1, BLOCK // self.channels)
        for part in self._parts:
            width = np.dtype(part.kind).itemsize * part.channels
            for begin in range(0, part.frames, frames):
                count = min(frames, part.frames - begin)
                raw = os.pread(self._file.fileno(), count * width, part.begin + begin * width)
                yield to_samples(raw, part.kind).reshape(-1, part.channels)


def read_parts(file: BinaryIO) -> tuple[list[Part], list[str]] | None:
    """Reads the headers of a WAV file.

    Returns:
        The WAVEs in it, one behind the other where several files were joined, and remarks; None if
        it is none, or not of plain samples (A-law, ADPCM, MP3 and the like).
    Raises:
        ValueError: it is truncated, or its header says nonsense.
    """
    size = os.fstat(file.fileno()).st_size
    parts, remarks, at = [], [], 0
    while at + 12 <= size and len(parts) < MOST_CHUNKS:
        read = _read_part(file, at, size, remarks)
        if read is None:
            break
        part, at = read
        parts.append(part)
    if not parts:
        return None
    formats = {(part.kind, part.channels, part.rate) for part in parts}
    if len(formats) > 1:
        raise ValueError("several WAV files of different formats are joined in it. Split them")
    if len(parts) > 1:
        remarks.append(f"joined: {len(parts)} files one behind the other")
    return parts, remarks


def _read_part(file: BinaryIO, start: int, size: int, remarks: list) -> tuple[Part, int] | None:
    """One WAVE, and where the next would begin."""
    head = os.pread(file.fileno(), 12, start)
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        return None
    at, layout, large = start + 12, None, None
    for _ in range(MOST_CHUNKS):
        chunk = os.pread(file.fileno(), 8, at)
        if len(chunk) < 8:
            break
        name, promised = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        at += 8
        if name == b"ds64":
            large = struct.unpack("<QQQ", os.pread(file.fileno(), 24, at).ljust(24, b"\0"))[1]
        elif name == b"fmt ":
            layout = read_format(os.pread(file.fileno(), min(promised, 40), at))
        elif name == b"data":
            if layout is None:
                return None
            kind, channels, rate = layout
            if large is not None and promised == 0xFFFFFFFF:
                promised = large
            raw, remark = data_size(promised, size - at, os.pread(file.fileno(), 8, at))
            frames = raw // (np.dtype(kind).itemsize * channels)
            if remark:
                remarks.append(remark)
            end = at + raw + raw % 2
            # Behind the samples there may be more chunks, which the size of the whole tells.
            whole = start + 8 + struct.unpack("<I", head[4:8])[0]
            joined = end < whole < size and os.pread(file.fileno(), 4, whole) == b"RIFF"
            if not remark and size < whole < STREAMED:
                remarks.append(f"header: promises {whole - size} bytes more than there are")
            return Part(kind, channels, rate, at, frames), whole if joined else end
        at += promised + promised % 2  # chunks are padded to even sizes
    if layout is None:
        return None
    raise ValueError("it has no data chunk. Is it truncated?")


def read_format(fmt: bytes) -> tuple[str, int, int] | None:
    """Kind, channels and rate; None of samples that are not plain."""
    if len(fmt) < 16:
        raise ValueError("its fmt chunk is truncated")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    if tag == EXTENSIBLE and len(fmt) >= 26:
        tag = struct.unpack("<H", fmt[24:26])[0]
    kind = KINDS.get((tag, bits))
    if kind is not None and (not channels or not 0 < rate < 2**31):
        raise ValueError("its header says 0 channels or 0 Hz")
    return None if kind is None else (kind, channels, rate)


def data_size(promised: int, there: int, next_bytes: bytes) -> tuple[int, str | None]:
    """How much of a file is samples.

    Args:
        promised: bytes, as the data chunk says.
        there: bytes from its begin to the end of the file.
        next_bytes: the first eight of them.
    Returns:
        Bytes of samples, and a remark where the header is wrong.
    Raises:
        ValueError: the file is truncated.
    """
    if promised == 0:
        # Empty if another chunk follows; else a writer to a pipe never came back to fill it in.
        name, size = next_bytes[:4], int.from_bytes(next_bytes[4:8], "little")
        chunk = len(next_bytes) == 8 and all(32 <= c < 127 for c in name) and 8 + size <= there + 1
        if chunk or not there:
            return 0, None
        return there, "header: tells no length, all that is there is read"
    if promised <= there:
        return promised, None
    if promised >= STREAMED:
        return there, "header: tells no length, all that is there is read"
    if promised <= there + SLACK:
        return there, f"header: promises {promised - there} bytes more than there are"
    raise ValueError(f"it is truncated: {there} of {promised} bytes of samples are there")


def to_samples(raw: bytes, kind: str) -> np.ndarray:
    """float32 (samples,)."""
    if kind == "u1":
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if kind == "3u1":
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] >> 8).astype(np.float32) / np.float32(2**23)
    # Doubles beyond float32 become infinite, and are refused.
    with np.errstate(over="ignore", invalid="ignore"):
        samples = np.frombuffer(raw, kind).astype(np.float32)
    bits = {"<i2": 15, "<i4": 31}.get(kind)
    return samples if bits is None else samples / np.float32(2**bits)


def wav_bytes(waveform: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """A waveform, float32 (samples,) or (samples, channels), as a WAV file of floats."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()
