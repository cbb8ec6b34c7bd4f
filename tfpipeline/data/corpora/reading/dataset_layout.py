"""Where a data set is below the path that a user gave, and which path was meant if not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tfpipeline.data.corpora.reading.corpus import Corpus

# What must be below a path: one of several relative paths, or what a function finds there.
Need = tuple[str, ...] | Callable[[Path], Path | None]
LEVELS = 3  # that are looked at above and below a path that is wrong
MOST_FOLDERS = 200  # that are looked at below it
# Names by which data sets that are taken for one another can be told.
MARKS = (
    ("ASVspoof2019_LA", "asvspoof2019_la"),
    ("ASVspoof2021_LA", "asvspoof2021_la"),
    ("ASVspoof2021_DF", "asvspoof2021_df"),
    ("ASVspoof5", "asvspoof5"),
    ("generated_audio", "wavefake"),
    ("for-norm", "fake_or_real"),
    ("meta.csv", "in_the_wild"),
)
AUDIO_FOLDERS = ("flac", "wav")  # may hold a million files, and no data set


def expect_layout(corpus: Corpus, path: str | Path, needs: Sequence[Need]) -> list[Path]:
    """Finds what a data set needs below a path.

    Args:
        corpus: the data set.
        path: as the user gave it.
        needs: what must be there.
    Returns:
        The path of each need.
    Raises:
        FileNotFoundError, NotADirectoryError: the path is absent, or no folder.
        ValueError: something is not there; the message says how many levels too high or too low the
            path is, if it is that, and otherwise what was found.
    """
    root = open_root(path)
    found = [_meet(need, root) for need in needs]
    if None not in found:
        return found
    expected = f"{corpus.name}:{path}: expected {corpus.layout}."
    for levels, parent in enumerate(list(root.absolute().parents)[:LEVELS], 1):
        if all(_meet(need, parent) for need in needs):
            raise ValueError(
                f"{expected} Received: a path {_levels(levels)} too low. "
                f"Name {corpus.name}:{parent}."
            )
    deeper = _deeper(root, needs)
    if deeper:
        levels = len(deeper[0].relative_to(root).parts)
        more = "" if len(deeper) == 1 else f", or {', '.join(map(str, deeper[1:4]))}"
        raise ValueError(
            f"{expected} Received: a path {_levels(levels)} too high. "
            f"Name {corpus.name}:{deeper[0]}{more}."
        )
    missing = [need for need, place in zip(needs, found, strict=True) if place is None]
    there = [str(place.relative_to(root)) for place in found if place is not None]
    received = f"{', '.join(there)}, but " if there else ""
    named = [" or ".join(need[:2]) for need in missing if isinstance(need, tuple)]
    received += f"no {', no '.join(named)}; " if named else ""
    names = listed(root)
    other = next((key for mark, key in MARKS if mark in names and key != corpus.name), None)
    hint = f" That looks like {other}: --data {other}:{path}." if other else ""
    raise ValueError(f"{expected} Received: {received}in {root}: {names}.{hint}")


def open_root(path: str | Path) -> Path:
    """The folder that a path names.

    Raises:
        FileNotFoundError, NotADirectoryError: it is absent, or a file.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder. Is the path right?")
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root}: expected a folder. Received: a file. Unpack it, or name the folder it is in."
        )
    return root


def listed(root: Path, most: int = 8) -> str:
    """The first names in a folder, for messages."""
    with os.scandir(root) as entries:
        names = sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))
    if not names:
        return "nothing"
    return ", ".join(names[:most]) + (f" … ({len(names):,} in all)" if len(names) > most else "")


def split_paths(path: str) -> list[str]:
    """Takes `PATH+PATH2` apart; what exists as it stands is one path, whatever is in its name."""
    paths, rest = [], path
    while rest:
        ends = [at for at, letter in enumerate(rest) if letter == "+"] + [len(rest)]
        whole = [end for end in ends if os.path.exists(os.path.expanduser(rest[:end]))]
        end = max(whole, default=ends[0])
        paths.append(rest[:end])
        rest = rest[end + 1 :]
    return paths


def _meet(need: Need, root: Path) -> Path | None:
    if callable(need):
        return need(root)
    return next((root / name for name in need if (root / name).exists()), None)


def _deeper(root: Path, needs: Sequence[Need]) -> list[Path]:
    """The folders nearest below `root` that meet all needs."""
    level, looked_at = [root], 0
    for _ in range(LEVELS):
        below = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    below += [Path(e.path) for e in entries if e.is_dir() and _is_worth(e.name)]
            except PermissionError:
                continue
        level = sorted(below)[: MOST_FOLDERS - looked_at]
        looked_at += len(level)
        met = [folder for folder in level if all(_meet(need, folder) for need in needs)]
        if met:
            return met
    return []


def _is_worth(name: str) -> bool:
    return not name.startswith(".") and not name.lower().startswith(AUDIO_FOLDERS)


def _levels(number: int) -> str:
    return "one level" if number == 1 else f"{number} levels"
