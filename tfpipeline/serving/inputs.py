"""What a user names to be judged becomes a list of files: folders, patterns, lists, stdin."""

from __future__ import annotations

import glob
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfpipeline.data.endings import AUDIO_SUFFIXES, MORE_SUFFIXES

STDIN = "-"
ENDINGS = tuple(f".{suffix}" for suffix in (*AUDIO_SUFFIXES, *MORE_SUFFIXES))
COPY_BYTES = 2**20


def list_inputs(named: Sequence[str], files_from: str | None = None) -> list[str]:
    """The files to judge, in the order in which they are named, each once.

    Args:
        named: files, kept as they are named even if there is none; folders, which stand for the
            audio files below them, by their endings, sorted; patterns of `*`, `?`, `[…]` and `**`,
            sorted; `-`, which is kept and means the audio on standard input.
        files_from: a file that lists more, one path a line, without patterns; `-` is standard
            input.
    Raises:
        FileNotFoundError: `files_from` is not there.
        ValueError: nothing is named, a folder or pattern holds no audio, or standard input is to
            be both a list and audio.
    """
    if files_from == STDIN and STDIN in named:
        raise ValueError(
            "standard input can be one thing. Received: - for audio and --files-from -. "
            "Put the list into a file."
        )
    found = [file for name in named for file in _expand(name, patterns=True)]
    if files_from is not None:
        found += [
            file for name in _lines(files_from) for file in _expand(name, patterns=False)
        ]  # fmt: skip
    if not found:
        raise ValueError(
            "there is nothing to judge. Name files, folders, patterns in quotes, - for audio on "
            "standard input, or a list with --files-from."
        )
    once: dict[str, str] = {}
    for file in found:
        once.setdefault(file if file == STDIN else os.path.abspath(file), file)
    return list(once.values())


def _expand(name: str, patterns: bool) -> Iterable[str]:
    if name == STDIN and patterns:
        return [STDIN]
    if os.path.isdir(name):
        files = list(_audio_below(name))
        if not files:
            raise ValueError(
                f"{name}: expected a folder with audio files below it, by their endings "
                f"({', '.join(AUDIO_SUFFIXES)} …). Received: none. Name files of other endings "
                "one by one, or by a pattern."
            )
        return files
    if not patterns or os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    return _matching(name)


def _audio_below(folder: str) -> Iterator[str]:
    """Audio files below a folder; links to folders are not followed, dotted names left out."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(own for own in folders if not own.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(ENDINGS) and not file.startswith("."):
                yield os.path.join(place, file)


def _matching(pattern: str) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    files = [match for match in matches if os.path.isfile(match)]
    if pattern.endswith("*"):  # it says nothing of the ending
        files = [file for file in files if file.lower().endswith(ENDINGS)]
    if "**" not in pattern:
        files += [file for match in matches if os.path.isdir(match) for file in _audio_below(match)]
    if not files:
        raise ValueError(
            f"{pattern}: expected a pattern that audio files match. Received: no match. "
            "`**` stands for any folders between."
        )
    return files


def _lines(path: str) -> list[str]:
    if path == STDIN:
        contents = sys.stdin.buffer.read()
    else:
        if not os.path.isfile(path):
            raise FileNotFoundError(f"--files-from {path}: no such file. Is the path right?")
        contents = Path(path).read_bytes()
    return [os.fsdecode(line) for line in contents.splitlines() if line.strip()]


@contextmanager
def audio_from_stdin(most_bytes: int) -> Iterator[Path]:
    """A temporary file with what comes on standard input.

    Raises:
        ValueError: it is more than `most_bytes`; the rest is left unread.
    """
    with tempfile.NamedTemporaryFile(prefix="stdin-") as file:
        size = 0
        while octets := sys.stdin.buffer.read(COPY_BYTES):
            size += len(octets)
            if size > most_bytes:
                raise ValueError(
                    f"-: at most {most_bytes / 1e6:.0f} MB can be judged. Received: more on "
                    "standard input. Cut it up."
                )
            file.write(octets)
        file.flush()
        yield Path(file.name)
