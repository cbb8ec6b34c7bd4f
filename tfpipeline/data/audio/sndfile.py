"""Files that libsndfile reads: FLAC, MP3, Ogg Vorbis and Opus, AIFF, AU, CAF, A-law, ADPCM …"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

BLOCK = 2**20  # samples of all channels
UNKNOWN_FRAMES = 2**62
# What is kept of a file while its end is looked for: a minute and a half of 48 kHz.
KEPT_SAMPLES = 2**22
# Of these libsndfile reads the first of several that were joined, in silence.
STREAMS = {"FLAC", "MP3", "MPEG", "OGG"}
LOSSY = {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "VORBIS", "OPUS"}
BEYOND = 2**12  # samples a channel that are asked for at a time beyond the header's length
# Behind the last frame there may be a tag. ID3v1 has 128 bytes, and libsndfile reads ahead.
SLACK = 512
# A promise of some milliseconds too many is padding that the decoder took off.
PADDING_SECONDS = 0.25


class NotForSndfileError(Exception):
    """libsndfile does not read the file, or not all of it; ffmpeg may.

    Attributes:
        remark: what was noticed; None where there is nothing.
    """

    def __init__(self, message: str, remark: str | None = None):
        super().__init__(message)
        self.remark = remark


class SndfileSource:
    """A file as libsndfile decodes it.

    Attributes:
        format, rate, channels, frames, is_float: as the header says.
        remarks: what was noticed.

    Args:
        file: opened.
    Raises:
        NotForSndfileError: libsndfile cannot read it, or only a part.
        ValueError: it is truncated or damaged.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.remarks: list[str] = []
        self._kept: list[np.ndarray] | None = None
        with self._open() as opened:
            if opened.frames >= UNKNOWN_FRAMES:  # FLAC from a pipe
                raise NotForSndfileError("its header does not tell its length")
            self.rate, self.channels = opened.samplerate, opened.channels
            self.frames = opened.frames
            self.is_float = opened.subtype in ("FLOAT", "DOUBLE")
            self._lossy = opened.subtype in LOSSY
            self.format = f"{opened.format} {opened.subtype}"
            self._check_container()
            if opened.format in STREAMS:
                self._check_end(opened)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields float32 (frames, channels)."""
        if self._kept is not None:
            yield from self._kept
            return
        seen = 0
        with self._open() as opened:
            for block in self._read(opened):
                seen += len(block)
                yield block
        self._check_length(seen)

    def _open(self):
        import soundfile

        # By descriptor, because by name libsndfile guesses from the ending.
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        try:
            return _sequential()(self._file.fileno(), closefd=False)
        except (soundfile.SoundFileError, ValueError) as error:
            raise NotForSndfileError(getattr(error, "error_string", "") or str(error)) from None

    def _read(self, opened) -> Iterator[np.ndarray]:
        import soundfile

        most = max(1, BLOCK // self.channels)
        # The header of a lossy stream may only guess its length. All is not asked for beyond it,
        # since libsndfile clears what it does not fill.
        least = BEYOND if self._lossy else 0
        left = self.frames
        try:
            while (asked := min(most, max(left, least))) and len(
                block := opened.read(asked, dtype="float32", always_2d=True)
            ):
                left -= len(block)
                yield block
        except soundfile.SoundFileError as error:
            message = str(error).removeprefix("Error : ").strip()
            raise ValueError(f"it is damaged; libsndfile: {message:.100}") from None

    def _check_container(self) -> None:
        """libsndfile takes the rest of a cut RIFF or AIFF file for the whole."""
        head = os.pread(self._file.fileno(), 8, 0)
        order = {b"RIFF": "<", b"FORM": ">"}.get(head[:4])
        if order is None or self._lossy:
            return
        (promised,) = struct.unpack(f"{order}I", head[4:8])
        there = os.fstat(self._file.fileno()).st_size - 8
        # Writers that cannot seek leave a number near 2^31 or 2^32.
        if there + SLACK < promised < 0x7FFFF000:
            raise ValueError(f"it is truncated: {there} of {promised} bytes are there")

    def _check_end(self, opened) -> None:
        """Decodes a stream, and keeps it if it is not long, to see whether it ends with the file.

        Where the rest of the file was not read, another stream begins there.
        """
        size = os.fstat(self._file.fileno()).st_size
        kept, seen = [], 0
        for block in self._read(opened):
            kept.append(block)
            seen += len(block)
            if seen * self.channels > KEPT_SAMPLES:
                kept = None
                opened.seek(max(0, self.frames - self.rate))
                for _ in self._read(opened):
                    pass
                break
        end = os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
        if size - end > SLACK and not self._only_tags(end, size):
            first = f"the first of {seen / self.rate:.1f} s"
            raise NotForSndfileError(
                "another stream begins where it ends",
                f"joined: several streams one behind the other, {first}",
            )
        if kept is not None:
            self._check_length(seen)
            self._kept = kept

    def _only_tags(self, end: int, size: int) -> bool:
        """Whether what is left of a file is tags, which begin with a name."""
        rest = os.pread(self._file.fileno(), 16, end)
        tail = os.pread(self._file.fileno(), 160, max(end, size - 160))
        return rest.startswith((b"APETAGEX", b"TAG", b"LYRICS")) or b"APETAGEX" in tail

    def _check_length(self, seen: int) -> None:
        missing = self.frames - seen
        if missing <= 0:
            return
        if not self._lossy:
            raise ValueError(f"it is truncated: {seen} of {self.frames} samples are there")
        if missing > PADDING_SECONDS * self.rate and missing > 0.05 * self.frames:
            self.remarks.append(
                f"header: promises {self.frames / self.rate:.1f} s, {seen / self.rate:.1f} s are "
                "there"
            )


@functools.cache
def _sequential() -> type:
    import soundfile

    class Sequential(soundfile.SoundFile):
        """SoundFile seeks to where it is after each read, which puts clicks into MP3."""

        def seekable(self) -> bool:
            return False

    return Sequential
