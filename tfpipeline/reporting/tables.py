"""Metrics as tables in the terminal: one run by part and group, several runs as a leaderboard."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# What every printed figure is worth, said beside it each time.
HONESTY = (
    "These figures do not tell how the model performs on other generators, microphones or codecs; "
    "it may do no better than chance there."
)
PIPE_WIDTH = 100
MOST_ROWS = 40  # of one column's values, in the terminal


def print_summary(metrics: dict) -> None:
    """Prints AUC, EER and the rates at the transferred threshold, a part and a group."""
    console = _console()
    table = _table(f"{metrics['run']} on {metrics['data']}", ("part", "attack"))
    attacks = metrics["groups"].get("attack", {})
    for part, figures in metrics["parts"].items():
        table.add_row(part, "all", *_cells(figures), style="bold")
        by_attack = {attack: parts[part] for attack, parts in attacks.items() if part in parts}
        if len(by_attack) > 1 or part == "unseen":
            for attack, group in by_attack.items():
                table.add_row("", _text(attack), *_cells(group))
    console.print(table)
    for column, values in metrics["groups"].items():
        if column != "attack":
            console.print(_group_table(column, values, metrics))
    legend = "clips: bonafide + spoof; in brackets: 95 % intervals"
    if metrics["threshold"]:
        value, part = metrics["threshold"]["value"], metrics["threshold"]["part"]
        legend += f"; miss and alarm: at the threshold {value:.3f}, fixed on {part}"
    console.print(legend + ".", highlight=False)
    for note in metrics["notes"]:
        console.print(f"note: {note}.", highlight=False, markup=False)
    console.print(HONESTY, highlight=False)


def print_leaderboard(
    metrics: Sequence[dict], part: str, compared: Sequence[dict], warning: str | None = None
) -> None:
    """Prints several runs, best AUC on `part` first, with the difference to the best one.

    Args:
        metrics: contents of `metrics.json`.
        part: that orders them.
        compared: of `comparison.compare_runs`.
        warning: of `comparison.other_clips`.
    """
    table = _table(f"{len(metrics)} models on {metrics[0]['data']}, by AUC on {part}", ("model",))
    table.add_column("best is above by", justify="right", no_wrap=True)
    difference = {row["run"]: row for row in compared}
    for entry in ranked(metrics, part):
        row = difference.get(entry["run"])
        cell = "-" if row is None else _signed(row)
        figures = entry["parts"].get(part)
        cells = _cells(figures) if figures else ["-"] * 5
        table.add_row(_text(entry["run"]), *cells, cell)
    console = _console()
    console.print(table)
    if warning:
        console.print(f"note: {warning}.", highlight=False)


def print_comparison(metrics: Sequence[dict], seconds: dict[str, float]) -> None:
    """Prints runs of one corpus, best AUC on test first, the unseen part and the time beside it.

    Args:
        metrics: contents of `metrics.json`.
        seconds: run → how long fitting took.
    """
    from rich.table import Table

    table = Table(
        title=_text(f"{len(metrics)} models on {metrics[0]['data']}, by AUC on test"),
        box=None,
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    for name in ("model", "validation", "test", "unseen", "fitting"):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    for entry in ranked(metrics, "test"):
        validation = entry["parts"]["validation"]["auc"]
        test, unseen = (entry["parts"].get(part) for part in ("test", "unseen"))
        table.add_row(
            _text(entry["run"]),
            "-" if validation is None else f"{validation:.3f}",
            auc_text(test) if test else "-",
            auc_text(unseen) if unseen else "-",
            f"{seconds[entry['run']]:.1f} s",
        )
    console = _console()
    console.print(table)
    console.print(
        "AUC; in brackets: 95 % intervals. Choose by validation: the best of many on test is "
        "flattered.",
        highlight=False,
    )
    console.print(HONESTY, highlight=False)


def print_evaluations(content: dict) -> None:
    """Prints what `metrics.json` holds: one summary, or one of each and a leaderboard."""
    metrics = content.get("runs", [content])
    for entry in metrics:
        print_summary(entry)
    if len(metrics) > 1:
        print_leaderboard(metrics, content["part"], content["compared"], content["warning"])


def print_pooled(reports: Sequence[dict]) -> None:
    """Prints the EER of each data set, their mean, and the pooled one, a table a system.

    Args:
        reports: of `evaluation.pooled.pooled_report`, each with its name as `run`.
    """
    from rich.table import Table

    names = ("eer", "miss_rate", "false_alarm_rate")
    for report in reports:
        title, mean, pooled = _text(report["run"]), report["mean"], report["pooled"]
        table = Table(title=title, box=None, title_justify="left", padding=(0, 2, 0, 0))
        table.add_column("data set", overflow="fold")
        for name in ("clips", "EER %", "miss %", "alarm %"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in (*report["data_sets"], {"data_set": "pooled", **pooled}):
            if row["data_set"] == "pooled":
                table.add_row(f"mean of {mean['n_data_sets']}", "", percent(mean["eer"]))
            cells = (percent(row.get(name)) for name in names)
            table.add_row(_text(row["data_set"]), f"{row['n_bonafide']} + {row['n_spoof']}", *cells)
        legend = "clips: bonafide + spoof"
        if pooled["threshold"] is not None:
            legend += f"; miss and alarm: at the pooled EER's threshold, {pooled['threshold']:.3f}"
        print_notes(table, [f"{legend}.", *(f"note: {note}." for note in report["notes"])])
    print(HONESTY)


def print_notes(table: object, notes: Sequence[str]) -> None:
    """Prints a `rich` table and lines below it."""
    console = _console()
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False)


def ranked(metrics: Sequence[dict], part: str) -> list[dict]:
    """Contents of `metrics.json`, the highest AUC on `part` first; without one they come last."""

    def auc(entry: dict) -> float:
        figures = entry["parts"].get(part) or {}
        return -1.0 if figures.get("auc") is None else figures["auc"]

    return sorted(metrics, key=auc, reverse=True)


def percent(value: float | None) -> str:
    """`12.34` of .1234, `-` of None."""
    return "-" if value is None else f"{100 * value:.2f}"


def auc_text(figures: dict) -> str:
    """`.983 [.951, .999]`, without the interval where there is none, `-` without an AUC."""
    if figures["auc"] is None:
        return "-"
    text = f"{figures['auc']:.3f}"
    if figures["auc_low"] is not None:
        text += f" [{figures['auc_low']:.3f}, {figures['auc_high']:.3f}]"
    return text


def _console():
    """The terminal; what goes into a file or a pipe has the width that the tables need."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def _table(title: str, names: Sequence[str]):
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=_text(title), box=SIMPLE, title_justify="left", padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold", min_width=11)
    for name in ("clips", "AUC", "EER %", "miss %", "alarm %"):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _group_table(column: str, values: dict, metrics: dict):
    """One column's values in each part, and their plain mean."""
    table = _table(f"by {column}", (column, "part"))
    rows = [(value, part, by_part[part]) for value, by_part in values.items() for part in by_part]
    rows = [row for row in rows if row[1] != "train"]
    for value, part, figures in rows[:MOST_ROWS]:
        table.add_row(_text(value), part, *_cells(figures))
    if len(rows) > MOST_ROWS:
        table.add_row(f"… {len(rows) - MOST_ROWS} more rows in metrics.json")
    for part, mean in metrics["macro"][column].items():
        if mean["auc"] is not None and part != "train":
            cells = ["", f"{mean['auc']:.3f}", percent(mean["eer"])]
            table.add_row(f"mean of {mean['n_values']}", part, *cells, style="bold")
    return table


def _cells(figures: dict) -> list[str]:
    return [
        f"{figures['n_bonafide']} + {figures['n_spoof']}",
        auc_text(figures),
        *(percent(figures[name]) for name in ("eer", "miss_rate", "false_alarm_rate")),
    ]


def _signed(row: dict) -> str:
    if row["difference"] is None:
        return "-"
    if row["low"] is None:
        return "best" if row["difference"] == 0 else f"{row['difference']:.3f}"
    return f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _text(value: object):
    """A name out of a manifest: brackets in it are not markup."""
    from rich.text import Text

    return Text(str(value))
