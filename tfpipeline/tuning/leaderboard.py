"""What a terminal shows of a search: a line as each trial ends, and the best of them in the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipeline.tuning.objective import Objective
from tfpipeline.tuning.records import START, Record, read_record, read_records

SHOWN = 10  # trials in the last table


def tell_trial(search: Path, objective: Objective, trial: str) -> None:
    """One line to stderr: the trial, its objective, seconds, the best so far, and its values."""
    record = read_record(search, trial)
    if record is None:
        return
    name = "start" if trial == START else f"trial {trial}"
    if record.status == "failed":
        print(f"{name:10s}  FAILED  {record.seconds:6.1f} s  {record.error}", file=sys.stderr)
        return
    done = [own for own in read_records(search) if own.status == "completed"]
    best = min(done, key=lambda own: objective.key(own.figures))
    epochs = f"  {record.epochs} epochs" if record.epochs else ""
    print(
        f"{name:10s}  {objective.name} {record.objective:.4f}  {record.seconds:6.1f} s{epochs}  "
        f"best {best.objective:.4f} ({best.trial})  {_values(record.values)}",
        file=sys.stderr,
    )


def print_search(records: Sequence[Record], summary: dict) -> None:
    """The best trials as a table, how the start compares, and which config was chosen."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    objective = Objective(summary["objective"], summary["direction"])
    done = sorted(
        (own for own in records if own.status == "completed"),
        key=lambda own: objective.key(own.figures),
    )
    table = Table(
        title=f"{summary['name']}: {len(done)} trials by {objective.name}", box=SIMPLE,
        title_justify="left", padding=(0, 1, 0, 0),
    )  # fmt: skip
    for name in ("trial", objective.name, "epochs", "seconds"):
        table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
    table.add_column("values", overflow="fold")
    shown = done[:SHOWN] + [own for own in done[SHOWN:] if own.trial == START]
    for own in shown:
        cells = (f"{own.objective:.4f}", str(own.epochs or "-"), f"{own.seconds:.1f}")
        style = "bold" if own.trial == summary["chosen"] else None
        table.add_row(own.trial, *cells, Text(_values(own.values)), style=style)
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    for line in told(summary):
        console.print(line, highlight=False, markup=False)


def told(summary: dict) -> list[str]:
    """The result in sentences."""
    trials = summary["trials"]
    lines = [f"{trials['completed']} trials completed, {trials['failed']} failed."]
    for where, name in (("validation", "validation"), ("folds", f"{summary['folds']} folds")):
        start, best = summary["start"].get(where), summary["best"].get(where)
        if start and best:
            lines.append(
                f"{name}: {summary['objective']} start {start[summary['objective']]:.4f}, "
                f"trial {summary['best']['trial']} {best[summary['objective']]:.4f}"
            )
    return [*lines, *summary["notes"]]


def _values(values: dict[str, Any]) -> str:
    """`learning_rate=0.003 channels=[16, 32]`."""
    return " ".join(f"{key.split('.')[-1]}={own}" for key, own in values.items())
