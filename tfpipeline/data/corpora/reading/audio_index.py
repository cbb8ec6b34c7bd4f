"""Audio files by folder: each folder is listed once, and no file is opened or asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.audio.checks import AUDIO_EXTENSIONS, is_audio_name

MAX_ABSENT_SHARE = 0.05


def audio_folders(
    root: Path, others: list[str] | None = None
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each folder's names below `root`, and its audio files; linked folders come last.

    What begins with a dot is left out; a folder that links lead to more than once is read once.

    Args:
        root: of the folders.
        others: takes the names of files that have no audio file's extension.
    Raises:
        PermissionError: a folder cannot be read; it is named.
    """
    waiting, links, visited = [()], [], set()
    while waiting or links:
        names = waiting.pop() if waiting else links.pop()
        folder = os.path.join(root, *names)
        try:
            status = os.stat(folder)
            # By inode, so that a link to a folder above, or to one read already, ends here.
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            files = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        (links if entry.is_symlink() else waiting).append((*names, entry.name))
                    elif is_audio_name(entry.name):
                        if entry.is_file():
                            files.append(entry.name)
                    elif others is not None:
                        others.append(entry.name)
        except PermissionError:
            raise _unreadable(folder) from None
        yield names, sorted(files)


def stem_of(name: str) -> str:
    """A file's name without the extension of an audio file, in either case."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and suffix.lower() in AUDIO_EXTENSIONS else name


def attach_audio(
    clips: pd.DataFrame,
    names: Sequence[str],
    folder: Path | Sequence[Path],
    protocol: Path | str,
) -> tuple[pd.DataFrame, list[str]]:
    """Finds the audio of clips that a protocol names, and leaves out those that are absent.

    Args:
        clips: a table.
        names: of the files below `folder`, one a row, `/` between folders; an ending of an audio
            file may be missing, or be another one.
        folder: where the audio is; or several folders, of an archive whose parts were unpacked
            each into its own.
        protocol: the table's file, for messages.
    Returns:
        The clips whose audio is there, with `path`; and lines that say what is absent, or there
        without being named.
    Raises:
        ValueError: more than `MAX_ABSENT_SHARE` of the files are absent.
    """
    folders = [folder] if isinstance(folder, Path) else list(folder)
    paths, extra = _find_audio(names, list(map(str, folders)))
    place = f"{folders[0]}" + (f" and {len(folders) - 1} folders like it" if folders[1:] else "")
    here = np.array([path is not None for path in paths], bool)
    absent = int((~here).sum())
    notes = []
    if absent:
        first = [names[at] for at in np.flatnonzero(~here)[:3]]
        examples = ", ".join(first) + (" …" if absent > 3 else "")
        if absent > MAX_ABSENT_SHARE * len(here):
            raise ValueError(
                f"{protocol}: the audio that it names should be in {place}. Received: {absent:,} "
                f"of {len(here):,} absent: {examples}. Is it unpacked in full, and the protocol "
                "of this edition?"
            )
        notes.append(
            f"{absent:,} of {len(here):,} clips of {protocol} have no audio and are left "
            f"out: {examples}"
        )
    if extra:
        examples = ", ".join(extra[:3]) + (" …" if len(extra) > 3 else "")
        notes.append(
            f"{len(extra):,} audio files in {place} that {protocol} does not name are left out: "
            f"{examples}"
        )
    if not absent:
        return clips.assign(path=paths), notes
    found = [path for path in paths if path is not None]
    return clips[here].reset_index(drop=True).assign(path=found), notes


def _find_audio(names: Sequence[str], roots: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """Path of each name, None where there is no such file, and files that no name asks for."""
    folders: dict[str, dict[str, str]] = {}
    named: dict[str, set[str]] = {}
    paths: list[str | None] = []
    for name in names:
        inner, _, file = name.rpartition("/")
        if inner not in folders:
            folders[inner] = {}
            for root in roots:
                folders[inner].update(_audio_in(os.path.join(root, inner) if inner else root))
            named[inner] = set()
        stem = stem_of(file)
        named[inner].add(stem)
        paths.append(folders[inner].get(stem))
    extra = [
        os.path.join(inner, os.path.basename(files[stem]))
        for inner, files in folders.items()
        for stem in sorted(files.keys() - named[inner])
    ]
    return paths, extra


def stems_in(folder: Path) -> set[str]:
    """The names of a folder's audio files without their extensions."""
    return set(_audio_in(str(folder)))


def _audio_in(folder: str) -> dict[str, str]:
    """Stem → path of the audio files of one folder; of two that differ in the ending, the last."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        raise _unreadable(folder) from None
    stems = {}
    for name in names:
        stem, _, suffix = name.rpartition(".")
        if stem and name[0] != "." and suffix.lower() in AUDIO_EXTENSIONS:
            stems[stem] = max(os.path.join(folder, name), stems.get(stem, ""))
    return stems


def _unreadable(folder: str) -> PermissionError:
    return PermissionError(
        f"{folder}: the folder cannot be read. Received: permission denied. "
        "Is it another user's? Move it away, or chmod it."
    )
