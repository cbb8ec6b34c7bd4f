"""What a user names to be judged becomes a list of files: folders, patterns, lists, stdin."""

from __future__ import annotations

import glob
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfpipeline.data.audio.checks import MAX_FILE_BYTES, is_audio_name, left_out

STDIN = "-"
COPY_BYTES = 2**20


def list_inputs(named: Sequence[str], files_from: str | None = None) -> list[str]:
    """The files to judge, in the order in which they are named, each once.

    Args:
        named: files, kept as they are named even if there is none; folders, which stand for the
            audio files below them, by their extensions, sorted; patterns of `*`, `?`, `[…]` and
            `**`, sorted; `-`, which is kept and means the audio on standard input.
        files_from: a file or pipe that lists more, one path a line, without patterns; `-` is
            standard input.
    Raises:
        FileNotFoundError: `files_from` is not there, or a folder.
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
        found += [file for name in _lines(files_from) for file in _expand(name, patterns=False)]
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
        others: list[str] = []
        files = list(_audio_below(name, others))
        line = left_out(others)
        if not files:
            raise ValueError(
                f"{name}: expected a folder with audio files below it, such as .wav, .flac, .mp3, "
                f".m4a. Received: {line or 'none'}. Name files of other extensions one by one, or "
                "by a pattern."
            )
        if line:
            print(f"{name}: {line}", file=sys.stderr)
        return files
    if not patterns or os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    return _matching(name)


def _audio_below(folder: str, others: list[str]) -> Iterator[str]:
    """Audio files below a folder; links to folders are not followed, dotted names left out.

    Names of files that are left out for their extensions go to `others`.
    """
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if file.startswith("."):
                continue
            path = os.path.join(place, file)
            if not is_audio_name(file):
                others.append(file)
            elif os.path.isfile(path):
                yield path


def _matching(pattern: str) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    files = [match for match in matches if os.path.isfile(match)]
    others: list[str] = []
    if pattern.endswith("*"):  # it says nothing of the extension
        others = [os.path.basename(file) for file in files if not is_audio_name(file)]
        files = [file for file in files if is_audio_name(file)]
    if "**" not in pattern:
        folders = [match for match in matches if os.path.isdir(match)]
        files += [file for folder in folders for file in _audio_below(folder, others)]
    if line := left_out(others):
        print(f"{pattern}: {line}", file=sys.stderr)
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
        if os.path.isdir(path) or not os.path.exists(path):
            what = "a folder. Name it without --files-from" if os.path.isdir(path) else "none"
            raise FileNotFoundError(
                f"--files-from {path}: expected a list of files. Received: {what}. Is the path "
                "right?"
            )
        contents = Path(path).read_bytes()
    return [os.fsdecode(line) for line in contents.splitlines() if line.strip()]


def is_pipe(name: str) -> bool:
    """Whether a name is standard input, a named pipe, or a shell's `<(…)`."""
    try:
        return name == STDIN or stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False


@contextmanager
def audio_from_pipe(name: str) -> Iterator[Path]:
    """A temporary file with what comes out of a pipe, or on standard input.

    Raises:
        ValueError: it is more than `MAX_FILE_BYTES`; the rest is left unread.
    """
    with tempfile.NamedTemporaryFile(prefix="pipe-") as file:
        if name == STDIN:
            _copy(sys.stdin.buffer, file, name)
        else:
            with open(name, "rb") as pipe:
                _copy(pipe, file, name)
        file.flush()
        yield Path(file.name)


def _copy(pipe: BinaryIO, file: BinaryIO, name: str) -> None:
    size = 0
    while raw := pipe.read(COPY_BYTES):
        size += len(raw)
        if size > MAX_FILE_BYTES:
            raise ValueError(
                f"{name}: at most {MAX_FILE_BYTES / 1e6:.0f} MB can be judged. Received: more. "
                "Cut it up."
            )
        file.write(raw)
