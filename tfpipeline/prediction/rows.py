"""Rows of verdicts as JSON lines, as CSV and as a table that grows; and files that can be resumed.

In CSV, what is null in JSON is empty, `evidence` is `start-end:score`, joined by spaces, and
`remarks` are joined by semicolons. Names of files come back as they are, whatever is in them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfpipeline.files.atomic import write_json
from tfpipeline.prediction.predict_files import FIELDS
from tfpipeline.serving.status import SCORED, STATUSES

QUOTED_ENDS = "\r\n"  # the writer quotes a cell with one of these, and no other line end
JUDGE_SUFFIX = ".judge.json"
SCHEMA = 2
WIDEST_PATH = 60
HAVE_SCORES = {STATUSES[code] for code in SCORED}


def json_line(row: dict[str, Any]) -> str:
    """A row as JSON without a line end; paths that are no Unicode come out escaped."""
    return json.dumps(row, allow_nan=False)


def csv_line(row: dict[str, Any] | None = None) -> str:
    """A row as CSV without a line end; the header if there is no row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=QUOTED_ENDS)
    if row is None:
        writer.writerow(FIELDS)
    else:
        cells = {key: "" if row[key] is None else row[key] for key in FIELDS}
        cells["evidence"] = " ".join(
            f"{entry['start']!r}-{entry['end']!r}:{entry['score']!r}" for entry in row["evidence"]
        )
        cells["remarks"] = "; ".join(row["remarks"])
        writer.writerow(cells.values())
    return text.getvalue().removesuffix(QUOTED_ENDS)


class TableLines:
    """A table whose rows can be printed one by one, since the names of all files are known.

    Args:
        names: of all files.
    """

    def __init__(self, names: Sequence[str]):
        widest = min(WIDEST_PATH, shutil.get_terminal_size().columns - 45)
        self._width = max(4, min(max(map(len, names)), widest))

    def header(self) -> str:
        """The names of the columns, and a rule."""
        line = self._line("file", "seconds", "score", "prob.", "verdict", "where, or why not")
        return f"{line}\n {'─' * (self._width + 62)}"

    def line(self, row: dict[str, Any]) -> str:
        """A row; of one without a score nothing but its status and the reason."""
        if row["score"] is None:
            return self._line(row["path"], "-", "-", "-", "-", row["status"])
        remark = row["reason"] or ", ".join(
            f"{entry['start']:.1f}-{entry['end']:.1f} s" for entry in row["evidence"]
        )
        return self._line(
            row["path"],
            f"{row['seconds']:.1f}",
            f"{row['score']:+.3f}",
            f"{row['probability']:.4f}",
            row["verdict"],
            remark,
        )

    def _line(self, path: str, *cells: str) -> str:
        # A path that is too wide continues a line of its own: cut, it would be another path.
        path = printable(path)
        start = f"{path:{self._width}}"
        if len(path) > self._width:
            start = f"{path}\n {'':{self._width}}"
        seconds, score, probability, verdict, remark = cells
        return (
            f" {start}  {seconds:>8}  {score:>8}  {probability:>6}  {verdict:>9}  {remark}"
        ).rstrip()


def printable(path: str) -> str:
    """A path for a terminal: what cannot be printed, and line ends, are escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)


def judge_file(path: Path) -> Path:
    """The record beside a file of rows that says who judged."""
    return path.with_name(path.name + JUDGE_SUFFIX)


def judge_record(judge: dict[str, str]) -> dict[str, Any]:
    """What must be the same for rows to stand in one file."""
    return {"schema": SCHEMA, "fields": list(FIELDS), **judge}


class RowFile:
    """A file of rows that grows by one flushed line a row, and can be resumed after a kill.

    Beside it stands `<name>.judge.json`, which says who judged. A torn last line is dropped.

    Attributes:
        done: the paths whose rows are there already; failed: those of them that
            have no score.

    Args:
        path: `.csv` or `.jsonl`.
        judge: what must be the same for rows to stand in one file.
        resume: resume a file that is there.
        overwrite: replace it.
    Raises:
        FileExistsError: the file is there, and neither flag is given.
        ValueError: another ending, or the rows that are there are another judge's.
    """

    def __init__(
        self, path: Path, scorer: dict[str, str], resume: bool = False, overwrite: bool = False
    ):
        if path.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"--out must end in .csv or .jsonl. Received: {path.name}.")
        self._format: Callable = csv_line if path.suffix == ".csv" else json_line
        self.done: set[str] = set()
        self.failed: set[str] = set()
        beside, expected = judge_file(path), judge_record(scorer)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not overwrite:
            if not resume:
                raise FileExistsError(
                    f"{path} is there already. Resume it with --resume, or replace it with "
                    "--overwrite."
                )
            _check_judge(beside, expected)
            self._keep_whole_rows(path)
        else:
            path.unlink(missing_ok=True)
            write_json(beside, expected)
        self._file = open(path, "a", encoding="utf-8", errors="surrogateescape", newline="")  # noqa: SIM115
        if path.suffix == ".csv" and not path.stat().st_size:
            self._write(csv_line())

    def add(self, row: dict[str, Any]) -> None:
        """Appends a row; when it returns, a kill of the process no longer takes the row away."""
        self._write(self._format(row))

    def close(self) -> None:
        self._file.close()

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()

    def _keep_whole_rows(self, path: Path) -> None:
        """Notes which rows are there, and cuts off what stands behind the last whole one."""
        whole, record = 0, b""
        with open(path, "rb") as file:
            for line in file:
                record += line
                # Line ends within quotes belong to a path.
                if path.suffix == ".csv" and record.count(b'"') % 2:
                    continue
                row = _parse(record, path.suffix)
                if row is None:
                    break
                whole += len(record)
                record = b""
                if row["path"] is not None:
                    self.done.add(row["path"])
                    if row["status"] not in HAVE_SCORES:
                        self.failed.add(row["path"])
        os.truncate(path, whole)


def _parse(record: bytes, suffix: str) -> dict[str, Any] | None:
    """Path (None of the header) and status of a row; None if it is not whole."""
    if not record.endswith(b"\n"):
        return None
    text = record.decode("utf-8", "surrogateescape")
    try:
        if suffix == ".jsonl":
            row = json.loads(text)
            return {"path": row["path"], "status": row["status"]}
        (cells,) = csv.reader(io.StringIO(text, newline=""))
    except (ValueError, KeyError, TypeError, csv.Error):
        return None
    if cells == list(FIELDS):
        return {"path": None, "status": "ok"}
    return dict(zip(FIELDS, cells, strict=True)) if len(cells) == len(FIELDS) else None


def _check_judge(beside: Path, expected: dict) -> None:
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if found != expected:
        raise ValueError(
            f"--resume continues rows of the same judge, {expected.get('judge')}. Received: "
            f"{found.get('judge', 'no record')} in {beside.name}, or another version of it. "
            "Write to another file, or replace it with --overwrite."
        )
