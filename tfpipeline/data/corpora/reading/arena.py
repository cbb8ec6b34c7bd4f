"""Protocol files of the Speech DF Arena: the clips of a published data set that it judges on.

A protocol is a CSV file with the columns `file_name,label`; the paths in it are absolute, and of
the machine that wrote it, so that a clip is found by its name and as many folders above it as it
takes. `NAME:PATH+PROTOCOL.csv` reads a data set as always and keeps what the protocol names.

Reference:
    github.com/Speech-Arena/speech_df_arena, README: the columns, the labels `bonafide` and `spoof`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.corpora.reading.audio_index import MAX_ABSENT_SHARE, stem_of
from tfpipeline.data.corpora.reading.protocols import drop_repeated, read_columns, to_labels

LABELS = {"bonafide": "bonafide", "spoof": "spoof"}


def split_protocol(path: str) -> tuple[str, Path | None]:
    """Takes `PATH+PROTOCOL.csv` apart; without a protocol the second is None."""
    first, plus, last = path.rpartition("+")
    if not plus or not last.lower().endswith(".csv") or os.path.exists(os.path.expanduser(path)):
        return path, None
    return first, Path(last).expanduser()


def keep_named(clips: pd.DataFrame, protocol: Path) -> tuple[pd.DataFrame, list[str]]:
    """Keeps the clips that a protocol names, as a test set in its order.

    Args:
        clips: a manifest.
        protocol: the CSV file.
    Returns:
        The clips, their part `test`; and lines that say what is absent or named again.
    Raises:
        FileNotFoundError: no such protocol.
        ValueError: it is no protocol, its labels are not the data set's, a name fits several clips,
            or more than `MAX_ABSENT_SHARE` of the clips are not there.
    """
    if not protocol.is_file():
        raise FileNotFoundError(f"{protocol}: no such protocol file. Is the path right?")
    table = read_columns(protocol, ("file_name", "label"))
    table["label"] = to_labels(table["label"], LABELS, protocol, header=1)
    table["at"] = _positions(table["file_name"], clips["path"].tolist(), protocol)
    absent = table.loc[table["at"] < 0, "file_name"]
    examples = ", ".join(absent[:3]) + (" …" if len(absent) > 3 else "")
    if len(absent) > MAX_ABSENT_SHARE * len(table):
        raise ValueError(
            f"{protocol}: the data set should hold the clips that it names. Received: "
            f"{len(absent):,} of {len(table):,} absent: {examples}. Is it this data set's protocol?"
        )
    notes = [f"{len(absent):,} of {len(table):,} clips of {protocol} are absent: {examples}"]
    table, repeated = drop_repeated(table[table["at"] >= 0], protocol, "at")
    kept = clips.iloc[table["at"]].reset_index(drop=True)
    other = np.flatnonzero(kept["label"].to_numpy() != table["label"].to_numpy())
    if len(other):
        raise ValueError(
            f"{protocol}: its labels should be those of the data set. Received: "
            f"{len(other):,} of {len(kept):,} differ, such as {table['label'].iloc[other[0]]} for "
            f"{kept['clip_id'].iloc[other[0]]}. Is it this data set's protocol?"
        )
    return kept.assign(part="test"), (notes if len(absent) else []) + repeated


def _positions(names: Sequence[str], paths: Sequence[str], protocol: Path) -> list[int]:
    """Of each name its place among the paths, -1 where there is none."""
    places = defaultdict(list)
    for at, path in enumerate(paths):
        places[stem_of(os.path.basename(path))].append(at)
    found = []
    for row, name in enumerate(names, 1):
        *folders, file = re.split(r"[/\\]", name)
        candidates = places.get(stem_of(file), [])
        if len(candidates) > 1:
            shared = [_shared_folders(folders, paths[at]) for at in candidates]
            candidates = [
                at for at, count in zip(candidates, shared, strict=True) if count == max(shared)
            ]
        if len(candidates) > 1:
            raise ValueError(
                f"{protocol}, row {row}: a name fits one clip. Received: {name!r}, which fits "
                f"{len(candidates)}, such as {paths[candidates[0]]}. Write the folders above it."
            )
        found.append(candidates[0] if candidates else -1)
    return found


def _shared_folders(folders: Sequence[str], path: str) -> int:
    """How many folders right above two files have the same names."""
    above = path.split(os.sep)[:-1]
    pairs = zip(reversed(folders), reversed(above), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(folders), len(above)))
