"""The `manifest` corpus: any CSV or Parquet table of clips.

Needed columns: `path`, from the table's folder on, and `label`, in any of the words of
`data.corpora.labels`. Those of `MANIFEST_COLUMNS` are understood, `split` is another name for
`part`, one of `PATH_NAMES` for `path`, all others are kept. Where the audio does not lie beside the
table, it is looked for in `AUDIO_FOLDERS` there. Rows are counted from 1, without the header.
Tables and paths as other programs and machines write them are read too, and that is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.automatic_splits import split_by_best_group
from tfpipeline.data.clips import MANIFEST_COLUMNS, UNKNOWN, normalize_manifest
from tfpipeline.data.corpora.reading.clip_paths import AUDIO_FOLDERS, find_clips
from tfpipeline.data.corpora.reading.delimited import decimal_points, read_delimited
from tfpipeline.data.corpora.reading.names import known_label_names, label_from_name, part_from_name

# Of the column `path`, where there is none.
PATH_NAMES = ("file", "file_name", "filename", "filepath", "file_path", "audio")
NUMBERS = {"0", "1", "-1", "0.0", "1.0", "true", "false"}


def load_manifest(path: str | None, split: bool = True) -> pd.DataFrame:
    """The clips of a table; how they were split goes to stderr."""
    if not path:
        raise ValueError(
            "--data manifest needs a PATH. Received: none. Such as --data manifest:clips.csv, a "
            "table with the columns path and label."
        )
    clips, notes = read_table(path, split)
    for line in notes:
        print(f"manifest: {line}", file=sys.stderr)
    return clips


def read_table(path: str | Path, split: bool = True) -> tuple[pd.DataFrame, list[str]]:
    """Reads a table of clips, checks it, and splits the clips if it names no parts.

    Args:
        path: CSV, as `read_delimited` understands it, or Parquet; the first bytes tell which.
        split: whether clips are assigned to parts where the table names none.
    Returns:
        The manifest, and lines that say what was made of it. `clip_id` is the path as written,
        unless there is a column of that name.
    Raises:
        FileNotFoundError: there is no such table.
        ValueError: it cannot be read, a column is missing, a value is not understood, a file is
            missing or stands in it twice.
    """
    table = Path(path).expanduser()
    clips, notes = _read_any(table)
    clips = named_columns(clips, str(table))
    beside = [os.path.join(table.parent, name) for name in AUDIO_FOLDERS]
    clips["path"], path_notes = find_clips(
        clips["path"].tolist(),
        [str(table.parent), *filter(os.path.isdir, beside)],
        ", ".join([str(table), *notes]),
        f"Relative paths start from the table's own folder, or from {', '.join(AUDIO_FOLDERS)} "
        "in it.",
    )
    notes += path_notes
    _refuse_repeated(clips["path"], clips["label"], str(table))
    clips, part_notes = keep_or_assign_parts(clips, str(table), split)
    return clips, notes + part_notes


def keep_or_assign_parts(
    clips: pd.DataFrame, source: str, split: bool
) -> tuple[pd.DataFrame, list[str]]:
    """The manifest of a table's clips, in the table's parts, or split if it names none.

    Args:
        clips: with the manifest's names.
        source: the table, for messages.
        split: whether clips are assigned to parts where the table names none.
    Returns:
        The manifest, and a line on its parts.
    Raises:
        ValueError: some rows have a part and some have none.
    """
    clips = normalize_manifest(clips, source)
    given = clips["part"] != UNKNOWN
    if given.all():
        counts = ", ".join(f"{part} {n}" for part, n in clips["part"].value_counts().items())
        return clips, [f"parts as the table names them: {counts}"]
    if given.any():
        raise ValueError(
            f"{source}, row {_first(~given)}: every clip has a part, or none has. Received: no "
            f"part in {(~given).sum()} of {len(clips)} rows. Remove the column to have them split."
        )
    if not split:
        return clips, []
    clips, how = split_by_best_group(clips, source)
    return clips, [how.replace(":", ", by the table's columns:", 1)]


def _read_any(table: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table, and lines that say what was understood."""
    if not table.exists():
        raise FileNotFoundError(f"{table}: no such file. Is the path right?")
    if table.is_dir():
        raise ValueError(
            f"{table}: expected a CSV or Parquet file. Received: a folder. Audio sorted into "
            f"folders is read with --data folder:{table}."
        )
    with open(table, "rb") as opened:
        head = opened.read(4096)
    if not head.strip():
        raise ValueError(f"{table}: expected a table of clips. Received: an empty file.")
    notes = []
    try:
        if head.startswith(b"PAR1"):
            clips = pd.read_parquet(table)
        else:
            clips, notes = read_delimited(table, _is_header)
    except ImportError:
        raise ValueError(
            f"{table}: Parquet needs the package pyarrow, in the version that fits NumPy's. "
            "Received: none that works. pip install -r requirements.txt."
        ) from None
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{table}: expected a table in CSV or Parquet. Received: {reason}."
        ) from None
    if not len(clips):
        raise ValueError(f"{table}: expected a row for each clip. Received: 0 rows.")
    clips.columns = [str(column).strip() for column in clips.columns]
    return clips.reset_index(drop=True), notes


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.lower() for cell in cells}
    return "label" in names and not names.isdisjoint(("path", *PATH_NAMES))


