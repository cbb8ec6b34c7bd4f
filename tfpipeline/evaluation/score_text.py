"""Tables that people write as text: cells by whatever separator, encoding and decimal mark.

Byte-order marks (UTF-8, UTF-16), CRLF, tabs, spaces, commas and semicolons, quoted cells, and
numbers such as `-2,5` are read; what was met is told in words.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfpipeline.data.corpora.reading.names import label_from_name

SEPARATORS = {"\t": "tabs", " ": "spaces", ",": "commas", ";": "semicolons"}
ID_NAMES = (
    "clip_id",
    "filename",
    "file_name",
    "file",
    "utterance",
    "utt_id",
    "utterance_id",
    "trial",
    "trial_anon",
    "id",
    "name",
    "path",
)
SCORE_NAMES = ("score", "cm-score", "cm_score", "scores")
LABEL_NAMES = ("label", "cm-label", "cm_label", "key")
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class TextTable:
    """The cells of a text file.

    Attributes:
        path: of the file.
        rows: the cells of each line that is not blank.
        separator: one of `SEPARATORS`.
        marks: what else was met: `byte-order mark`, `UTF-16`, `CRLF`.
    """

    path: Path
    rows: list[list[str]]
    separator: str
    marks: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """How the file is written, such as `commas, byte-order mark, CRLF`."""
        return ", ".join((SEPARATORS[self.separator], *self.marks))

    def check_cells(self, number: int, first: int = 0) -> None:
        """Refuses rows of another number of cells.

        Args:
            number: of cells that a row has.
            first: rows before it are the header's and do not count.
        Raises:
            ValueError: a row has more or fewer; the first one is named.
        """
        for row, cells in enumerate(self.rows[first:], 1):
            if len(cells) != number:
                commas = self.separator == "," and len(cells) == number + 1
                raise ValueError(
                    f"{self.path}, row {row}: expected {number} cells, as in the first row. "
                    f"Received: {' | '.join(cells)[:80]!r}."
                    + (" Decimal commas need another separator, or quotes." if commas else "")
                )


def read_text_table(path: str | Path) -> TextTable:
    """Reads the cells of a text file.

    The separator is the first line's: a tab, else spaces where a cell is a number with a decimal
    comma, else a semicolon, a comma, or spaces.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text, or holds no line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Is the path right?")
    content, marks = path.read_bytes(), []
    encoding = "utf-8"
    if content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
        marks.append("byte-order mark")
    elif content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
        marks.append("UTF-16")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected text in UTF-8. Received: other bytes.") from None
    if "\r\n" in text:
        marks.append("CRLF")
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    if not lines:
        raise ValueError(f"{path}: expected a row a clip. Received: 0 rows.")
    separator = _separator(lines[0])
    try:
        rows = [_cells(line, separator) for line in lines]
    except csv.Error as error:
        raise ValueError(f"{path}: expected cells of a table. Received: {error}.") from None
    return TextTable(path, rows, separator, tuple(marks))


def to_numbers(cells: Sequence[object], source: str) -> tuple[list[float], bool]:
    """The nearest float64 of each cell, by Python's parser; NaN for what is no number.

    Args:
        cells: of one column.
        source: what it was read from, named in errors.
    Returns:
        The numbers, and whether they have decimal commas.
    Raises:
        ValueError: some have decimal commas and others points: one of them marks thousands.
    """
    commas = [isinstance(c, str) and DECIMAL_COMMA.fullmatch(c.strip()) is not None for c in cells]
    if any(commas):
        pointed = next((c for c in cells if isinstance(c, str) and "." in c), None)
        if pointed is not None:
            first = cells[commas.index(True)]
            raise ValueError(
                f"{source}: numbers have either decimal commas or decimal points. Received: "
                f"{first} and {pointed}. Write all of them with points."
            )
    numbers = []
    for cell, comma in zip(cells, commas, strict=True):
        try:
            numbers.append(float(cell.replace(",", ".") if comma else cell))
        except (TypeError, ValueError):
            numbers.append(float("nan"))
    return numbers, any(commas)


def named_columns(text: TextTable) -> pd.DataFrame:
    """Lines below a header; ids, scores and labels under our names, other columns as they are."""
    header = [cell.lower() for cell in text.rows[0]]
    groups = (("clip_id", ID_NAMES), ("score", SCORE_NAMES), ("label", LABEL_NAMES))
    for ours, known in (*groups, ("attack", ("attack_anon",))):
        found = next((name for name in known if name in header), None)
        if found and ours not in header:
            header[header.index(found)] = ours
    text.check_cells(len(header), first=1)
    return pd.DataFrame(text.rows[1:], columns=header, dtype=str)


def read_labels(cells: pd.Series, path: Path) -> list[str]:
    """`bonafide` or `spoof` of each cell; a `ValueError` names the row that is neither."""
    labels = [label_from_name(str(cell)) for cell in cells]
    for row, (label, cell) in enumerate(zip(labels, cells, strict=True), 1):
        if label is None:
            raise ValueError(
                f"{path}, row {row}: a label is bonafide or spoof. Received: {cell!r}. "
                "Numbers mean different things in different corpora: write the word."
            )
    return labels


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a decimal comma or point; `nan` is one too."""
    try:
        float(cell)
    except ValueError:
        return DECIMAL_COMMA.fullmatch(cell) is not None
    return True


def _separator(line: str) -> str:
    if "\t" in line:
        return "\t"
    cells = line.split()
    decimals = [DECIMAL_COMMA.fullmatch(cell) is not None for cell in cells]
    others = [cell for cell, decimal in zip(cells, decimals, strict=True) if not decimal]
    if any(decimals[1:]) and not any("," in cell or ";" in cell for cell in others):
        return " "
    return next((mark for mark in ";," if mark in line), " ")


def _cells(line: str, separator: str) -> list[str]:
    if separator == " " or separator not in line:
        return line.split()
    if separator == "\t":
        return [cell.strip() for cell in line.split("\t")]
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    row = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
    return [cell.strip() for cell in row]
