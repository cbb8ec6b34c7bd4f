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
    CommandParser,
    add_data_flag,
    quiet_tensorflow,
    run_command,
    run_folder,
)
from tfpipeline.runs import layout


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and evaluates; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.evaluate", description=__doc__)
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
    _check_flags(flags)
    quiet_tensorflow()
    from tfpipeline.reporting.corpus_tables import print_matrix
    from tfpipeline.reporting.tables import print_leaderboard, print_summary
    from tfpipeline.runs.run import open_run
    from tfpipeline.workflows import evaluate as workflow
    from tfpipeline.workflows.other_corpus import plain_name

    runs = [open_run(run_folder(name)) for name in flags.run]
    base = SAVED_MODELS / layout.EVALUATIONS
    if flags.matrix:
        names = "+".join(plain_name(run.folder.name) for run in runs)
        out = Path(flags.out) if flags.out else base / f"{names}-matrix"
        cells, table = workflow.evaluate_matrix(runs, flags.data or [], out)
        print(json.dumps(cells, indent=2)) if flags.json else print_matrix(table)
        print(f"matrix: {out / 'matrix.csv'}, {out / 'matrix.png'}", file=sys.stderr)
        return OK
    data = flags.data[0] if flags.data else None
    if flags.submission:
        number = workflow.write_hidden_scores(runs[0], data, flags.submission)
        print(f"submission: {flags.submission}, {number} clips", file=sys.stderr)
        return OK
    found = workflow.evaluate_runs(
        runs, data, flags.by, [Path(file) for file in flags.scores], flags.key, flags.polarity
    )
    out = Path(flags.out) if flags.out else workflow.default_folder(found, runs, data, base)
    report = workflow.write_comparison(found, out)
    if flags.json:
        print(json.dumps(found.content, indent=2))
    else:
        metrics = [own.metrics for own in found.evaluations]
        for own in metrics:
            print_summary(own)
        if len(metrics) > 1:
            print_leaderboard(metrics, found.part, found.compared, found.warning)
    print(f"report: {report}", file=sys.stderr)
    return OK


def _check_flags(flags: argparse.Namespace) -> None:
    if not flags.run and not flags.scores:
        raise ValueError("something to evaluate is needed: --run NAME or --scores FILE.")
    if flags.data and flags.scores:
        raise ValueError("--data is scored by runs. Received: --scores too; evaluate them apart.")
    if flags.matrix:
        if flags.scores or flags.by:
            raise ValueError(
                "--matrix is of runs and corpora: neither --scores nor --by go with it."
            )
    elif flags.data and len(flags.data) > 1:
        raise ValueError(
            f"without --matrix, one corpus is evaluated at a time. Received: {len(flags.data)}."
        )
    if flags.submission and (len(flags.run) != 1 or not flags.data):
        raise ValueError(
            "--submission takes one --run and the --data whose hidden clips it scores. Received: "
            f"{len(flags.run)} runs, --data {flags.data and flags.data[0]}."
        )


if __name__ == "__main__":
    sys.exit(main())
