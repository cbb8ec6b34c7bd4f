"""What a terminal shows of a search: a line as each trial ends, and the best of them in the end.

Pictures of a search: the objective over trials, and each parameter against the objective.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfpipeline.files.atomic import atomic_file
from tfpipeline.tuning.objective import Objective
from tfpipeline.tuning.records import START, Record, read_record, read_records, record_path
from tfpipeline.tuning.space import Parameter

SHOWN = 10  # trials in the last table


def tell_trial(search: Path, objective: Objective, trial: str) -> None:
    """One line to stderr: the trial, its objective, seconds, the best so far, and its values."""
    record = read_record(search, trial)
    if record is None:
        return
    name = "start" if trial == START else f"trial {trial}"
    if record.status == "failed":
        where = record_path(search, trial)
        print(
            f"{name:10s}  FAILED  {record.seconds:6.1f} s  {record.error}  ({where})",
            file=sys.stderr,
        )
        return
    done = [other for other in read_records(search) if other.status == "completed"]
    best = min(done, key=lambda other: objective.key(other.figures))
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
        (record for record in records if record.status == "completed"),
        key=lambda record: objective.key(record.figures),
    )
    table = Table(
        title=f"{summary['name']}: {len(done)} trials by {objective.name}",
        box=SIMPLE,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for name in ("trial", objective.name, "epochs", "seconds"):
        table.add_column(name, justify="left" if name == "trial" else "right", no_wrap=True)
    table.add_column("values", overflow="fold")
    shown = done[:SHOWN] + [record for record in done[SHOWN:] if record.trial == START]
    for record in shown:
        cells = (f"{record.objective:.4f}", str(record.epochs or "-"), f"{record.seconds:.1f}")
        style = "bold" if record.trial == summary["chosen"] else None
        table.add_row(record.trial, *cells, Text(_values(record.values)), style=style)
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
    return " ".join(f"{key.split('.')[-1]}={value}" for key, value in values.items())


COLUMNS = 3  # panels side by side


def draw_search(
    folder: Path, records: Sequence[Record], objective: Objective, space: Sequence[Parameter]
) -> None:
    """Writes `objective.png` and `parameters.png`.

    Args:
        folder: that takes the pictures.
        records: of the trials, the start among them.
        objective: of the search.
        space: the parameters that were searched.
    """
    trials = [record for record in records if record.trial != START]
    start = next((record.objective for record in records if record.trial == START), None)
    _draw_progress(folder / "objective.png", trials, start, objective)
    _draw_parameters(folder / "parameters.png", trials, start, objective, space)


def _draw_progress(path: Path, trials: Sequence[Record], start: float | None, objective) -> None:
    """The objective of each trial, the best so far, the start, and where trials failed."""
    figure, axes = _figure(1, 1, (7, 3.6))
    axis = axes[0][0]
    places = np.arange(1, len(trials) + 1)
    values = np.array([np.nan if trial.objective is None else trial.objective for trial in trials])
    gather = np.fmax.accumulate if objective.direction == "max" else np.fmin.accumulate
    axis.plot(places, values, "o", color="C0", label="trial")
    axis.step(places, gather(values), where="post", color="C1", label="best so far")
    if start is not None:
        axis.axhline(start, color="0.5", linestyle="--", label="start")
    for number in places[np.isnan(values)]:
        axis.axvline(number, color="C3", alpha=0.4, label="failed")
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axis.legend(unique.values(), unique.keys(), fontsize=8)
    axis.set(xlabel="trial", ylabel=objective.name)
    _save(figure, path)


def _draw_parameters(path: Path, trials, start, objective, space: Sequence[Parameter]) -> None:
    """A panel a parameter; trials of few epochs, which pruning ended, are pale."""
    done = [trial for trial in trials if trial.objective is not None]
    longest = max((trial.epochs for trial in done), default=0)
    rows = -(-len(space) // COLUMNS)
    figure, axes = _figure(rows, COLUMNS, (3.2 * COLUMNS, 2.6 * rows))
    for axis in axes.ravel()[len(space) :]:
        axis.set_visible(False)
    for axis, parameter in zip(axes.ravel(), space, strict=False):
        having = [trial for trial in done if parameter.key in trial.values]
        values = [trial.values[parameter.key] for trial in having]
        if parameter.kind == "choice":
            names = [json.dumps(value) for value in parameter.values]
            places = [names.index(json.dumps(value)) for value in values]
            axis.set_xticks(range(len(names)), names, fontsize=7, rotation=20)
            axis.set_xlim(-0.5, len(names) - 0.5)
        else:
            places = values
            if parameter.log:
                from matplotlib.ticker import NullFormatter

                axis.set_xscale("log")
                axis.xaxis.set_major_formatter("{x:g}")
                axis.xaxis.set_minor_formatter(NullFormatter())  # they would overlap
        pale = [1.0 if trial.epochs == longest else 0.3 for trial in having]
        axis.scatter(places, [trial.objective for trial in having], s=14, color="C0", alpha=pale)
        if start is not None:
            axis.axhline(start, color="0.5", linestyle="--", linewidth=0.8)
        axis.set_title(parameter.key, fontsize=8)
        axis.tick_params(labelsize=7)
    for row in axes:
        row[0].set_ylabel(objective.name, fontsize=8)
    _save(figure, path)


def _figure(rows: int, columns: int, size: tuple[float, float]):
    """Figure and axes that belong to no screen and no global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure, path: Path) -> None:
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=120)
