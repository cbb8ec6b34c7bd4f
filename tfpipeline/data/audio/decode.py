"""The one function that reads a recording, whichever command asks: `decode`, or by blocks `opened`.

The first bytes tell the format, never the name. WAV of plain samples is read here, most else by
libsndfile, and the rest by the ffmpeg program. What comes out is 16 kHz mono on the grid of 16
bits, so that audio kept as 16-bit samples equals audio decoded again. Where channels differ, each
is judged by itself (`channels`), and they come out one behind the other.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from tfpipeline.data.audio import LOUDEST, SAMPLE_RATE, STEPS
from tfpipeline.data.audio.channels import ChannelStatistics, Mix
from tfpipeline.data.audio.checks import (
    MAX_SECONDS,
    UnusableError,
    check_file,
    check_levels,
)
from tfpipeline.data.audio.ffmpeg import FfmpegSource
from tfpipeline.data.audio.resample import block_resampler
from tfpipeline.data.audio.sndfile import NotForSndfileError, SndfileSource
from tfpipeline.data.audio.wav import WavSource, read_parts

# Below the lowest there is no speech, and a few bytes would become hours at `SAMPLE_RATE`.
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
MOST_CHANNELS = 64
# Of float samples beyond full scale above the others' RMS: speech has 15 to 35 dB, one damaged
# sample far more.
HIGHEST_CREST = 10 ** (50 / 20)


class Source(Protocol):
    """An opened file, decoded.

    Attributes:
        format: in a few words, such as `FLAC PCM_16`.
        rate, channels: the rate in Hz.
        frames: samples a channel, None where that is not known.
        is_float: its samples may lie beyond [-1, 1].
        remarks: what was noticed about the file.
    """

    format: str
    rate: int
    channels: int
    frames: int | None
    is_float: bool
    remarks: list[str]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields float32 (frames, channels), from the start at every call."""


@dataclass(frozen=True)
class Decoded:
    """A recording in memory.

    Attributes:
        waveform: float32 (samples,) at `SAMPLE_RATE`, the channels that are judged one behind the
            other, all of one length.
        channels: their names; `("",)` of one.
        remarks: what was noticed about the file, each `kind: what`.
        format, rate: of the file, the rate in Hz.
    """

    waveform: np.ndarray
    channels: tuple[str, ...]
    remarks: tuple[str, ...]
    format: str
    rate: int


class Recording:
    """An opened recording, whose waveform comes in blocks.

    Attributes:
        name: for messages.
        channels: names of the channels that are judged, `("",)` of one.
        remarks: what was noticed about the file so far, each `kind: what`.
        seconds: of a channel, None where that is not known beforehand.
        format, rate: of the file, the rate in Hz.
    """

    def __init__(self, source: Source, name: str):
        self.name = name
        self.format, self.rate = source.format, source.rate
        self._source = source
        if not LOWEST_RATE <= source.rate <= HIGHEST_RATE:
            raise ValueError(
                f"its sample rate must lie within {LOWEST_RATE} and {HIGHEST_RATE} Hz. "
                f"Received: {source.rate} Hz. Is its header right?"
            )
        if source.channels > MOST_CHANNELS:
            raise ValueError(
                f"it may have {MOST_CHANNELS} channels. Received: {source.channels}. "
                "Is its header right?"
            )
        self.seconds = None if source.frames is None else source.frames / source.rate
        self._refuse_long(source.frames or 0)
        self.remarks = list(source.remarks)
        self._mix, self._gain = Mix(np.ones((1, source.channels), np.float32)), 1.0
        if source.channels > 1 or source.is_float:
            self._look_through()
        self.channels = self._mix.names

    def blocks(self, channel: int = 0) -> Iterator[np.ndarray]:
        """The waveform of a channel, checked.

        Yields:
            float32 (samples,) at `SAMPLE_RATE`, of any length. Blocks that came before an error are
            no reason to trust the file.
        Raises:
            UnusableError: it cannot be decoded, or there is nothing to judge in it; possibly only
                at its end.
        """
        samples, peak = 0, 0.0
        with _unusable(self.name):
            for block in self._resampled(self._gain * self._mix.weights[channel]):
                if not len(block):
                    continue
                samples += len(block)
                # NaN stays NaN; and no array of absolute values is made.
                peak = float(np.maximum(peak, np.maximum(block.max(), -block.min())))
                if not peak <= LOUDEST:
                    break
                yield on_grid(block)
        check_levels(samples, peak, self.name)

    def _look_through(self) -> None:
        """Learns from a first pass what becomes of the channels, and the scale of float samples."""
        heard = ChannelStatistics(self._source.channels)
        for block in self._source.blocks():
            if len(block):
                heard.add(block)
            self._refuse_long(heard.frames)
            if not np.isfinite(heard.peak):
                check_levels(SAMPLE_RATE, heard.peak, self.name)
        self._mix = heard.mix()
        if self._mix.remark:
            self.remarks.append(self._mix.remark)
        if not self._source.is_float or heard.peak <= 1:
            return
        if heard.peak > min(LOUDEST, HIGHEST_CREST * heard.rms_without_peak):
            raise UnusableError(
                f"{self.name}: samples must lie in [-1, 1]. Received: one of ±{heard.peak:.3g}, "
                "far beyond the others. Is the file damaged?"
            )
        self._gain = 1 / heard.peak
        self.remarks.append(f"scale: float samples reach ±{heard.peak:.3g}, scaled to ±1")

    def _resampled(self, weights: np.ndarray) -> Iterator[np.ndarray]:
        resampler = block_resampler(self._source.rate)
        weights = weights.astype(np.float32)
        alone = len(weights) == 1 and weights[0] == 1
        frames = 0
        for block in self._source.blocks():
            frames += len(block)
            self._refuse_long(frames)
            yield resampler.add(block[:, 0] if alone else block @ weights)
        yield resampler.end()

    def _refuse_long(self, frames: int) -> None:
        if frames > MAX_SECONDS * self._source.rate:
            raise UnusableError(
                f"{self.name}: at most {MAX_SECONDS / 3600:g} hours can be judged. Received: "
                "more. Cut it up.",
                "too long",
            )


