"""Clips and manifests: which recordings there are, and what is known of each.

A clip is one labelled recording. A manifest is a table of clips, one row each, with the columns of
`MANIFEST_COLUMNS` and any others, which are kept. `label` is `bonafide` or `spoof`; `attack` is `-`
for bonafide; what is not known is `-`. `part` is `train`, `validation`, `test`, `unseen` (spoofs of
attacks that training never saw) or a data set's own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.files.atomic import atomic_file, write_table

MANIFEST_COLUMNS = (
    "path",
    "label",
    "speaker",
    "attack",
    "source",
    "part",
    "language",
    "codec",
    "seconds",
)
LABELS = {"bonafide": 0, "spoof": 1}
UNKNOWN = "-"


def read_manifest(path: str | Path) -> pd.DataFrame:
    """Reads a manifest CSV; relative clip paths are taken from the manifest's own folder."""
    path = Path(path)
    clips = pd.read_csv(path, keep_default_na=False, dtype=str)
    clips["path"] = [str(path.parent / clip) for clip in clips["path"]]
    if "seconds" in clips:
        clips["seconds"] = pd.to_numeric(clips["seconds"], errors="coerce")
    return normalize_manifest(clips, source=str(path))


def write_manifest(path: str | Path, clips: pd.DataFrame) -> None:
    """Writes a manifest atomically, Parquet if so named, else CSV.

    Paths below its folder are written relative to it, all others as absolute ones, since a reader
    takes relative paths from there.
    """
    path = Path(path)
    folder = os.path.join(os.path.abspath(path.parent), "")
    paths = [os.path.abspath(clip) for clip in clips["path"].tolist()]
    below = [clip[len(folder) :] if clip.startswith(folder) else clip for clip in paths]
    table = clips.assign(path=below)
    if path.suffix == ".parquet":
        with atomic_file(path) as partial:
            table.to_parquet(partial, index=False)
    else:
        write_table(path, table)


def normalize_manifest(clips: pd.DataFrame, source: str) -> pd.DataFrame:
    """Puts a table into the manifest's form: every column there, labels known, ids unique.

    Args:
        clips: at least `path` and `label`.
        source: what the table was read from, named in errors.
    Returns:
        A new table with `clip_id` and `MANIFEST_COLUMNS` first, then the columns it had besides.
        `clip_id` is the one given, else the path.
    Raises:
        ValueError: a column, a label or the uniqueness of the ids fails; the first row is named.
    """
    for column in ("path", "label"):
        if column not in clips:
            raise ValueError(
                f"{source}: a manifest has a column {column}. Received: {', '.join(clips.columns)}"
            )
    clips = clips.reset_index(drop=True)
    unknown = ~clips["label"].isin(LABELS)
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise ValueError(
            f"{source}, row {row + 1}: label must be bonafide or spoof. "
            f"Received: {clips['label'][row]!r}, in one of {unknown.sum()} such rows"
        )
    if "clip_id" not in clips:
        clips = clips.assign(clip_id=clips["path"])
    _refuse_repeated(clips, source)
    for column in MANIFEST_COLUMNS:
        if column not in clips:
            clips[column] = np.nan if column == "seconds" else UNKNOWN
    leading = ["clip_id", *MANIFEST_COLUMNS]
    return clips[leading + [column for column in clips if column not in leading]]


def _refuse_repeated(clips: pd.DataFrame, source: str) -> None:
    """Refuses ids that stand in a table more than once, and says whether their labels differ."""
    repeated = clips["clip_id"].duplicated()
    if not repeated.any():
        return
    ids = clips.loc[repeated, "clip_id"].drop_duplicates()
    named = clips.loc[clips["clip_id"].isin(ids), ["clip_id", "label"]].drop_duplicates()
    both = named.loc[named["clip_id"].duplicated(), "clip_id"]
    # What contradicts itself comes first: of the others, one row may simply be dropped.
    shown = ", ".join(map(str, [*both, *ids[~ids.isin(both)]][:3]))
    differ = (
        f"{len(both)} of them with different labels: which is right?"
        if len(both)
        else "with the same labels: drop the repeats."
    )
    raise ValueError(
        f"{source}: each clip stands in a manifest once. Received: {shown}"
        f"{' …' if len(ids) > 3 else ''} more than once, {len(ids)} such ids, {differ}"
    )


