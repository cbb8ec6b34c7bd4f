"""The text tables that data sets bring: read alike whatever their line ends, marks and blanks.

A byte-order mark, CRLF, blank lines and trailing spaces do not matter. Rows are named by the line
of the file that they stand in.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN

EXTRA = "_extra"


def read_fields(
    path: Path, columns: Sequence[str], editions: Mapping[int, str] | None = None
) -> pd.DataFrame:
    """Reads a table without a header whose fields spaces or tabs separate.

    Args:
        path: of the file.
        columns: the name of each field.
        editions: number of fields → the data set whose tables have so many, for messages.
    Returns:
        Text in every cell.
    Raises:
        ValueError: not text in UTF-8, empty, or a row has another number of fields.
    """
    first = _first_line(path)
    number = len(first.split())
    if number != len(columns):
        other = (editions or {}).get(number)
        fix = f"That is the form of {other}." if other else "Is it the protocol of this edition?"
        raise ValueError(
            f"{path}: expected {len(columns)} fields a line: {' '.join(columns)}. "
            f"Received: {number}: {first[:120]!r}. {fix}"
        )
    table = _parse(path, sep=r"\s+", header=None, names=[*columns, EXTRA], quoting=csv.QUOTE_NONE)
    bad = table[columns[-1]].isna() | table[EXTRA].notna()
    if bad.any():
        line, text = line_of(path, int(np.flatnonzero(bad)[0]))
        raise ValueError(
            f"{path}:{line}: expected {len(columns)} fields: {' '.join(columns)}. "
            f"Received: {text[:120]!r}, one of {int(bad.sum())} such lines."
        )
    return table[list(columns)]


def read_columns(path: Path, columns: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """Reads a table with a header; names of columns in any case.

    Args:
        path: of the file.
        columns: those that must be there.
        separator: between cells; quotes mean nothing unless it is a comma.
    Returns:
        All its columns, text in every cell, `-` where there is nothing.
    Raises:
        ValueError: not text in UTF-8, empty, a column is missing, or a row does not fit.
    """
    first = _first_line(path)
    quoting = csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE
    table = _parse(path, sep=separator, quoting=quoting, index_col=False)
    table.columns = [str(column).strip().lower() for column in table.columns]
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(
            f"{path}: expected a header with {separator.join(columns)}. "
            f"Received: {first[:120]!r}; no {', no '.join(missing)}."
        )
    for column in table.columns:
        table[column] = table[column].fillna("").str.strip().replace("", UNKNOWN)
    for column in columns[:1]:
        if (table[column] == UNKNOWN).any():
            line, text = line_of(path, int(np.flatnonzero(table[column] == UNKNOWN)[0]) + 1)
            raise ValueError(f"{path}:{line}: expected a {column}. Received: {text[:120]!r}.")
    return table


def to_labels(
    written: pd.Series, means: Mapping[str, str], path: Path, header: int = 0
) -> pd.Series:
    """Turns a data set's words for the labels into `bonafide` and `spoof`.

    Args:
        written: one word a row, in the order of the file.
        means: word, in lower case and without hyphens → label.
        path: of the file.
        header: lines before the first row.
    Raises:
        ValueError: a word that the data set does not use; the first line and the count are named.
    """
    words = {word: means.get(_plain(word)) for word in written.unique()}
    labels = written.map(words)
    unknown = labels.isna()
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        line, text = line_of(path, row + header)
        raise ValueError(
            f"{path}:{line}: a label must be one of {', '.join(means)}. Received: "
            f"{written.iloc[row]!r} in {text[:120]!r}, one of {int(unknown.sum())} such lines."
        )
    return labels


def drop_repeated(
    clips: pd.DataFrame, path: Path | str, column: str = "clip_id"
) -> tuple[pd.DataFrame, list[str]]:
    """Drops rows whose id was there before with the same label.

    Returns:
        The table, and a line that says so if there were any.
    Raises:
        ValueError: an id stands in it with both labels; the first ones and the count are named.
    """
    repeated = clips[column].duplicated()
    if not repeated.any():
        return clips, []
    repeats = clips[clips[column].duplicated(keep=False)]
    both = repeats.groupby(column, sort=False)["label"].nunique()
    both = both[both > 1]
    if len(both):
        examples = ", ".join(both.index[:3]) + (" …" if len(both) > 3 else "")
        raise ValueError(
            f"{path}: each clip has one label. Received: {len(both)} clips with both: {examples}. "
            "Which is right? Remove the other lines."
        )
    first = clips[column][repeated].iloc[0]
    note = f"{int(repeated.sum())} lines of {path} name a clip again, such as {first}: read once"
    return clips[~repeated].reset_index(drop=True), [note]


def line_of(path: Path, row: int) -> tuple[int, str]:
    """Number, from 1, and text of the line that is the `row`th, from 0, of those not blank."""
    with open(path, encoding="utf-8-sig", errors="replace") as lines:
        full = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
        return next((numbered for at, numbered in enumerate(full) if at == row), (0, ""))


def _first_line(path: Path) -> str:
    with open(path, "rb") as opened:
        if b"\0" in opened.read(4096):
            raise ValueError(
                f"{path}: expected text in UTF-8. Received: binary data, or UTF-16. Is it unpacked?"
            )
    first = line_of(path, 0)[1]
    if not first:
        raise ValueError(f"{path}: expected a line for each clip. Received: an empty file.")
    return first


def _parse(path: Path, **options) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # Too many cells in a row are only warned of, and would be cut off.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                encoding="utf-8-sig",
                engine="c",
                **options,
            )
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f"{path}: expected text in UTF-8. Received: byte 0x{byte:02x}, which does not belong "
            "there. Save it as UTF-8."
        ) from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        place = re.search(r"in line (\d+), saw (\d+)", reason)
        if place:
            raise ValueError(
                f"{path}:{place[1]}: every line has as many fields as the first. "
                f"Received: {place[2]}."
            ) from None
        raise ValueError(f"{path}: expected a table of text. Received: {reason}.") from None


def _plain(word: str) -> str:
    return word.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
