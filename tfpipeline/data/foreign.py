"""Files that the graph does not decode: libsndfile first, then the ffmpeg program.

libsndfile reads Opus in Ogg, AIFF, CAF, RF64, W64, A-law and ADPCM, FLAC of any width and more;
ffmpeg reads m4a, AAC and most else. Files come from strangers, so ffmpeg is started without a shell
or a terminal, may open local files only, knows the containers of `CONTAINERS` only (no playlists,
which name other files), and has a limit on time and on decoded seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

import numpy as np

from tfpipeline.data.block_resampling import BlockResampler, SoxrBlocks

MAX_SECONDS = 4 * 3600
MAX_DECODE_WALL_SECONDS = 600
MAX_FILE_BYTES = 4 * 2**30
LOWEST_RATE, HIGHEST_RATE = 5, 768_000
# Formats that ffmpeg knows by the name's ending alone, headerless ones, are left out too.
CONTAINERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dts", "eac3", "flac", "flv",
    "loas", "matroska", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "ogg", "tak", "tta", "voc",
    "w64", "wav", "wv",
)  # fmt: skip
BLOCK = 2**20  # samples of all channels
UNKNOWN_FRAMES = 2**62
# A stream of Ogg or MPEG frames is what there is of it; the others' headers say how much to expect.
STREAMS = {"OGG", "MP3", "MPEG"}


class TooLongError(ValueError):
    """There is more in the file than is read of one."""


def decode_foreign(path: bytes | str, sample_rate: int) -> np.ndarray:
    """Reads, decodes, mixes down and resamples one file of any kind: `waveform_blocks`, joined.

    Returns:
        float32 (ceil(frames * sample_rate / the file's rate),).
    """
    blocks = list(waveform_blocks(path, sample_rate))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def waveform_blocks(
    path: bytes | str,
    sample_rate: int,
    resampler: Callable[[int, int], BlockResampler] = SoxrBlocks,
) -> Iterator[np.ndarray]:
    """Reads, decodes, mixes down and resamples one file of any kind, a block at a time.

    Channels are averaged, as in the graph. A truncated file is refused where its header tells;
    of a cut stream (Ogg, MP3, ADTS AAC, MPEG-TS, Matroska) what there is comes out.

    Args:
        path: of a regular file; only its contents matter, not its name.
        sample_rate: of the result, in Hz.
        resampler: the file's rate and `sample_rate`, both in Hz → what changes the one into the
            other.
    Yields:
        float32 (samples,) of any length; all together ceil(frames * sample_rate / the file's rate)
        samples. Blocks that came before an error are no reason to trust the file.
    Raises:
        OSError: the file cannot be opened.
        ValueError: why it cannot be decoded, in one line that begins "it …" and names no path.
    """
    name = os.path.abspath(os.fsdecode(path))
    status = os.stat(name)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if not status.st_size:
        raise ValueError("it is empty, 0 bytes")
    if status.st_size > MAX_FILE_BYTES:
        raise TooLongError(
            f"it is larger than {MAX_FILE_BYTES / 1e6:.0f} MB. "
            f"Received: {status.st_size / 1e6:.0f} MB. Cut it up"
        )
    complaint = yield from _blocks_by_sndfile(name, sample_rate, resampler)
    if complaint is None:
        return
    program = ffmpeg_program()
    if program is None:
        raise ValueError(
            f"it is no audio that libsndfile knows ({complaint}), and ffmpeg, which reads m4a, "
            "AAC and most else, is not on the PATH. If it is such a file, install ffmpeg: "
            "apt install ffmpeg, brew install ffmpeg, or pip install imageio-ffmpeg"
        )
    yield from _blocks_by_ffmpeg(program, name, sample_rate, resampler)


def ffmpeg_program() -> str | None:
    """Path of the ffmpeg on the PATH, else of the one in the package imageio-ffmpeg, else None."""
    program = shutil.which("ffmpeg")
    if program is None:
        try:
            import imageio_ffmpeg

            program = imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            return None
    return program


def _blocks_by_sndfile(
    name: str, sample_rate: int, resampler: Callable
) -> Generator[np.ndarray, None, str | None]:
    """Yields the waveform; returns what libsndfile says against a file that it cannot read."""
    import soundfile

    # By descriptor, because by name libsndfile guesses from the ending, and takes "-" for stdin.
    with open(name, "rb") as opened:
        try:
            file = soundfile.SoundFile(opened.fileno(), closefd=False)
        except (soundfile.SoundFileError, ValueError) as error:
            said = getattr(error, "error_string", "") or str(error)
            return _one_line(said)
        with file:
            if file.frames >= UNKNOWN_FRAMES:  # FLAC from a pipe; then libsndfile cannot seek
                return "its header does not tell its length"
            _refuse_truncated_container(opened, file.format)
            known = file.format not in STREAMS
            if known and file.frames > MAX_SECONDS * file.samplerate:
                raise TooLongError(f"it is longer than {MAX_SECONDS:g} s. Cut it up")
            frames, seen = max(1, BLOCK // file.channels), 0

            def blocks() -> Iterator[np.ndarray]:
                nonlocal seen
                while len(block := file.read(frames, dtype="float32", always_2d=True)):
                    seen += len(block)
                    yield block

            try:
                yield from _resampled(blocks(), file.samplerate, sample_rate, resampler)
            except soundfile.SoundFileError as error:
                raise ValueError(f"it is damaged; libsndfile: {_one_line(str(error))}") from None
            if known and seen < file.frames:
                raise ValueError(f"it is truncated: {seen} of {file.frames} samples")
    return None


def _refuse_truncated_container(opened: BinaryIO, form: str) -> None:
    """libsndfile takes the rest of a cut RIFF or AIFF file for the whole, so look at its size."""
    head = os.pread(opened.fileno(), 8, 0)
    order = {b"RIFF": "<", b"FORM": ">"}.get(head[:4])
    if order is None or form in STREAMS:
        return
    (promised,) = struct.unpack(f"{order}I", head[4:8])
    there = os.fstat(opened.fileno()).st_size - 8
    # Writers that cannot seek leave 0 or the largest number; some forget the last pad byte.
    if promised < 0xFFFFFFF0 and promised > there + 1:
        raise ValueError(f"it is truncated: {there} of {promised} bytes")


def _blocks_by_ffmpeg(
    program: str, name: str, sample_rate: int, resampler: Callable
) -> Iterator[np.ndarray]:
    """Runs ffmpeg at the file's own rate and channels; an AU header in the pipe tells them."""
    # By descriptor, because some names (%d.png) mean other files to ffmpeg.
    with (
        open(name, "rb") as opened,
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            _command(program, opened.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            pass_fds=[opened.fileno()],
        ) as process,
    ):
        patience = _Patience(process)
        heard = 0
        try:
            with patience:
                header = process.stdout.read(24)
            if len(header) == 24 and header[:4] == b".snd":
                offset, _, _, rate, channels = struct.unpack(">5I", header[4:])
                with patience:
                    process.stdout.read(offset - 24)
                blocks = _big_endian(process.stdout, channels, patience)
                for block in _resampled(blocks, rate, sample_rate, resampler):
                    heard += len(block)
                    yield block
            with patience:
                process.wait()
        finally:
            process.kill()
        complaints.seek(0)
        said = complaints.read(4096).decode("utf-8", "replace")
    if patience.lost:
        raise ValueError(
            f"it took ffmpeg more than {MAX_DECODE_WALL_SECONDS:g} s to decode. Cut it up, or "
            "convert it to WAV"
        )
    if "partial file" in said:
        raise ValueError("it is truncated: ffmpeg finds less of it than its index promises")
    if process.returncode or not heard:
        reason = _one_line(said) or "no sound in it"
        raise ValueError(f"it is no audio that libsndfile or ffmpeg can read (ffmpeg: {reason})")


class _Patience:
    """Kills a program that is waited for too long in all; the time between waits is not its own."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._left = MAX_DECODE_WALL_SECONDS
        self.lost = False

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._timer = threading.Timer(max(0, self._left), self._lose)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._left -= time.monotonic() - self._began

    def _lose(self) -> None:
        self.lost = True
        self._process.kill()


def _command(program: str, descriptor: int) -> list[str]:
    return [
        program, "-nostdin", "-v", "error", "-threads", "1",
        "-protocol_whitelist", "file,pipe", "-format_whitelist", ",".join(CONTAINERS),
        "-i", f"file:/dev/fd/{descriptor}", "-map", "0:a:0", "-vn", "-sn", "-dn",
        "-t", str(MAX_SECONDS + 1), "-c:a", "pcm_f32be", "-f", "au", "pipe:1",
    ]  # fmt: skip


def _big_endian(pipe: BinaryIO, channels: int, patience: _Patience) -> Iterator[np.ndarray]:
    """Blocks of float32 (frames, channels) from a pipe of big-endian floats."""
    frame = 4 * channels  # bytes
    while True:
        with patience:
            octets = pipe.read(max(1, BLOCK // channels) * frame)
        if not octets:
            return
        whole = len(octets) // frame * frame
        yield np.frombuffer(octets[:whole], ">f4").astype(np.float32).reshape(-1, channels)


def _resampled(
    blocks: Iterator[np.ndarray], rate: int, sample_rate: int, resampler: Callable
) -> Iterator[np.ndarray]:
    """Averages the channels of (frames, channels) blocks and resamples them as they come."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"its sample rate must lie within {LOWEST_RATE} and {HIGHEST_RATE} Hz. "
            f"Received: {rate} Hz. Is its header right?"
        )
    stream = None if rate == sample_rate else resampler(rate, sample_rate)
    frames = 0
    for block in blocks:
        frames += len(block)
        if frames > MAX_SECONDS * rate:
            raise TooLongError(f"it is longer than {MAX_SECONDS:g} s. Cut it up")
        # The mean of one channel would be itself, slowly.
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        yield mono if stream is None else stream.add(mono)
    if stream is not None and frames:
        yield stream.end()


def _one_line(said: str) -> str:
    """The first line of what a program says, without addresses and control characters."""
    said = re.sub(r"on whitelist '.*", "among the containers that it may open", said)
    noise = r"^(\[.* @ 0x[0-9a-f]+\]|file:/dev/fd/\d+:) "
    lines = [re.sub(noise, "", line).strip() for line in said.splitlines()]
    first = next((line for line in lines if line), "")
    return "".join(c for c in first if c.isprintable())[:150].rstrip(" .")
