"""Evaluation of runs and of score files: what `tfpipeline evaluate` does, in order.

1. Runs are judged on their own scores, or score a corpus first; score files of other systems are
   read, and joined with their key.
2. Several are compared on the clips that they share.
3. `metrics.json`, `report.html` and, of a corpus, scores and remarks are written.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import LABELS
from tfpipeline.data.corpora import load_hidden
from tfpipeline.evaluation.breakdown import break_down, remark_notes, write_remarks
from tfpipeline.evaluation.calibration import fit_calibration
from tfpipeline.evaluation.comparison import common_part, compare_runs, other_clips
from tfpipeline.evaluation.metrics import eer_threshold
from tfpipeline.evaluation.score_files import read_score_file
from tfpipeline.evaluation.scores import calibrated, write_scores, write_submission
from tfpipeline.files.atomic import write_json, write_table
from tfpipeline.models.detector import ClipScorer
from tfpipeline.reporting.corpus_tables import draw_matrix, matrix_table
from tfpipeline.reporting.report import Evaluation, write_report
from tfpipeline.runs import layout
from tfpipeline.runs.run import Run, load_detector
from tfpipeline.workflows.matrix import matrix_cells
from tfpipeline.workflows.other_corpus import (
    evaluate_table,
    evaluation_folder,
    judge_own,
    open_whole,
    plain_name,
    score_clips,
)


@dataclass(frozen=True)
class Comparison:
    """Evaluations side by side.

    Attributes:
        evaluations: of each run and score file.
        part: on which they are compared; None of one alone.
        compared: differences of their AUCs, as `metrics.json` holds them.
        warning: where they are of different clips, which.
        skipped: `path, reason` of clips of the corpus that could not be judged.
        remarks: the corpus's clips, and what was noticed about them.
    """

    evaluations: list[Evaluation]
    part: str | None = None
    compared: list[dict] = field(default_factory=list)
    warning: str | None = None
    skipped: pd.DataFrame | None = None
    remarks: tuple = ()

    @property
    def content(self) -> dict:
        """What `metrics.json` holds."""
        metrics = [own.metrics for own in self.evaluations]
        if len(metrics) == 1:
            return metrics[0]
        return {"schema": 1, "part": self.part, "runs": metrics, "compared": self.compared}


def evaluate_runs(
    runs: Sequence[Run],
    data: str | None = None,
    by: Sequence[str] = (),
    score_files: Sequence[Path] = (),
    key: str | None = None,
    polarity: str | None = None,
) -> Comparison:
    """Judges runs and score files.

    Args:
        runs: complete ones.
        data: `NAME[:PATH]` of a corpus that they score first; None: their own scores.
        by: columns to break down by.
        score_files: of other systems.
        key: the labels of score files that have none.
        polarity: what a high score of a score file means, `spoof` or `bonafide`; None: as its form
            has it.
    Raises:
        ValueError: two have one name, or a file cannot be read.
    """
    skipped, remarks = None, ()
    if data and runs:
        clips, audio, skipped = open_whole(data)
        notes = remark_notes(clips["part"], audio.remarks)
        evaluations = [
            evaluate_table(run, score_clips(run, clips, audio), data, by, notes) for run in runs
        ]
        skipped = pd.concat([skipped, audio.lost.table()])
        remarks = clips, audio.remarks
    else:
        evaluations = [judge_own(run, by) for run in runs]
    evaluations += [_evaluate_score_file(file, key, polarity, by) for file in score_files]
    names = [own.metrics["run"] for own in evaluations]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise ValueError(f"each model needs a name of its own. Received: {repeated} twice.")
    if len(evaluations) == 1:
        return Comparison(evaluations, skipped=skipped, remarks=remarks)
    tables = {own.metrics["run"]: own.table for own in evaluations}
    part = common_part(tables)
    compared, warning = compare_runs(tables, part), other_clips(tables, part)
    return Comparison(evaluations, part, compared, warning, skipped, remarks)


def write_comparison(found: Comparison, out: Path) -> Path:
    """Writes `metrics.json`, `report.html`, and of a corpus scores, remarks and skipped clips.

    Returns:
        The path of the report.
    """
    out.mkdir(parents=True, exist_ok=True)
    if found.skipped is not None:
        write_table(out / layout.SKIPPED, found.skipped)
        write_remarks(out / layout.REMARKS, *found.remarks)
        alone = len(found.evaluations) == 1
        for own in found.evaluations:
            suffix = "" if alone else f"-{plain_name(own.metrics['run'])}"
            write_scores(out / f"scores{suffix}.csv", own.table)
    write_json(out / layout.METRICS, found.content)
    write_report(out / layout.REPORT, found.evaluations, found.compared)
    return out / layout.REPORT


def default_folder(found: Comparison, runs: Sequence[Run], data: str | None, base: Path) -> Path:
    """Where results go unless told: the run's folder, or one below `base` for several."""
    if len(found.evaluations) == 1 and runs:
        return evaluation_folder(runs[0].folder, data) if data else runs[0].folder
    names = "+".join(plain_name(own.metrics["run"]) for own in found.evaluations)
    return base / (f"{names}-on-{plain_name(data)}" if data else names)


