"""What was noticed about clips when they were read, in a run's notes and as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd

from tfpipeline.files.atomic import write_table


def remark_notes(parts: pd.Series, remarks: dict[int, tuple[str, ...]]) -> list[str]:
    """A note for each kind of remark: how many clips of which part have it, and one of them.

    Args:
        parts: of the clips.
        remarks: row → remarks, each `kind: what`.
    """
    counts: dict[str, Counter] = defaultdict(Counter)
    examples: dict[str, str] = {}
    for row, own in remarks.items():
        for remark in own:
            kind, _, what = remark.partition(": ")
            counts[kind][parts.iloc[row]] += 1
            examples.setdefault(kind, what)
    return [
        f"{kind}: remarks on {', '.join(f'{n} clips of {part}' for part, n in found.items())}, "
        f"such as: {examples[kind]}; see remarks.csv"
        for kind, found in sorted(counts.items())
    ]


def write_remarks(path: Path, table: pd.DataFrame, remarks: dict[int, tuple[str, ...]]) -> None:
    """Writes `path, part, remark`, one row a remark; no file where there is none."""
    rows = [
        (table["path"].iloc[row], table["part"].iloc[row], remark)
        for row, own in sorted(remarks.items())
        for remark in own
    ]
    if rows:
        write_table(path, pd.DataFrame(rows, columns=["path", "part", "remark"]))
