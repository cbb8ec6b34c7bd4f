"""Files that the ffmpeg program reads: m4a, AAC, webm, AMR, WMA, video, joined streams.

Files come from strangers, so ffmpeg is started without a shell or a terminal, may open local files
only, knows the containers of `CONTAINERS` only (no playlists, which name other files), and has a
limit on time and on decoded seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from tfpipeline.data.audio.checks import MAX_SECONDS

MAX_DECODE_WALL_SECONDS = 600
# Formats that ffmpeg knows by the name's ending alone, headerless ones, are left out too.
CONTAINERS = (
    "aac",
    "ac3",
    "aiff",
    "amr",
    "ape",
    "asf",
    "au",
    "avi",
    "caf",
    "dts",
    "eac3",
    "flac",
    "flv",
    "loas",
    "matroska",
    "mov",
    "mp3",
    "mpc",
    "mpc8",
    "mpeg",
    "mpegts",
    "nistsphere",
    "ogg",
    "tak",
    "tta",
    "voc",
    "w64",
    "wav",
    "wv",
)
BLOCK = 2**20  # samples of all channels
MP4_BOXES = 10_000
TRACK = re.compile(r"Stream #0:\d+.*?: Audio: .*")
SILENT_PEAK = 1e-4


class FfmpegSource:
    """A file as ffmpeg decodes it, at its own rate and channels.

    Of a video with several audio tracks the default one is taken, or the first that sounds.

    Attributes:
        rate, channels, is_float: of the samples.
        format: `ffmpeg`; frames: None, not known.
        remarks: what was noticed.

    Args:
        file: opened.
    Raises:
        ValueError: why ffmpeg cannot read it; the message begins with "it …".
    """

    format = "ffmpeg"
    frames = None

    def __init__(self, file: BinaryIO):
        self.remarks: list[str] = []
        self._program = ffmpeg_program()
        self._file = file
        self._spans = _mp4_spans(file)
        if len(self._spans) > 1:
            self.remarks.append(f"joined: {len(self._spans)} files one behind the other")
        self._track = 0
        # The first block tells rate, channels and tracks; of a short file it is all there is.
        self._kept: list[np.ndarray] | None = []
        reader = self._read_all()
        for block in reader:
            self._kept.append(block)
            if sum(piece.size for piece in self._kept) > BLOCK:
                self._kept = None
                reader.close()
                break
        if self._tracks > 1:
            self._choose_track()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields float32 (frames, channels)."""
        yield from self._read_all() if self._kept is None else self._kept

    def _choose_track(self) -> None:
        order = sorted(range(self._tracks), key=lambda track: track not in self._defaults)
        for track in order:
            self._track, self._kept = track, None
            try:
                peak = max((float(np.abs(block).max()) for block in self._read_all()), default=0)
            except ValueError:
                continue
            if peak > SILENT_PEAK:
                break
        else:
            self._track = order[0]
        self.remarks.append(f"tracks: audio track {self._track + 1} of {self._tracks} is judged")

    def _read_all(self) -> Iterator[np.ndarray]:
        heard = 0
        for span in self._spans:
            for block in self._read(span):
                yield block
                heard += len(block)
                if heard > MAX_SECONDS * self.rate:
                    return  # whoever counts has refused it

    def _read(self, span: tuple[int, int]) -> Iterator[np.ndarray]:
        """Runs ffmpeg on a part of the file; an AU header in the pipe tells rate and channels."""
        # By descriptor, because some names (%d.png) mean other files to ffmpeg.
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        with (
            tempfile.TemporaryFile() as complaints,
            subprocess.Popen(
                self._command(span),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                pass_fds=[self._file.fileno()],
            ) as process,
        ):
            limit = _TimeLimit(process)
            heard = 0
            try:
                with limit:
                    header = process.stdout.read(24)
                self._note_tracks(_text(complaints))
                if len(header) == 24 and header[:4] == b".snd":
                    offset, _, _, self.rate, self.channels = struct.unpack(">5I", header[4:])
                    with limit:
                        process.stdout.read(offset - 24)
                    for block in self._blocks(process.stdout, limit):
                        heard += len(block)
                        yield block
                with limit:
                    process.wait()
            finally:
                process.kill()
            log = _text(complaints)
        if limit.exceeded:
            raise ValueError(
                f"it took ffmpeg more than {MAX_DECODE_WALL_SECONDS:g} s to decode. Cut it up, or "
                "convert it to WAV"
            )
        if "partial file" in log:
            raise ValueError("it is truncated: ffmpeg finds less of it than its index promises")
        if process.returncode or not heard:
            reason = _reason(log) or "no sound in it"
            raise ValueError(f"it is no audio that libsndfile or ffmpeg can read ({reason})")

    def _blocks(self, pipe: BinaryIO, limit: _TimeLimit) -> Iterator[np.ndarray]:
        """Blocks of float32 (frames, channels) from a pipe of big-endian floats."""
        frame = 4 * self.channels  # bytes
        while True:
            with limit:
                raw = pipe.read(max(1, BLOCK // self.channels) * frame)
            if not raw:
                return
            whole = len(raw) // frame * frame
            yield np.frombuffer(raw[:whole], ">f4").astype(np.float32).reshape(-1, self.channels)

    def _note_tracks(self, log: str) -> None:
        """Counts the audio tracks that ffmpeg lists before it decodes."""
        tracks = TRACK.findall(log.partition("Stream mapping")[0])
        self._tracks = max(1, len(tracks))
        self.is_float = any("Audio: pcm_f" in track for track in tracks)
        self._defaults = [at for at, track in enumerate(tracks) if "(default)" in track]

    def _command(self, span: tuple[int, int]) -> list[str]:
        begin, end = span
        place = f"file:/dev/fd/{self._file.fileno()}"
        if len(self._spans) > 1:
            place = f"subfile,,start,{begin},end,{end},,:{place}"
        return [
            self._program,
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-v",
            "info",
            "-threads",
            "1",
            "-protocol_whitelist",
            "file,pipe,subfile",
            "-format_whitelist",
            ",".join(CONTAINERS),
            "-i",
            place,
            "-map",
            f"0:a:{self._track}",
            "-vn",
            "-sn",
            "-dn",
            "-t",
            str(MAX_SECONDS + 1),
            "-c:a",
            "pcm_f32be",
            "-f",
            "au",
            "pipe:1",
        ]


class _TimeLimit:
    """Kills a program that is waited for too long in all; the time between waits is not its own."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self._left = MAX_DECODE_WALL_SECONDS
        self.exceeded = False

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._timer = threading.Timer(max(0, self._left), self._kill)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._left -= time.monotonic() - self._began

    def _kill(self) -> None:
        self.exceeded = True
        self._process.kill()


def ffmpeg_program() -> str:
    """Path of the ffmpeg on the PATH, else of the one in the package imageio-ffmpeg.

    Raises:
        ValueError: there is none.
    """
    program = shutil.which("ffmpeg")
    if program is not None:
        return program
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise ValueError(
            "it is no audio that libsndfile knows, and imageio-ffmpeg has no ffmpeg for this "
            "machine. If it is such a file, install ffmpeg: apt install ffmpeg, brew install ffmpeg"
        ) from None


def _mp4_spans(file: BinaryIO) -> list[tuple[int, int]]:
    """Begin and end of each MP4 file of several that were joined; of any other file, the whole."""
    size = os.fstat(file.fileno()).st_size
    begins, at = [], 0
    for _ in range(MP4_BOXES):
        head = os.pread(file.fileno(), 16, at)
        if len(head) < 8:
            break
        if head[4:8] == b"ftyp":
            begins.append(at)
        elif not begins:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8:
            break
        at += length
    if len(begins) < 2:
        return [(0, size)]
    return list(zip(begins, [*begins[1:], size], strict=True))


def _text(file: BinaryIO) -> str:
    """What stands in a file by now."""
    return os.pread(file.fileno(), 2**16, 0).decode("utf-8", "replace")


def _reason(log: str) -> str:
    """The first complaint of ffmpeg, without addresses and control characters."""
    log = re.sub(r"on whitelist '.*", "among the containers that it may open", log)
    prefix = r"^(\[.* @ 0x[0-9a-f]+\]|Error opening input file .*\.$|file:/dev/fd/\d+:|Input #0.*)"
    lines = [re.sub(prefix, "", line).strip() for line in log.splitlines()]
    complaint = re.compile(r"error|invalid|not |fail|no |moov|unknown|could", re.IGNORECASE)
    first = next((line for line in lines if complaint.search(line)), "")
    return "".join(c for c in first if c.isprintable())[:150].rstrip(" .")
