"""`report.html`: one page that opens offline and says what a detector is worth.

Everything is in the page: style, charts (SVG), spectrograms (PNG) and sounds (MP3). All text that
comes from a manifest, a config or a file's name is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.evaluation.breakdown import part_rows
from tfpipeline.evaluation.charts import (
    bars_chart,
    curve_charts,
    histogram_chart,
    importance_chart,
    reliability_chart,
)
from tfpipeline.evaluation.comparison import common_part, other_clips
from tfpipeline.evaluation.summary import HONESTY, auc_text, percent, ranked
from tfpipeline.evaluation.worst_clips import WorstClip, worst_clips
from tfpipeline.files.atomic import write_text

STYLE = Path(__file__).with_name("report.css")
MOST_BARS = 30
MOST_IMPORTANCES = 15


@dataclass(frozen=True)
class Judged:
    """One model on one data set.

    Attributes:
        metrics: the content of `metrics.json`.
        table: the score table.
        config: the run's `config.yaml`, as text; None for another system's scores.
        importances: of `training.importance.permutation_importance`; None of a network.
        explain: waveform float32 (samples,) → what led to its score, in words; None where the model
            cannot tell.
    """

    metrics: dict
    table: pd.DataFrame
    config: str | None = None
    importances: pd.DataFrame | None = None
    explain: Callable[[np.ndarray], str] | None = None


def write_report(path: Path, judged: Sequence[Judged], compared: Sequence[dict] = ()) -> None:
    """Writes the page of one model, or of several with a leaderboard first.

    Args:
        path: of the HTML file.
        judged: the models.
        compared: of `comparison.compare_runs`.
    """
    title = ", ".join(own.metrics["run"] for own in judged)
    body = [f"<h1>{escape(title)}</h1>", _what(judged)]
    if len(judged) > 1:
        body += _leaderboard(judged, compared)
    for own in judged:
        body += _model(own, alone=len(judged) == 1)
    write_text(
        path,
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{escape(title)}: evaluation</title>\n"
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n",
    )


def _what(judged: Sequence[Judged]) -> str:
    data = ", ".join(dict.fromkeys(own.metrics["data"] for own in judged))
    return (
        f"<p class='soft'>Judged on {escape(data)}. A score says how likely a recording is fake "
        "(synthetic speech, <em>spoof</em>) rather than human (<em>bonafide</em>).</p>"
        f"<p class='warn'>{escape(HONESTY)}</p>"
    )


def _leaderboard(judged: Sequence[Judged], compared: Sequence[dict]) -> list[str]:
    tables = {own.metrics["run"]: own.table for own in judged}
    part = common_part(tables)
    warning = other_clips(tables, part)
    difference = {row["run"]: row for row in compared}
    rows = []
    for metrics in ranked([own.metrics for own in judged], part):
        figures = metrics["parts"][part]
        row = difference.get(metrics["run"])
        cell = "–"
        if row and row["low"] is not None:
            cell = f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        rates = (percent(figures[name]) for name in ("eer", "miss_rate", "false_alarm_rate"))
        rows.append([metrics["run"], auc_text(figures), *rates, cell])
    head = ["model", "AUC [95 %]", "EER %", "missed %", "false alarms %", "best is above by"]
    curves = {
        own.metrics["run"]: _rows(own, part)
        for own in judged
        if own.metrics["parts"][part]["auc"] is not None
    }
    return [
        f"<h2>Models compared, on {escape(part)}</h2>",
        "<p>The best is first; where the interval of the last column holds 0, chance may have made "
        "the difference.</p>",
        f"<p class='warn'>{escape(warning[0].upper() + warning[1:])}.</p>" if warning else "",
        _table(head, rows),
        *(_curves(curves) if curves else []),
    ]


def _model(own: Judged, alone: bool) -> list[str]:
    """All that is said of one model."""
    metrics, shown = own.metrics, _shown_part(own)
    out = [] if alone else [f"<h2>{escape(metrics['run'])}</h2>"]
    out += _key_figures(metrics, shown)
    rows = _rows(own, shown)
    if metrics["parts"][shown]["auc"] is not None:
        curves = {
            part: _rows(own, part)
            for part in metrics["parts"]
            if part != "train" and metrics["parts"][part]["auc"] is not None
        }
        out += _curves(curves or {shown: rows})
    threshold = metrics["threshold"] and metrics["threshold"]["value"]
    scored = pd.concat([_rows(own, part) for part in metrics["parts"] if part != "train"] or [rows])
    scored = scored.drop_duplicates("clip_id")
    out += [
        "<h2>Scores</h2>",
        "<p>The further the human clips lie from the fakes, the better they are told apart; what "
        "overlaps will be confused.</p>",
        _wide(histogram_chart(scored, threshold), "scores by class and attack"),
    ]
    reliability = reliability_chart(rows)
    if reliability:
        out += [
            f"<h2>Can the probability be believed? ({escape(shown)})</h2>",
            "<p>On the dotted line, of the clips called 80 % fake, 80 % are fake; below it the "
            "model is too sure of fakes. Both classes are given the same weight.</p>",
            _figure(reliability, "reliability diagram"),
        ]
    out += _groups(metrics)
    if own.importances is not None:
        out += _importances(own.importances)
    out += _worst(worst_clips(scored, explain=own.explain))
    if metrics["notes"]:
        notes = "".join(f"<li>{escape(note)}</li>" for note in metrics["notes"])
        out.append(f"<h2>Notes</h2><ul class='soft'>{notes}</ul>")
    if own.config:
        out.append(f"<details><summary>Config</summary><pre>{escape(own.config)}</pre></details>")
    return out


def _key_figures(metrics: dict, shown: str) -> list[str]:
    figures = metrics["parts"][shown]
    out = [f"<h2>How well it tells them apart ({escape(shown)})</h2>"]
    if figures["auc"] is not None:
        out.append(
            f"<p>Of a random human clip and a random fake, the fake gets the higher score "
            f"<strong>{100 * figures['auc']:.1f} times in 100</strong>; 50 would be guessing.</p>"
        )
    parts = metrics["parts"].items()
    head = ["part", "human", "fake", "speakers", "AUC [95 %]", "EER %", "FPR at 95 % TPR, %",
            "TPR at 1 % FPR, %"]  # fmt: skip
    rows = [
        [part, own["n_bonafide"], own["n_spoof"], own["n_speakers"], auc_text(own),
         percent(own["eer"]), percent(own["fpr_at_95_tpr"]), percent(own["tpr_at_1_fpr"])]
        for part, own in parts
    ]  # fmt: skip
    out.append(_table(head, rows, main=shown))
    out.append(
        "<p class='soft'>AUC: 1 is perfect, .5 guessing. EER: the error rate where as many human "
        "clips as fakes are judged wrongly. FPR: human clips called fake; TPR: fakes found.</p>"
    )
    names = ("min_dcf", "act_dcf", "min_cllr", "cllr", "brier", "ece")
    head = ["part", "minDCF", "actDCF", "minCllr", "Cllr", "Brier score", "calibration error"]
    rows = [[part, *(_number(own[name]) for name in names)] for part, own in parts]
    out.append(_table(head, rows, main=shown))
    out.append(
        "<p class='soft'>Costs of decisions (DCF) and of probabilities (Cllr): 0 is perfect, 1 is "
        "no better than not listening; what lies between minimum and actual cost is lost by "
        "calibration. Brier score and calibration error: how far stated probabilities are from "
        "the truth, 0 is best.</p>"
    )
    if metrics["threshold"]:
        fixed = metrics["threshold"]
        rows = [
            [part, percent(own["miss_rate"]), percent(own["false_alarm_rate"]),
             percent(own["hter"]), percent(own["eer"])]
            for part, own in metrics["parts"].items()
        ]  # fmt: skip
        out += [
            "<h2>The threshold, carried over</h2>",
            f"<p>The threshold {fixed['value']:.3f} was fixed on {escape(fixed['part'])} "
            f"({escape(fixed['rule'])}) and is used unchanged: this is what a user would see. "
            "Far above the EER, the scores have moved.</p>",
            _table(["part", "fakes missed %", "false alarms %", "mean (HTER) %", "EER %"], rows,
                   main=shown),
        ]  # fmt: skip
    return out


def _curves(tables: dict[str, pd.DataFrame]) -> list[str]:
    roc, det = curve_charts(tables)
    return [
        "<div class='pair'>",
        _figure(roc, "ROC: how many fakes are found for how many false alarms; the nearer to the "
                     "upper left, the better."),
        _figure(det, "DET: the same errors on a scale that spreads the small ones; lower left is "
                     "better."),
        "</div>",
    ]  # fmt: skip


def _groups(metrics: dict) -> list[str]:
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
        if chart is None:
            continue
        more = f" The {MOST_BARS} worst of {len(rows)}." if len(rows) > MOST_BARS else ""
        out += [
            f"<h2>By {escape(column)}</h2>",
            "<p>AUC of each group, human and fake clips counted beside it; where a line reaches "
            f"the dotted one, it may be guessing.{more}</p>",
            _wide(chart, f"AUC by {column}"),
        ]
    return out


def _worst(clips: Iterable[WorstClip]) -> list[str]:
    cards = []
    for clip in clips:
        row = clip.row
        kind = "human" if row["label"] == "bonafide" else f"fake ({row['attack']})"
        picture = f"<img alt='log-mel spectrogram' src='{clip.picture}'>" if clip.picture else ""
        sound = f"<audio controls preload='none' src='{clip.sound}'></audio>" if clip.sound else ""
        cards.append(
            f"<div class='clip'>{picture}{sound}<div>{escape(str(row['clip_id']))}</div>"
            f"<div class='soft'>{escape(kind)}, {escape(str(row['part']))}; score "
            f"{row['score']:+.2f}</div>{_reasons(clip)}</div>"
        )
    return [
        "<h2>Judged worst</h2>",
        "<p>The human clips that look most like fakes, then the fakes that look most human. "
        "Listen for what they share.</p>",
        f"<div class='clips'>{''.join(cards)}</div>",
    ]


def _reasons(clip: WorstClip) -> str:
    return f"<div class='soft'>{escape(clip.reasons)}</div>" if clip.reasons else ""


def _importances(table: pd.DataFrame) -> list[str]:
    """What the model leans on: groups of features, then single ones."""
    out = [
        "<h2>What it leans on</h2>",
        "<p>The AUC on validation that is lost when a feature's values are shuffled among the "
        "clips; bars are one standard deviation. Features that tell the same can stand in for each "
        "other, so look at the groups first.</p>",
    ]
    for kind, caption in (("group", "groups of features"), ("feature", "single features")):
        rows = table[table["kind"] == kind].head(MOST_IMPORTANCES)
        if len(rows):
            out.append(_wide(importance_chart(rows), f"importance of {caption}"))
    return out


def _shown_part(own: Judged) -> str:
    """The part that the headline speaks of."""
    parts = own.metrics["parts"]
    order = ["test", "all", *parts]
    return next((p for p in order if p in parts and parts[p]["auc"] is not None), next(iter(parts)))


def _rows(own: Judged, part: str) -> pd.DataFrame:
    named = part == "all" and part not in set(own.table["part"])
    return part_rows(own.table, "-" if named else part)


def _table(head: Sequence[str], rows: Iterable[Sequence], main: str | None = None) -> str:
    lines = ["<div class='scroll'><table><tr>"]
    lines += [f"<th>{escape(name)}</th>" for name in head] + ["</tr>"]
    for row in rows:
        lines.append("<tr class='main'>" if row[0] == main else "<tr>")
        lines += [f"<td>{escape(str(cell))}</td>" for cell in row] + ["</tr>"]
    return "".join([*lines, "</table></div>"])


def _figure(source: str, caption: str) -> str:
    text = escape(caption, quote=True)
    return f"<figure><img alt='{text}' src='{source}'><figcaption>{text}</figcaption></figure>"


def _wide(source: str, caption: str) -> str:
    """A chart that is scrolled on a narrow screen, where it could not be read otherwise."""
    return f"<div class='scroll wide'>{_figure(source, caption)}</div>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
