"""Tables of text as programs and countries write them: encodings, separators, decimal commas."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
HEAD_BYTES = 4096
# UTF-32 first: its mark begins with UTF-16's.
MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
PACKED = {b"PK\3\4": "an Excel workbook, or a zip", b"\x1f\x8b": "a gzip"}
CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.I)  # which Excel reads and writes

DECIMAL_COMMA = re.compile(r"^(\s*[+-]?\d+),(\d+\s*)$")


def read_delimited(
    table: Path, fits: Callable[[Sequence[str]], bool]
) -> tuple[pd.DataFrame, list[str]]:
    """Reads a table of text, whatever its encoding and separator.

    Args:
        table: the file. A byte-order mark tells the encoding; without one it is UTF-8, UTF-16 if
            every second byte is null, else Windows-1252, of which Latin-1 is a part.
        fits: whether these are the columns of such a table. The first separator by which the
            header fits is the table's; a comma if there is none.
    Returns:
        The table with text in every cell, "" where there is nothing; and lines that say what was
        understood, where it is not UTF-8 with commas.
    Raises:
        ValueError: it is no text, or no table; without the file's name.
    """
    with open(table, "rb") as opened:
        head = opened.read(HEAD_BYTES)
    encoding = _encoding(head)
    text = head.decode(encoding or "utf-8-sig", "replace").lstrip("\ufeff")
    lines = [line for line in text.splitlines() if line.strip()]
    declared = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    header = lines[1] if declared and lines[1:] else lines[0] if lines else ""
    tried = [declared[1]] if declared else SEPARATORS
    cells = {sep: [c.strip() for c in next(csv.reader([header], delimiter=sep))] for sep in tried}
    separator = next((sep for sep in tried if fits(cells[sep])), next(iter(tried)))

    def read(charset: str) -> pd.DataFrame:
        with warnings.catch_warnings():
            # Too many cells in a row are only warned of, and would be cut off.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                table,
                dtype=str,
                keep_default_na=False,
                encoding=charset,
                index_col=False,
                sep=separator,
                skiprows=1 if declared else 0,
            )

    notes = []
    if separator != ",":
        notes.append(f"columns are separated by {SEPARATORS.get(separator, repr(separator))}")
    if encoding:
        notes.append(f"read as {encoding.upper()}")
        return read(encoding), notes
    try:
        return read("utf-8-sig"), notes
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
    try:
        clips = read("cp1252")
    except UnicodeDecodeError:
        raise ValueError(
            f"byte 0x{byte:02x}, which is neither UTF-8 nor Windows-1252. Save it as UTF-8"
        ) from None
    return clips, [*notes, "read as Windows-1252 (Western Europe), since it is not UTF-8"]


def _encoding(head: bytes) -> str | None:
    """The encoding that the first bytes tell; None for UTF-8 or one byte a letter."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    for mark, what in PACKED.items():
        if head.startswith(mark):
            raise ValueError(f"{what}. Unpack it, or save it as CSV in UTF-8")
    even, odd = head[::2].count(0), head[1::2].count(0)
    # ASCII in UTF-16 has a null at every second place; any other text has few at the first.
    if max(even, odd) > len(head) // 4 and min(even, odd) <= len(head) // 64:
        return "utf-16-le" if odd > even else "utf-16-be"
    if CONTROL.search(head):
        raise ValueError("binary data. Save it as CSV in UTF-8")
    return None


def decimal_points(cells: pd.Series) -> pd.Series:
    """Numbers with a decimal comma, such as `2,5`, with a point; all else as it is."""
    return cells.map(
        lambda cell: DECIMAL_COMMA.sub(r"\1.\2", cell) if isinstance(cell, str) else cell
    )