def evaluate_matrix(
    runs: Sequence[Run], corpora: Sequence[str], out: Path
) -> tuple[list[dict], pd.DataFrame]:
    """Judges every run on every corpus, and writes `matrix.csv`, `.json` and `.png`.

    Args:
        runs: complete ones.
        corpora: `NAME[:PATH]`; none: those that the runs were trained on.
        out: the folder of the results.
    Returns:
        The cells, and the same as a table.
    """
    trained = dict.fromkeys(name for run in runs for name in run.config.data.corpora)
    cells = matrix_cells(runs, corpora or list(trained))
    table = matrix_table(cells)
    write_table(out / "matrix.csv", table)
    write_json(out / "matrix.json", {"schema": 1, "cells": cells})
    draw_matrix(table, out / "matrix.png")
    return cells, table


def write_hidden_scores(run: Run, data: str, path: str | Path) -> int:
    """Scores the clips whose labels are hidden, and writes a row for each, in their order.

    Args:
        run: that scores them.
        data: `NAME:PATH` of the corpus.
        path: of the submission.
    Returns:
        How many clips it holds.
    """
    detector = load_detector(run)
    clips = load_hidden(data)
    kept, audio, skipped = open_audio(clips)
    print(f"scoring {len(kept)} clips with {run.folder.name}", file=sys.stderr)
    scores = ClipScorer(detector.model, detector.window).score_clips(audio)
    probability = dict(zip(kept["clip_id"], run.calibration.probability(scores), strict=True))
    ids = clips["clip_id"].tolist()
    write_submission(path, ids, np.array([probability.get(i, np.nan) for i in ids]))
    if len(skipped):
        print(
            f"{len(skipped)} clips cannot be judged, and get 0.5: {skipped['reason'].iloc[0]}",
            file=sys.stderr,
        )
    return len(ids)


def _evaluate_score_file(
    path: Path, key: str | None, polarity: str | None, by: Sequence[str]
) -> Evaluation:
    """A score file; threshold and calibration are fitted on its validation part, if it has one."""

    read = read_score_file(path, key, polarity)
    turned = ", turned round" if read.polarity == "bonafide" else ""
    print(f"{path}: form {read.form}, high = {read.polarity}{turned}", file=sys.stderr)
    table, threshold = read.table, None
    validation = table[table["part"] == "validation"]
    if validation["label"].nunique() == 2:
        labels = validation["label"].map(LABELS).to_numpy()
        scores = validation["score"].to_numpy()
        threshold = {
            "value": eer_threshold(labels, scores),
            "rule": "equal error rate",
            "part": "validation",
        }
        if table["llr"].isna().any():
            table = calibrated(table, fit_calibration(labels, scores))
    metrics = break_down(table, path.stem, read.form, path.name, None, threshold, by)
    if threshold is None:
        metrics["notes"].append("no validation part, so no threshold and no calibration")
    if read.unscored:
        metrics["notes"].append(f"{read.unscored} clips of the key have no score")
    for part, own in metrics["parts"].items():
        if own["auc"] is not None and own["auc"] < 0.5:
            other = "spoof" if read.polarity == "bonafide" else "bonafide"
            metrics["notes"].append(
                f"{part}: an AUC of {own['auc']:.3f} is below chance. Is the sign turned round? "
                f"Then name it: --polarity {other}"
            )
    return Evaluation(metrics, table)
