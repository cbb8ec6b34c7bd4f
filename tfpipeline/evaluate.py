"""Evaluates runs and score files: `python -m tfpipeline.evaluate --run cnn`.

Runs are judged on their own scores, or with --data on another corpus, which they score first; score
files of other systems go through the same figures. Leaves `metrics.json` and `report.html`.
With --matrix, every run is judged on every corpus: a table of AUC and EER, and a heat map. With
--pooled, one system on several data sets: EER of each, their mean, and of all at one threshold.
With --robustness, a run on degraded recordings: codecs, noise, rooms, filters, one by one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tfpipeline.cli import (
    OK,
    SAVED_MODELS,
    SOME_FAILED,
    CommandParser,
    quiet_tensorflow,
    run_command,
    run_folder,
)

MANY = {"nargs": "+", "default": []}
DATA = {"action": "append", "default": [], "metavar": "NAME[:PATH]"}
FLAGS = {
    "--run": {**MANY, "metavar": "NAME-or-folder", "help": "runs"},
    "--scores": {**MANY, "metavar": "FILE", "help": "score files"},
    "--key": {**MANY, "metavar": "FILE", "help": "labels of score files: one for all, or each"},
    "--subset": {"metavar": "NAME-or-file", "help": "trials of the key that count (default: eval)"},
    "--polarity": {"choices": ("spoof", "bonafide"), "help": "what a high score in a file means"},
    "--logits": {"choices": ("spoof-bonafide", "bonafide-spoof"), "help": "order of two logits"},
    "--data": {**DATA, "help": "what runs score first; --matrix and --pooled take several"},
    "--matrix": {"action": "store_true", "help": "each run on each corpus (default: of training)"},
    "--pooled": {"action": "store_true", "help": "EER of each data set, their mean, and pooled"},
    "--robustness": {
        **{"nargs": "?", "const": "all", "metavar": "KINDS"},
        "help": "on degraded clips; some kinds alone: mp3,noise",
    },
    "--by": {**MANY, "metavar": "COLUMN", "help": "columns to break down by"},
    "--out": {"metavar": "FOLDER", "help": "default: the run's, or below saved_models/evaluations"},
    "--submission": {"metavar": "FILE", "help": "write id,is_tts for the hidden labels of --data"},
    "--json": {"action": "store_true", "help": "print what is written as JSON instead of tables"},
}


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and evaluates; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.evaluate", description=__doc__)
    for name, options in FLAGS.items():
        parser.add_argument(name, **options)
    flags = parser.parse_args(argv)
    return run_command(lambda: _evaluate(flags))


def _evaluate(flags: argparse.Namespace) -> int:
    quiet_tensorflow()
    from tfpipeline.reporting.corpus_tables import print_matrix
    from tfpipeline.reporting.tables import print_evaluations, print_pooled
    from tfpipeline.runs.run import open_run
    from tfpipeline.workflows import evaluate as workflow
    from tfpipeline.workflows.score_files import ScoreFiles, pool, write_pooled

    files = ScoreFiles(flags.scores, flags.key, flags.polarity, flags.subset, flags.logits)
    kinds = [
        name for name in ("matrix", "pooled", "submission", "robustness") if getattr(flags, name)
    ]
    workflow.check_request(flags.run, flags.data, files, kinds, flags.by)
    runs = [open_run(run_folder(name)) for name in flags.run]
    if flags.submission:
        number = workflow.write_hidden_scores(runs[0], flags.data[0], flags.submission)
        print(f"submission: {flags.submission}, {number} clips", file=sys.stderr)
        return OK
    if flags.robustness:
        return _robustness(flags, runs[0])
    default = workflow.default_folder(runs, flags.scores, flags.data, kinds, SAVED_MODELS)
    out, complete = Path(flags.out or default), True
    if flags.matrix:
        content = workflow.evaluate_matrix(runs, flags.data, out)
        left, show = f"matrix: {out / 'matrix.csv'}, {out / 'matrix.png'}", print_matrix
    elif flags.pooled:
        content, complete = pool(runs, flags.data, files)
        left, show = f"pooled: {write_pooled(content, out)}", print_pooled
    else:
        found = workflow.evaluate_runs(runs, next(iter(flags.data), None), flags.by, files)
        content, complete = found.content, found.complete
        left, show = f"report: {workflow.write_comparison(found, out)}", print_evaluations
    print(json.dumps(content, indent=2)) if flags.json else show(content)
    print(left, file=sys.stderr)
    return OK if complete else SOME_FAILED


def _robustness(flags: argparse.Namespace, run) -> int:
    from tfpipeline.reporting.robustness import print_robustness
    from tfpipeline.workflows.robustness import evaluate_robustness, robustness_folder

    kinds = () if flags.robustness == "all" else tuple(flags.robustness.split(","))
    data = next(iter(flags.data), None)
    out = Path(flags.out or robustness_folder(run, data))
    content = evaluate_robustness(run, data, kinds, out)
    print(json.dumps(content, indent=2)) if flags.json else print_robustness(content)
    print(f"report: {out / 'report.html'}", file=sys.stderr)
    return OK


if __name__ == "__main__":
    sys.exit(main())