def check_parts(
    clips: pd.DataFrame, source: str, apart: Sequence[str] = ("speaker", "source")
) -> None:
    """Checks that the parts can train and judge a detector.

    Args:
        clips: a manifest.
        source: what it was read from, named in errors.
        apart: columns of which no value may overlap between splits.
    Raises:
        ValueError: `train` or `validation` lacks a class, or `test`, if there is one; or a speaker
            or source recording overlaps between splits (`unseen` belongs to the side of `test`).
    """
    needed = ["train", "validation"]
    needed += ["test"] if {"test", "unseen"} & set(clips["part"]) else []
    for part in needed:
        for label in LABELS:
            if not ((clips["part"] == part) & (clips["label"] == label)).any():
                fix = "Is data.unseen_attacks taking them all away?"
                if part not in set(clips["part"]):
                    fix = f"Name a part {part}, or no part at all, to have the clips split."
                if set(clips["part"]) == {"test"}:
                    fix = "All of it is a test set: train on another, and evaluate on this one."
                raise ValueError(
                    f"{source}: the {part} part needs clips of both classes. Received: none with "
                    f"label {label}. {fix}"
                )
    check_sides(clips, source, apart)


def overlapping_values(clips: pd.DataFrame, column: str) -> list[str]:
    """The known values of a column that stand on more than one side, sorted.

    `unseen` belongs to the side of `test`.
    """
    rows = clips.loc[clips[column] != UNKNOWN, [column, "part"]].drop_duplicates()
    rows = rows.assign(part=rows["part"].replace({"unseen": "test"})).drop_duplicates()
    return sorted(rows.loc[rows[column].duplicated(), column].unique())


def check_sides(
    clips: pd.DataFrame, source: str, columns: Sequence[str] = ("speaker", "source")
) -> None:
    """Checks that no value of some columns overlaps between splits.

    Raises:
        ValueError: one does (`unseen` belongs to the side of `test`).
    """
    for column in columns:
        shared = overlapping_values(clips, column)
        if shared:
            name = shared[0]
            side = clips["part"].replace({"unseen": "test"})
            where = ", ".join(sorted(set(side[clips[column] == name])))
            raise ValueError(
                f"{source}: no {column} overlaps between splits. Received: {name} in {where}. "
                f"Split again by {column}, or train all the same with --allow-overlap."
            )


def real_paths(paths: pd.Series) -> pd.Series:
    """Paths as the file system has them: equal where they name one file, however they are written.

    Relative ones become absolute, and links are followed. Each folder is looked up once.
    """
    split = [os.path.split(path) for path in paths]
    folders = {folder: os.path.realpath(folder) for folder in {folder for folder, _ in split}}
    return pd.Series(
        [
            os.path.realpath(path) if os.path.islink(path) else os.path.join(folders[folder], name)
            for path, (folder, name) in zip(paths, split, strict=True)
        ],
        index=paths.index,
        dtype=object,
    )


def corpus_fingerprint(clips: pd.DataFrame) -> str:
    """SHA-256 over what was asked of a corpus: each clip's id, label, attack, part and file size.

    Two runs with the same fingerprint saw the same clips in the same parts. Sizes stand for the
    contents, so that a large corpus need not be read twice.
    """
    digest = hashlib.sha256()
    columns = ["clip_id", "label", "attack", "part", "path"]
    for *known, path in sorted(zip(*(clips[column].tolist() for column in columns), strict=True)):
        try:
            size = os.stat(path).st_size
        except OSError:
            size = -1
        digest.update("\t".join([os.path.basename(known[0]), *known[1:], str(size)]).encode())
        digest.update(b"\n")
    return digest.hexdigest()
