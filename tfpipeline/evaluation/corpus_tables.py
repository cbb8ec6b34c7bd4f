"""A corpus in the terminal and as a picture: what stands where, and how long the clips are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation.charts import BONAFIDE, SPOOF
from tfpipeline.evaluation.summary import print_notes
from tfpipeline.files.atomic import atomic_file

MOST_VALUES = 12  # of a column, in the terminal
LONGEST = 0.995  # quantile at which the picture ends; few clips may be very long


def print_corpora(rows: Sequence[dict]) -> None:
    """Prints the corpora that can be named.

    Args:
        rows: each with `name`, `give`, `what`, `licence`.
    """
    table = _table("corpora", ("--data", "what", "licence"))
    for row in rows:
        table.add_row(row["give"], row["what"], row["licence"])
    print_notes(table, ["what PATH must hold, citation and counts of each: --json"])


def print_summary(summary: dict) -> None:
    """Prints what `data.inspection.summarise` found, and the `headers` beside it."""
    columns = list(summary["parts"][0])
    table = _table(summary["data"], columns)
    for row in summary["parts"]:
        cells = ["-" if row[c] is None else f"{row[c]:.2f}" if c == "hours" else str(row[c])
                 for c in columns]  # fmt: skip
        table.add_row(*cells, style="bold" if row["part"] == "all" else None)
    notes = []
    for column, values in summary["values"].items():
        shown = [f"{value} ({_both(own)})" for value, own in list(values.items())[:MOST_VALUES]]
        more = f", and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        notes.append(f"{column} (bonafide + spoof): {', '.join(shown)}{more}")
    for label, own in summary["seconds"].items():
        notes.append(
            f"{label}: {own['least']:.2f} to {own['most']:.2f} s, median {own['median']:.2f} s"
        )
    headers = summary["headers"]
    for what in ("formats", "sample_rates", "channels"):
        told = ", ".join(f"{value} ({n})" for value, n in headers[what].items())
        notes.append(f"{what.replace('_', ' ')}, of {headers['read']} headers read: {told or '-'}")
    for column, number in summary["two_sides"].items():
        notes.append(f"look: {number} values of {column} stand on two sides")
    if headers["unreadable"]:
        notes.append(
            f"look: {headers['unreadable']} headers are not read here (verify decodes all files)"
        )
        notes += [f"  {own['path']}: {own['problem']}" for own in headers["first_problems"]]
    print_notes(table, notes)


def draw_lengths(clips: pd.DataFrame, path: str | Path) -> None:
    """Draws how long the clips of each class are: shares of its clips over seconds.

    Args:
        clips: a manifest; clips of unknown length are left out.
        path: of the PNG file.
    Raises:
        ValueError: no length is known.
    """
    from matplotlib.figure import Figure

    known = clips[clips["seconds"].notna()]
    if not len(known):
        raise ValueError("a picture of lengths needs clips whose length is known. Received: none.")
    most = max(float(known["seconds"].quantile(LONGEST)), 0.1)
    edges = np.linspace(0, most, 61)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for label, colour in zip(LABELS, (BONAFIDE, SPOOF), strict=True):
        seconds = known.loc[known["label"] == label, "seconds"].to_numpy(float)
        if len(seconds):
            shares = np.histogram(np.minimum(seconds, most), edges)[0] / len(seconds)
            name = f"{label} ({len(seconds)} clips, median {np.median(seconds):.1f} s)"
            # One filled, one not, so that equal ones are both seen.
            filled = label == "bonafide"
            axes.stairs(
                100 * shares, edges, color=colour, linewidth=1.6, label=name, fill=filled,
                alpha=0.4 if filled else 1,
            )  # fmt: skip
    longer = int((known["seconds"] > most).sum())
    axes.set(
        xlabel="seconds" + (f" ({longer} longer clips in the last bin)" if longer else ""),
        ylabel="share of the clips, %", title="Length of the clips",
    )  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=110)


def _table(title: str, columns: Sequence[str]):
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=SIMPLE, title_justify="left", padding=(0, 1, 0, 0))
    for at, name in enumerate(columns):
        right = at and name not in ("what", "licence")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _both(counts: dict) -> str:
    return " + ".join(str(counts[label]) for label in LABELS)
