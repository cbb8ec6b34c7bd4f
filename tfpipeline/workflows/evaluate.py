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
from tfpipeline.data.corpora import load_hidden
from tfpipeline.evaluation.breakdown import remark_notes, write_remarks
from tfpipeline.evaluation.comparison import common_part, compare_runs, other_clips
from tfpipeline.evaluation.scores import write_scores, write_submission
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
from tfpipeline.workflows.score_files import ScoreFiles, evaluate_score_file


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
        complete: whether the score files have a score for every clip of their keys.
    """

    evaluations: list[Evaluation]
    part: str | None = None
    compared: list[dict] = field(default_factory=list)
    warning: str | None = None
    skipped: pd.DataFrame | None = None
    remarks: tuple = ()
    complete: bool = True

    @property
    def content(self) -> dict:
        """What `metrics.json` holds."""
        metrics = [evaluation.metrics for evaluation in self.evaluations]
        if len(metrics) == 1:
            return metrics[0]
        shared = {"part": self.part, "compared": self.compared, "warning": self.warning}
        return {"schema": 1, "runs": metrics, **shared}


def evaluate_runs(
    runs: Sequence[Run],
    data: str | None = None,
    by: Sequence[str] = (),
    score_files: ScoreFiles | None = None,
) -> Comparison:
    """Judges runs and score files.

    Args:
        runs: complete ones.
        data: `NAME[:PATH]` of a corpus that they score first; None: their own scores.
        by: columns to break down by.
        score_files: of other systems, and how they are read.
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
    complete = True
    for name, path, read in score_files.read() if score_files else ():
        evaluations.append(evaluate_score_file(name, path, read, by))
        complete &= not read.unscored
    names = [evaluation.metrics["run"] for evaluation in evaluations]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise ValueError(f"each model needs a name of its own. Received: {repeated} twice.")
    if len(evaluations) == 1:
        return Comparison(evaluations, skipped=skipped, remarks=remarks, complete=complete)
    tables = {evaluation.metrics["run"]: evaluation.table for evaluation in evaluations}
    part = common_part(tables)
    compared, warning = compare_runs(tables, part), other_clips(tables, part)
    return Comparison(evaluations, part, compared, warning, skipped, remarks, complete)


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
        for evaluation in found.evaluations:
            suffix = "" if alone else f"-{plain_name(evaluation.metrics['run'])}"
            write_scores(out / f"scores{suffix}.csv", evaluation.table)
    write_json(out / layout.METRICS, found.content)
    write_report(out / layout.REPORT, found.evaluations, found.compared)
    return out / layout.REPORT


def default_folder(
    runs: Sequence[Run],
    files: Sequence[str],
    corpora: Sequence[str],
    kinds: Sequence[str],
    saved: Path,
) -> Path:
    """Where results go unless told: the run's folder, or one in `evaluations` below `saved`.

    Args:
        runs: complete ones.
        files: score files.
        corpora: that the runs score.
        kinds: `matrix` or `pooled`, or none.
        saved: the folder of all runs.
    """
    data = corpora[0] if corpora else None
    if len(runs) == 1 and not files and not kinds:
        return evaluation_folder(runs[0].folder, data) if data else runs[0].folder
    names = [run.folder.name for run in runs] + [Path(file).stem for file in files]
    name = "+".join(dict.fromkeys(plain_name(label) for label in names))
    behind = f"-{kinds[0]}" if kinds else f"-on-{plain_name(data)}" if data else ""
    return saved / layout.EVALUATIONS / f"{name}{behind}"


def check_request(
    runs: Sequence[str],
    corpora: Sequence[str],
    files: ScoreFiles,
    kinds: Sequence[str],
    by: Sequence[str],
) -> None:
    """Refuses what does not go together, by a `ValueError`.

    Args:
        runs, corpora: their names.
        files: score files, and how they are read.
        kinds: of `matrix`, `pooled`, `submission` and `robustness` those that are wanted.
        by: columns to break down by.
    """
    paths = files.paths
    if not runs and not paths:
        raise ValueError("something to evaluate is needed: --run NAME or --scores FILE.")
    if len(kinds) > 1:
        raise ValueError(f"one of these at a time. Received: --{', --'.join(kinds)}.")
    if corpora and paths:
        raise ValueError("--data is scored by runs. Received: --scores too; evaluate them apart.")
    if not paths and (files.keys or files.polarity or files.subset or files.logits):
        raise ValueError(
            "--key, --subset, --polarity and --logits are about score files. Received: no --scores."
        )
    if "matrix" in kinds and (paths or by):
        raise ValueError("--matrix is of runs and corpora: neither --scores nor --by go with it.")
    if "pooled" in kinds and (by or (runs and paths) or not (corpora or paths)):
        raise ValueError(
            "--pooled takes --run and the --data that runs score, or the --scores of one system, "
            f"and no --by. Received: {len(runs)} runs, {len(corpora)} corpora, {len(paths)} files."
        )
    if "submission" in kinds and (len(runs) != 1 or not corpora):
        raise ValueError(
            "--submission takes one --run and the --data whose hidden clips it scores. Received: "
            f"{len(runs)} runs, --data {corpora[0] if corpora else None}."
        )
    if "robustness" in kinds and (len(runs) != 1 or paths or by):
        raise ValueError(
            "--robustness takes one --run, and neither --scores nor --by. Received: "
            f"{len(runs)} runs, {len(paths)} files, --by {' '.join(by) or None}."
        )
    if len(corpora) > 1 and not {"matrix", "pooled"} & set(kinds):
        raise ValueError(
            "without --matrix or --pooled, one corpus is evaluated at a time. Received: "
            f"{len(corpora)}."
        )


def evaluate_matrix(runs: Sequence[Run], corpora: Sequence[str], out: Path) -> list[dict]:
    """Judges every run on every corpus, and writes `matrix.csv`, `.json` and `.png`.

    Args:
        runs: complete ones.
        corpora: `NAME[:PATH]`; none: those that the runs were trained on.
        out: the folder of the results.
    Returns:
        The cells, of `matrix_cells`.
    """
    trained = dict.fromkeys(name for run in runs for name in run.config.data.corpora)
    cells = matrix_cells(runs, corpora or list(trained))
    table = matrix_table(cells)
    write_table(out / "matrix.csv", table)
    write_json(out / "matrix.json", {"schema": 1, "cells": cells})
    draw_matrix(table, out / "matrix.png")
    return cells


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
