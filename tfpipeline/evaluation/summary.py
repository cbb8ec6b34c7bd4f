"""What a score table says: metrics by part and by attack, as `metrics.json` and as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation.metrics import eer_threshold, equal_error_rate, roc_auc

PARTS = ("train", "validation", "test", "unseen")
# What every printed figure is worth, said beside it each time.
HONESTY = (
    "Neither figure says how the model does on other fakes: speech of other makers, microphones "
    "or codecs may be judged no better than by chance."
)


def summarise(scores: pd.DataFrame, run: str, model: str, data: str, parameters: int) -> dict:
    """The content of `metrics.json` for a score table of the standard parts.

    `unseen` holds spoofs alone and is judged against the bonafide clips of `test`. The threshold is
    that of the validation part's equal error rate.

    Args:
        scores: a score table.
        run, model, data: names.
        parameters: trainable ones of the model.
    Returns:
        JSON-ready values; what is undefined is None, its reason in `notes`.
    """
    notes: list[str] = []
    validation = scores[scores["part"] == "validation"]
    threshold = eer_threshold(validation["label"].map(LABELS), validation["score"])
    parts = {}
    by_attack: dict[str, dict] = {}
    for part in [part for part in PARTS if (scores["part"] == part).any()]:
        rows = part_rows(scores, part)
        parts[part] = measure(rows, part, notes)
        bonafide = rows[rows["label"] == "bonafide"]
        for attack, spoofs in rows[rows["label"] == "spoof"].groupby("attack"):
            where = f"{part}, attack {attack}"
            by_attack.setdefault(str(attack), {})[part] = measure(
                pd.concat([bonafide, spoofs]), where, notes
            )
    return {
        "schema": 1,
        "run": run,
        "model": model,
        "data": data,
        "parameters": parameters,
        "threshold": {"value": threshold, "rule": "equal error rate", "part": "validation"},
        "parts": parts,
        "groups": {"attack": by_attack},
        "notes": notes,
    }


def part_rows(scores: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows that judge a part: its own, and for `unseen` the bonafide ones of `test` too."""
    rows = scores[scores["part"] == part]
    if part == "unseen":
        tested = scores[(scores["part"] == "test") & (scores["label"] == "bonafide")]
        rows = pd.concat([tested, rows])
    return rows


def measure(rows: pd.DataFrame, where: str, notes: list[str]) -> dict[str, Any]:
    """Counts, AUC and EER of some rows; without both classes None, and a line in `notes`."""
    labels = rows["label"].map(LABELS).to_numpy()
    counts = {
        "n_bonafide": int((labels == 0).sum()),
        "n_spoof": int((labels == 1).sum()),
        "n_speakers": int(rows["speaker"].nunique()),
    }
    if not counts["n_bonafide"] or not counts["n_spoof"]:
        notes.append(f"{where}: AUC and EER need both classes.")
        return {**counts, "auc": None, "eer": None}
    scores = rows["score"].to_numpy()
    return {
        **counts, "auc": roc_auc(labels, scores), "eer": equal_error_rate(labels, scores),
    }  # fmt: skip


def print_summary(metrics: dict) -> None:
    """Prints AUC and EER a part and an attack, for a person, on standard output."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{metrics['run']} on {metrics['data']}", box=SIMPLE, title_justify="left")
    for name in ("part", "attack"):
        table.add_column(name)
    for name in ("bonafide", "spoof", "speakers", "AUC", "EER %"):
        table.add_column(name, justify="right")
    for part, figures in metrics["parts"].items():
        attacks = {
            attack: parts[part]
            for attack, parts in metrics["groups"]["attack"].items()
            if part in parts
        }
        table.add_row(part, "all", *_cells(figures), style="bold")
        if len(attacks) > 1 or part == "unseen":
            for attack, own in attacks.items():
                table.add_row("", attack, *_cells(own))
    console = Console()
    console.print(table)
    console.print(HONESTY, highlight=False)


def _cells(figures: dict) -> list[str]:
    auc, eer = figures["auc"], figures["eer"]
    return [
        str(figures["n_bonafide"]),
        str(figures["n_spoof"]),
        str(figures["n_speakers"]),
        "-" if auc is None else f"{auc:.4f}",
        "-" if eer is None else f"{100 * eer:.2f}",
    ]
