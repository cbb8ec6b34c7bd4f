"""The files that a table names: on this machine, and written as on another.

What is there as written comes first. Otherwise a path may be one of Windows, an absolute one of
another machine, or differ in the audio file's extension, in case, or in the form of its accents; a
name that fits two files is refused.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from tfpipeline.data.audio.checks import is_audio_name
from tfpipeline.data.corpora.reading.audio_index import stem_of

AUDIO_FOLDERS = ("audio", "wavs", "clips")  # beside a table, where audio is looked for
LISTED_FROM = 32  # files of one folder; fewer are looked up one by one
THREADS = 16  # network disks answer late, but many at a time
DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")


def find_clips(
    written: Sequence[str], bases: Sequence[str], source: str, where: str
) -> tuple[list[str], list[str]]:
    """The paths of files that a table names.

    Args:
        written: as in the table.
        bases: folders from which relative paths may start, all from one of them.
        source: the table, for messages.
        where: a sentence on `bases`, for messages.
    Returns:
        The paths, in order; and lines that say what was understood, if they are not there as
        written, from the first base.
    Raises:
        ValueError: files are missing, wherever they are looked for, or a name fits several.
    """
    tries = []
    for alike in (False, True):
        for names, note in _forms(written):
            for base in bases:
                paths = [os.path.join(base, name) for name in names]
                absent = missing_files(paths)
                notes = [note] if note else []
                if alike and absent:
                    absent, alike_notes = _take_alike(paths, absent, source)
                    notes += alike_notes
                if not absent:
                    lies = base != bases[0] and not all(map(os.path.isabs, names))
                    return paths, [f"the audio lies in {base}", *notes] if lies else notes
                tries.append((absent, paths, bool(note)))
    # Of what is missing everywhere, the path that is nearest to what was written.
    absent, paths, _ = min(tries, key=lambda attempt: (len(attempt[0]), attempt[2]))
    foreign = any(map(_is_of_windows, written))
    shown = [written[at] if foreign else paths[at] for at in absent[:3]]
    examples = ", ".join(f"{name} (row {at + 1})" for name, at in zip(shown, absent, strict=False))
    raise ValueError(
        f"{source}: expected every file to be there. Received: {len(absent)} of {len(paths)} "
        f"missing: {examples}{' …' if len(absent) > 3 else ''}. {where}"
        + (" Of a path of Windows, the end is looked for there." if foreign else "")
    )


def _is_of_windows(name: str) -> bool:
    return "\\" in name or DRIVE.match(name) is not None


def _forms(written: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """The names as written, then in other readings, with a line on each.

    Absolute paths of another machine lose their first folders: the same number in all rows, the
    fewest first, so that the folders that tell clips apart are kept.
    """
    yield list(written), ""
    windows = [_is_of_windows(name) for name in written]
    slashes = "paths of Windows: each \\ is read as /"
    plain = [
        DRIVE.sub("", name).replace("\\", "/") if is_windows else name
        for name, is_windows in zip(written, windows, strict=True)
    ]
    if any(windows) and not any(name.startswith("/") for name in plain):
        yield plain, slashes
    absolute = [at for at, name in enumerate(plain) if name.startswith("/")]
    pieces = {at: [piece for piece in plain[at].split("/") if piece] for at in absolute}
    for number in range(min((len(parts) for parts in pieces.values()), default=0)):
        for at in absolute:
            plain[at] = "/".join(pieces[at][number:])
        first = written[absolute[0]]
        cut = f"{first} is read as {plain[absolute[0]]}, and so on"
        yield list(plain), f"{slashes}; {cut}" if any(windows) else f"paths elsewhere: {cut}"


def _take_alike(
    paths: list[str], absent: Sequence[int], source: str
) -> tuple[list[int], list[str]]:
    """Puts files whose names are alike in the place of absent ones.

    Returns:
        What is absent still, and a line a kind of difference.
    """
    still, found = [], defaultdict(list)
    listed = functools.cache(_alike_in)
    for at in absent:
        folder, _, name = paths[at].rpartition("/")
        exact, folded = listed(folder)
        stem = stem_of(name)
        kind, files = "extension", exact.get(stem, [])
        if not files:
            kind, files = "case or accents", folded.get(_fold(stem), [])
            # Of a.wav and A.flac, a.WAV means the first.
            files = [file for file in files if _fold(file) == _fold(name)] or files
        if len(files) > 1:
            raise ValueError(
                f"{source}, row {at + 1}: expected a file that is there. Received: {name}, and "
                f"there are {' and '.join(sorted(files)[:3])}. Which is right? Write its name in "
                "full."
            )
        if not files:
            still.append(at)
            continue
        paths[at] = os.path.join(folder, files[0])
        found[kind].append((name, files[0]))
    return still, [
        f"{len(pairs)} of {len(paths)} files differ in {kind} from what the table names, such as "
        f"{pairs[0][1]} for {pairs[0][0]}"
        for kind, pairs in found.items()
    ]


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _alike_in(folder: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The audio files of a folder by stem, and by stem in lower case and composed letters."""
    exact, folded = defaultdict(list), defaultdict(list)
    try:
        names = os.listdir(folder or os.sep)
    except OSError:
        return exact, folded
    for name in names:
        if is_audio_name(name) and name[0] != ".":
            exact[stem_of(name)].append(name)
            folded[_fold(stem_of(name))].append(name)
    return exact, folded


def missing_files(paths: Sequence[str]) -> list[int]:
    """Positions of the paths at which there is nothing, in order.

    A folder of which many files are asked for is listed once, which is far cheaper than asking for
    each; folders are looked at in parallel.
    """
    wanted = defaultdict(list)
    for at, path in enumerate(paths):
        folder, _, name = path.rpartition(os.sep)
        wanted[folder].append((at, name))

    def look(folder: str) -> list[int]:
        asked = wanted[folder]
        if len(asked) < LISTED_FROM:
            return [at for at, _ in asked if not os.path.exists(paths[at])]
        try:
            there = set(os.listdir(folder or os.sep))
        except OSError:
            return [at for at, _ in asked]
        return [at for at, name in asked if name not in there]

    with ThreadPoolExecutor(THREADS) as pool:
        return sorted(at for absent in pool.map(look, wanted) for at in absent)