def decode(source: str | os.PathLike | bytes, name: str | None = None) -> Decoded:
    """Reads a recording of any kind, and checks that it can be judged.

    Args:
        source: path of a file, or the bytes of one.
        name: for messages; default: the path.
    Returns:
        The waveform, and what was noticed about the file.
    Raises:
        FileNotFoundError, OSError: there is no such file, or it cannot be opened.
        UnusableError: it cannot be decoded, or there is nothing to judge in it.

    Example:
        >>> decode("clip.mp3").waveform.shape  # doctest: +SKIP
        (64000,)
    """
    with opened(source, name) as recording:
        blocks = [
            block
            for channel in range(len(recording.channels))
            for block in recording.blocks(channel)
        ]
        waveform = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return Decoded(
            waveform,
            recording.channels,
            tuple(recording.remarks),
            recording.format,
            recording.rate,
        )


@contextmanager
def opened(source: str | os.PathLike | bytes, name: str | None = None) -> Iterator[Recording]:
    """A recording of any kind and length, in bounded memory; arguments and errors of `decode`."""
    if isinstance(source, bytes):
        name = name or "audio"
        if not source:
            raise UnusableError(f"{name}: the file is empty, 0 bytes.", "empty")
        with tempfile.TemporaryFile() as file:
            file.write(source)
            file.flush()
            yield _recording(file, name)
        return
    name = name or os.fsdecode(source)
    check_file(source, name)
    with open(source, "rb", buffering=0) as file:
        yield _recording(file, name)


def expected_seconds(path: str | Path) -> float | None:
    """Length by the header alone, for progress bars; None where it does not tell."""
    import soundfile

    try:
        with open(path, "rb", buffering=0) as file:
            found = read_parts(file)
            if found:
                source = WavSource(file, *found)
                return source.frames / source.rate
        return soundfile.info(os.fspath(path)).duration
    except (OSError, ValueError, RuntimeError):
        return None


def on_grid(samples: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1) as 16 bits have them; what lies beyond is clipped. float32 (samples,)."""
    steps = np.rint(samples * np.float32(STEPS))
    np.clip(steps, -STEPS, STEPS - 1, out=steps)
    steps /= np.float32(STEPS)
    return steps


def _recording(file: BinaryIO, name: str) -> Recording:
    with _unusable(name):
        return Recording(_source(file), name)


def _source(file: BinaryIO) -> Source:
    found = read_parts(file)
    if found:
        return WavSource(file, *found)
    try:
        return SndfileSource(file)
    except NotForSndfileError as error:
        source = FfmpegSource(file)
        source.remarks += [error.remark] if error.remark else []
        return source


@contextmanager
def _unusable(name: str) -> Iterator[None]:
    """Names the file in errors of decoders."""
    try:
        yield
    except UnusableError:
        raise
    except ValueError as error:
        message = re.sub(r"\s+", " ", str(error)).rstrip(".")
        raise UnusableError(f"{name}: cannot be decoded: {message}.") from None