def named_columns(clips: pd.DataFrame, source: str) -> pd.DataFrame:
    """Brings the columns, labels, parts and lengths of a table to the manifest's names.

    Raises:
        ValueError: there is no path or no label, or a value is not understood.
    """
    known = {*MANIFEST_COLUMNS, "split", "clip_id"}
    clips = clips.rename(columns={c: c.lower() for c in clips if c.lower() in known})
    if "part" not in clips:
        clips = clips.rename(columns={"split": "part"})
    if "path" not in clips:
        named = [column for column in clips if column.lower() in PATH_NAMES]
        clips = clips.rename(columns=dict.fromkeys(named[:1], "path"))
    missing = [column for column in ("path", "label") if column not in clips]
    if missing:
        raise ValueError(
            f"{source}: expected the columns path and label. Received: {', '.join(clips.columns)}; "
            f"no {' and no '.join(missing)}. Is there a header?"
        )
    for column in known & set(clips.columns) - {"seconds"}:
        text = clips[column].astype(object).where(clips[column].notna(), "")
        clips[column] = text.astype(str).str.strip()
        if column not in ("path", "clip_id"):
            clips[column] = clips[column].replace("", UNKNOWN)
    if (clips["path"] == "").any():
        row = _first(clips["path"] == "")
        raise ValueError(f"{source}, row {row}: expected a path. Received: an empty cell.")
    if "clip_id" not in clips:
        clips["clip_id"] = clips["path"]
    if "attack" not in clips:
        clips["attack"] = UNKNOWN
    written, clips["label"] = clips["label"], _labels(clips["label"], source)
    # A spoof of an unknown attack is called what its label says, such as `tts`, as in `folder`.
    clips["attack"] = clips["attack"].mask(clips["attack"] == UNKNOWN, written.str.lower())
    clips["attack"] = clips["attack"].mask(clips["label"] == "bonafide", UNKNOWN)
    if "part" in clips:
        clips["part"] = clips["part"].map(lambda part: part_from_name(part) or part)
    if "seconds" in clips:
        clips["seconds"] = _seconds(clips["seconds"], source)
    return clips


def _labels(written: pd.Series, source: str) -> pd.Series:
    labels = written.map({name: label_from_name(name) for name in written.unique()})
    unknown = labels.isna()
    if unknown.any():
        row = _first(unknown)
        value = written[row - 1]
        if value.lower() in NUMBERS:
            raise ValueError(
                f"{source}, row {row}: a label is a word. Received: {value!r}. Which is which? "
                "Corpora differ: write bonafide or spoof instead."
            )
        others = [repr(other) for other in written[unknown].unique() if other != value]
        also = f", as well as {', '.join(others[:2])}" + (" …" if len(others) > 2 else "")
        raise ValueError(
            f"{source}, row {row}: a label is a word for bonafide or spoof. Received: {value!r}, "
            f"one of {unknown.sum()} such rows{also if others else ''}. "
            f"Known words: {known_label_names()}."
        )
    return labels


def _seconds(written: pd.Series, source: str) -> pd.Series:
    points = written if pd.api.types.is_numeric_dtype(written) else decimal_points(written)
    seconds = pd.to_numeric(points, errors="coerce").astype(float)
    empty = written.isna() | written.astype(str).str.strip().isin(["", UNKNOWN])
    bad = ~empty & ~(np.isfinite(seconds) & (seconds > 0))
    if bad.any():
        raise ValueError(
            f"{source}, row {_first(bad)}: seconds must be a number above 0, or empty. "
            f"Received: {written[_first(bad) - 1]!r}. Is it in another unit?"
        )
    return seconds


def _refuse_repeated(paths: pd.Series, labels: pd.Series, source: str) -> None:
    plain = paths.map(os.path.normpath)
    repeated = plain.duplicated()
    if repeated.any():
        second = _first(repeated)
        first = _first(plain == plain[second - 1])
        pairs = pd.DataFrame({"path": plain, "label": labels}).drop_duplicates()
        differ = int(pairs["path"].duplicated().sum())
        conflict = f", {differ} files with different labels: which is right?" if differ else "."
        raise ValueError(
            f"{source}, row {second}: each file stands in a table once. Received: "
            f"{paths[second - 1]} again, first in row {first}; {repeated.sum()} such rows{conflict}"
        )


def _first(rows: pd.Series) -> int:
    """The number of the first row that is marked, from 1."""
    return int(np.flatnonzero(rows)[0]) + 1
