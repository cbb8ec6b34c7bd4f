"""Evaluates runs and score files: `python -m tfpipeline.evaluate --run cnn`.

Runs are judged on their own scores, or with --data on another corpus, which they score first; score
files of other systems go through the same figures. Leaves `metrics.json` and `report.html`.
With --matrix, every run is judged on every corpus: a table of AUC and EER, and a heat map.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tfpipeline.cli import (
    OK,
    SAVED_MODELS,
    add_data_flag,
    quiet_tensorflow,
    run_command,
    run_folder,
)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and evaluates; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.evaluate", description=__doc__)
    parser.add_argument("--run", nargs="+", default=[], metavar="NAME-or-folder", help="runs")
    parser.add_argument("--scores", nargs="+", default=[], metavar="FILE", help="score files")
    parser.add_argument("--key", metavar="FILE", help="labels of score files that have none")
    parser.add_argument(
        "--polarity",
        choices=("spoof", "bonafide"),
        help="what a high score in the score files means (default: as their form says)",
    )
    add_data_flag(parser, "corpus that the runs score first; with --matrix")
    parser.add_argument(
        "--matrix",
        action="store_true",
        help="judge each run on each corpus (default: those that the runs were trained on)",
    )
    parser.add_argument(
        "--by", nargs="+", default=[], metavar="COLUMN", help="columns to break down by"
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="default: the run's folder; with --data <run>/evaluations/<corpus>; for several, "
        "saved_models/evaluations/<names>",
    )
    parser.add_argument(
        "--submission",
        metavar="FILE",
        help="write id,is_tts for the clips of --data whose labels are hidden, and judge nothing",
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json instead of tables")
    flags = parser.parse_args(argv)
    return run_command(lambda: _evaluate(flags))


def _evaluate(flags: argparse.Namespace) -> int:
    if not flags.run and not flags.scores:
        raise ValueError("something to evaluate is needed: --run NAME or --scores FILE.")
    if flags.data and flags.scores:
        raise ValueError("--data is scored by runs. Received: --scores too; evaluate them apart.")
    if flags.matrix:
        return _matrix(flags)
    if flags.data and len(flags.data) > 1:
        raise ValueError(
            f"without --matrix, one corpus is evaluated at a time. Received: {len(flags.data)}."
        )
    flags.data = flags.data[0] if flags.data else None
    quiet_tensorflow()
    if flags.submission:
        return _submit(flags)

    from tfpipeline.evaluation.breakdown import write_remarks
    from tfpipeline.evaluation.comparison import common_part, compare_runs, other_clips
    from tfpipeline.evaluation.scores import write_scores
    from tfpipeline.files.atomic import write_json, write_table
    from tfpipeline.reporting.report import write_report
    from tfpipeline.reporting.tables import print_leaderboard, print_summary
    from tfpipeline.workflows.other_corpus import plain_name

    judged, left_out, remarks = _judge_runs(flags)
    judged += [_judge_scores(Path(file), flags) for file in flags.scores]
    names = [own.metrics["run"] for own in judged]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise ValueError(f"each model needs a name of its own. Received: {repeated} twice.")
    out = _out(flags, names)
    out.mkdir(parents=True, exist_ok=True)
    compared = []
    if len(judged) == 1:
        content = judged[0].metrics
    else:
        tables = {own.metrics["run"]: own.table for own in judged}
        part = common_part(tables)
        compared = compare_runs(tables, part)
        content = {
            "schema": 1,
            "part": part,
            "runs": [own.metrics for own in judged],
            "compared": compared,
        }
    if flags.data:
        write_table(out / "skipped.csv", left_out)
        write_remarks(out / "remarks.csv", *remarks)
        for own in judged:
            suffix = "" if len(judged) == 1 else f"-{plain_name(own.metrics['run'])}"
            write_scores(out / f"scores{suffix}.csv", own.table)
    write_json(out / "metrics.json", content)
    write_report(out / "report.html", judged, compared)
    if flags.json:
        print(json.dumps(content, indent=2))
    else:
        for own in judged:
            print_summary(own.metrics)
        if len(judged) > 1:
            warning = other_clips(tables, part)
            print_leaderboard([own.metrics for own in judged], part, compared, warning)
    print(f"report: {out / 'report.html'}", file=sys.stderr)
    return OK


def _matrix(flags: argparse.Namespace) -> int:
    """Every run on every corpus."""
    if flags.scores or flags.by:
        raise ValueError("--matrix is of runs and corpora: neither --scores nor --by go with it.")
    quiet_tensorflow()

    from tfpipeline.files.atomic import write_json, write_table
    from tfpipeline.reporting.corpus_tables import draw_matrix, matrix_table, print_matrix
    from tfpipeline.runs.run import open_run
    from tfpipeline.workflows.matrix import matrix_cells
    from tfpipeline.workflows.other_corpus import plain_name

    runs = [open_run(run_folder(name)) for name in flags.run]
    trained = dict.fromkeys(name for run in runs for name in run.config.data.corpora)
    cells = matrix_cells(runs, flags.data or list(trained))
    names = "+".join(plain_name(run.folder.name) for run in runs)
    out = Path(flags.out) if flags.out else SAVED_MODELS / "evaluations" / f"{names}-matrix"
    table = matrix_table(cells)
    write_table(out / "matrix.csv", table)
    write_json(out / "matrix.json", {"schema": 1, "cells": cells})
    draw_matrix(table, out / "matrix.png")
    print(json.dumps(cells, indent=2)) if flags.json else print_matrix(table)
    print(f"matrix: {out / 'matrix.csv'}, {out / 'matrix.png'}", file=sys.stderr)
    return OK


def _judge_runs(flags: argparse.Namespace) -> tuple[list, object, tuple]:
    """Each run on its own scores, or on the corpus that `--data` names.

    Returns:
        What was judged; of that corpus, the table of the clips that were left out, and its clips
        with the remarks on them.
    """
    import pandas as pd

    from tfpipeline.evaluation.breakdown import remark_notes
    from tfpipeline.runs.run import open_run
    from tfpipeline.workflows.other_corpus import evaluate_table, judge_own, open_whole, score_clips

    runs = [open_run(run_folder(name)) for name in flags.run]
    if not (flags.data and runs):
        return [judge_own(run, flags.by) for run in runs], None, ()
    clips, audio, skipped = open_whole(flags.data)
    notes = remark_notes(clips["part"], audio.remarks)
    judged = [
        evaluate_table(run, score_clips(run, clips, audio), flags.data, flags.by, notes)
        for run in runs
    ]
    return judged, pd.concat([skipped, audio.lost.table()]), (clips, audio.remarks)


def _submit(flags: argparse.Namespace) -> int:
    """Scores the clips whose labels are hidden, and writes a row for each, in their order."""
    if len(flags.run) != 1 or not flags.data:
        raise ValueError(
            "--submission takes one --run and the --data whose hidden clips it scores. Received: "
            f"{len(flags.run)} runs, --data {flags.data}."
        )

    import numpy as np

    from tfpipeline.data.corpora import load_hidden
    from tfpipeline.data.opening import open_audio
    from tfpipeline.evaluation.scores import write_submission
    from tfpipeline.models.detector import ClipScorer
    from tfpipeline.runs.run import load_detector, open_run

    run = open_run(run_folder(flags.run[0]))
    detector = load_detector(run)
    clips = load_hidden(flags.data)
    kept, audio, skipped = open_audio(clips)
    print(f"scoring {len(kept)} clips with {run.folder.name}", file=sys.stderr)
    scores = ClipScorer(detector.model, detector.window).score_clips(audio)
    probability = dict(zip(kept["clip_id"], run.calibration.probability(scores), strict=True))
    ids = clips["clip_id"].tolist()
    write_submission(flags.submission, ids, np.array([probability.get(i, np.nan) for i in ids]))
    if len(skipped):
        print(
            f"{len(skipped)} clips cannot be judged, and get 0.5: {skipped['reason'].iloc[0]}",
            file=sys.stderr,
        )
    print(f"submission: {flags.submission}, {len(ids)} clips", file=sys.stderr)
    return OK


def _judge_scores(path: Path, flags: argparse.Namespace):
    """A score file; threshold and calibration are fitted on its validation part, if it has one."""
    from tfpipeline.data.clips import LABELS
    from tfpipeline.evaluation.breakdown import break_down
    from tfpipeline.evaluation.calibration import fit_calibration
    from tfpipeline.evaluation.metrics import eer_threshold
    from tfpipeline.evaluation.score_files import read_score_file
    from tfpipeline.evaluation.scores import calibrated
    from tfpipeline.reporting.report import Evaluation

    read = read_score_file(path, flags.key, flags.polarity)
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
    metrics = break_down(table, path.stem, read.form, path.name, None, threshold, flags.by)
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


def _out(flags: argparse.Namespace, names: list[str]) -> Path:
    """Where the results go."""
    from tfpipeline.workflows.other_corpus import evaluation_folder, plain_name

    if flags.out:
        return Path(flags.out)
    data = f"-on-{plain_name(flags.data)}" if flags.data else ""
    if len(names) == 1 and flags.run:
        folder = run_folder(flags.run[0])
        return evaluation_folder(folder, flags.data) if flags.data else folder
    return SAVED_MODELS / "evaluations" / ("+".join(map(plain_name, names)) + data)


if __name__ == "__main__":
    sys.exit(main())
