"""Writes that are whole or absent: to a temporary name beside the target, then one rename."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path to write; it becomes `path` when the block ends without an error.

    The temporary name keeps the suffix of `path`, by which many writers choose their format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        # Without the sync, a crash after the rename could leave a whole name with half its bytes.
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def partial_folder(path: str | Path) -> Path:
    """Where the parts of a file are that is written over a long time."""
    path = Path(path)
    return path.with_name(f"{path.name}.partial")


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes JSON atomically; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Writes a table as CSV without its index, atomically; any text in it can be read back.

    Bytes of file names that are no UTF-8 are written as they are. Text such as `NA` comes back from
    `pandas.read_csv` with `keep_default_na=False`.
    """
    texts = table.select_dtypes(exclude="number")
    cells = chain(table.columns, *(texts[name] for name in texts))
    returns = any("\r" in cell for cell in cells if isinstance(cell, str))
    # A carriage return ends a line for most readers, and yet the writer would not quote it.
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    with atomic_file(path) as partial:
        table.to_csv(partial, index=False, quoting=quoting, errors="surrogateescape")


def replace_folder(built: Path, target: Path) -> None:
    """Puts the finished folder `built` at `target`; an older `target` goes only after that works.

    Both must be on one file system, so that each step is a rename.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        built.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
