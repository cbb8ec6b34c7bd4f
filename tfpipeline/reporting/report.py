"""`report.html`: one page that opens offline and says what a detector is worth.

Everything is in the page: style, charts (SVG), spectrograms (PNG) and sounds (MP3). Its text is in
`report.html.j2`, where Jinja2 escapes whatever comes from a manifest, a config or a file's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.evaluation.breakdown import part_rows
from tfpipeline.evaluation.comparison import common_part, other_clips
from tfpipeline.files.atomic import write_text
from tfpipeline.reporting.plots import (
    bars_chart,
    curve_charts,
    histogram_chart,
    importance_chart,
    reliability_chart,
)
from tfpipeline.reporting.robustness import robustness_chart
from tfpipeline.reporting.tables import HONESTY, auc_text, percent, ranked
from tfpipeline.reporting.worst_clips import worst_clips

TEMPLATE = Path(__file__).with_name("report.html.j2")
MOST_BARS = 30
MOST_IMPORTANCES = 15


@dataclass(frozen=True)
class Evaluation:
    """One model on one data set.

    Attributes:
        metrics: the content of `metrics.json`.
        table: the score table.
        config: the run's `config.yaml`, as text; None for another system's scores.
        importances: of `training.importance.permutation_importance`; None of a network.
        explain: waveform float32 (samples,) → what led to its score, in words; None where the model
            cannot tell.
        robustness: of `workflows.robustness.evaluate_robustness`.
    """

    metrics: dict
    table: pd.DataFrame
    config: str | None = None
    importances: pd.DataFrame | None = None
    explain: Callable[[np.ndarray], str] | None = None
    robustness: dict | None = None


def write_report(path: Path, judged: Sequence[Evaluation], compared: Sequence[dict] = ()) -> None:
    """Writes the page of one model, or of several with a leaderboard first.

    Args:
        path: of the HTML file.
        judged: the models.
        compared: of `comparison.compare_runs`.
    """
    import jinja2

    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"auc_text": auc_text, "percent": percent, "number": _number}
    content = page.get_template(TEMPLATE.name).render(
        title=", ".join(evaluation.metrics["run"] for evaluation in judged),
        data=", ".join(dict.fromkeys(evaluation.metrics["data"] for evaluation in judged)),
        honesty=HONESTY,
        leaderboard=_leaderboard(judged, compared) if len(judged) > 1 else None,
        models=[_model(evaluation) for evaluation in judged],
        most_bars=MOST_BARS,
    )
    write_text(path, content.strip() + "\n")


def _leaderboard(judged: Sequence[Evaluation], compared: Sequence[dict]) -> dict:
    tables = {evaluation.metrics["run"]: evaluation.table for evaluation in judged}
    part = common_part(tables)
    difference = {row["run"]: row for row in compared}
    rows = []
    for metrics in ranked([evaluation.metrics for evaluation in judged], part):
        figures = metrics["parts"][part]
        row = difference.get(metrics["run"])
        cell = "–"
        if row and row["low"] is not None:
            cell = f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        rates = (percent(figures[name]) for name in ("eer", "miss_rate", "false_alarm_rate"))
        rows.append([metrics["run"], auc_text(figures), *rates, cell])
    curves = {
        evaluation.metrics["run"]: _rows(evaluation, part)
        for evaluation in judged
        if evaluation.metrics["parts"][part]["auc"] is not None
    }
    return {
        "part": part,
        "warning": other_clips(tables, part),
        "rows": rows,
        "curves": curves and curve_charts(curves),
    }


def _model(evaluation: Evaluation) -> dict:
    """What the page shows of one model."""
    metrics, shown = evaluation.metrics, _shown_part(evaluation)
    rows = _rows(evaluation, shown)
    curves = {}
    if metrics["parts"][shown]["auc"] is not None:
        curves = {
            part: _rows(evaluation, part)
            for part in metrics["parts"]
            if part != "train" and metrics["parts"][part]["auc"] is not None
        } or {shown: rows}
    scored = pd.concat(
        [_rows(evaluation, part) for part in metrics["parts"] if part != "train"] or [rows]
    )
    scored = scored.drop_duplicates("clip_id")
    return {
        "metrics": metrics,
        "shown": shown,
        "config": evaluation.config,
        "curves": curves and curve_charts(curves),
        "histogram": histogram_chart(
            scored, metrics["threshold"] and metrics["threshold"]["value"]
        ),
        "reliability": reliability_chart(rows),
        "groups": _groups(metrics),
        "importances": []
        if evaluation.importances is None
        else _importances(evaluation.importances),
        "robustness": evaluation.robustness and robustness_chart(evaluation.robustness),
        "worst": worst_clips(scored, explain=evaluation.explain),
    }


def _groups(metrics: dict) -> list[tuple[str, str, int]]:
    """Column, chart and number of groups of each column that can be drawn."""
    out = []
    for column, values in metrics["groups"].items():
        rows = [
            (value if len(parts) == 1 else f"{value} ({part})", figures)
            for value, parts in values.items()
            for part, figures in parts.items()
            if part != "train"
        ]
        rows.sort(key=lambda row: -1 if row[1]["auc"] is None else row[1]["auc"])
        chart = bars_chart(rows[:MOST_BARS])
        if chart is not None:
            out.append((column, chart, len(rows)))
    return out


def _importances(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Charts of what the model leans on, and their captions: groups first, then single features."""
    out = []
    for kind, caption in (("group", "groups of features"), ("feature", "single features")):
        rows = table[table["kind"] == kind].head(MOST_IMPORTANCES)
        if len(rows):
            out.append((importance_chart(rows), caption))
    return out


def _shown_part(evaluation: Evaluation) -> str:
    """The part that the headline speaks of."""
    parts = evaluation.metrics["parts"]
    order = ["test", "all", *parts]
    return next((p for p in order if p in parts and parts[p]["auc"] is not None), next(iter(parts)))


def _rows(evaluation: Evaluation, part: str) -> pd.DataFrame:
    named = part == "all" and part not in set(evaluation.table["part"])
    return part_rows(evaluation.table, "-" if named else part)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
