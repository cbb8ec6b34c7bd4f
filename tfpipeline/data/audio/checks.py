"""What makes a file unusable: what is no file, no audio, or holds nothing to judge.

The extensions by which audio files are found in folders; contents alone tell the format.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfpipeline.data.audio import LOUDEST, MIN_SECONDS, SAMPLE_RATE, SILENCE_DBFS

MAX_SECONDS = 4 * 3600
MAX_FILE_BYTES = 4 * 2**30


class UnusableError(ValueError):
    """A file that cannot be judged.

    Attributes:
        kind: why, in a word or two that programs can rely on: `not audio`, `empty`, `too short`,
            `too long`, `silent`, `not finite`, `refused` (by a server).
    """

    def __init__(self, message: str, kind: str = "not audio"):
        super().__init__(message)
        self.kind = kind


def check_file(path: str | Path, name: str | Path) -> None:
    """Refuses what is no regular file, an empty one, and one that is too large.

    Args:
        path: of the file.
        name: for the message.
    Raises:
        FileNotFoundError: there is no such file.
        UnusableError: as above.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{name}: no such file. Is the path right?") from None
    if stat.S_ISDIR(status.st_mode):
        raise UnusableError(f"{name}: expected a file. Received: a folder. Name the files in it.")
    if not stat.S_ISREG(status.st_mode):
        kind = "a named pipe" if stat.S_ISFIFO(status.st_mode) else "a device or socket"
        raise UnusableError(
            f"{name}: expected a regular file. Received: {kind}. Copy what comes out of it into "
            "a file."
        )
    if not status.st_size:
        raise UnusableError(
            f"{name}: the file is empty, 0 bytes. Copy or record it again.", "empty"
        )
    if status.st_size > MAX_FILE_BYTES:
        raise UnusableError(
            f"{name}: at most {MAX_FILE_BYTES / 1e6:.0f} MB can be judged. "
            f"Received: {status.st_size / 1e6:.0f} MB. Cut it up.",
            "too long",
        )


def check_levels(samples: int, peak: float, name: str | Path) -> None:
    """Refuses a waveform, by its length and its peak, in which there is nothing to judge.

    Args:
        samples: at `SAMPLE_RATE`.
        peak: the largest absolute value; NaN or infinite if any sample is.
        name: for the message.
    Raises:
        UnusableError: it is shorter than `MIN_SECONDS`, holds NaN, infinity or a sample beyond
            `LOUDEST`, or is silent.
    """
    if not samples:
        raise UnusableError(f"{name}: there is no sample in it. Record it again.", "empty")
    if samples < MIN_SECONDS * SAMPLE_RATE:
        raise UnusableError(
            f"{name}: too short to judge. Received: {1000 * samples / SAMPLE_RATE:.0f} ms, "
            f"where at least {1000 * MIN_SECONDS:.0f} ms are needed.",
            "too short",
        )
    if not np.isfinite(peak):
        raise UnusableError(
            f"{name}: holds NaN or infinite samples. Write the file again.", "not finite"
        )
    if peak > LOUDEST:
        raise UnusableError(
            f"{name}: samples must lie in [-1, 1]. Received: one of ±{peak:.3g}, which no "
            "recording holds. Is the file damaged?"
        )
    if peak < 10 ** (SILENCE_DBFS / 20):
        raise UnusableError(
            f"{name}: silent. Received: a peak of {20 * np.log10(max(peak, 1e-10)):.0f} dBFS, "
            f"below {SILENCE_DBFS:.0f}. Is it the right channel or file?",
            "silent",
        )


# All that `decode` reads, containers of video included.
AUDIO_EXTENSIONS = (
    "3g2",
    "3gp",
    "aac",
    "ac3",
    "aif",
    "aifc",
    "aiff",
    "amr",
    "ape",
    "asf",
    "au",
    "avi",
    "caf",
    "dts",
    "flac",
    "flv",
    "m2ts",
    "m4a",
    "m4b",
    "m4v",
    "mka",
    "mkv",
    "mov",
    "mp1",
    "mp2",
    "mp3",
    "mp4",
    "mpc",
    "mpeg",
    "mpg",
    "nist",
    "oga",
    "ogg",
    "ogv",
    "opus",
    "rf64",
    "snd",
    "sph",
    "tak",
    "tta",
    "voc",
    "w64",
    "wav",
    "wave",
    "webm",
    "wma",
    "wmv",
    "wv",
)
MOST_NAMED = 4


def is_audio_name(name: str) -> bool:
    """Whether a file's name has one of `AUDIO_EXTENSIONS`, in either case."""
    stem, _, extension = name.rpartition(".")
    return bool(stem) and extension.lower() in AUDIO_EXTENSIONS


def left_out(names: Iterable[str]) -> str | None:
    """A line on files that were not taken for audio, by extension; None if there are none."""
    counts = Counter(
        f".{name.rpartition('.')[2].lower()}" if "." in name.strip(".") else "without extension"
        for name in names
    )
    if not counts:
        return None
    named = [f"{number} {extension}" for extension, number in counts.most_common(MOST_NAMED)]
    more = " …" if len(counts) > MOST_NAMED else ""
    return (
        f"{counts.total()} files left out, whose extensions are not audio's: "
        f"{', '.join(named)}{more}"
    )
