"""Trains a detector: `tfpipeline train --model cnn`.

Fits a network, or a classifier on hand-made features, and leaves a run folder with scores,
metrics, report and an exported graph. `--model trees` trains nine classifiers and compares them.
"""

from __future__ import annotations

import argparse
import sys

from tfpipeline.cli import (
    INTERRUPTED,
    OK,
    CommandParser,
    add_config_flags,
    add_target_flags,
    config_from_flags,
    end_process,
    print_result,
    run_command,
    run_folder,
)

TREES = "trees"
TEST = "evaluate the run on this other corpus too, untouched till then; may be repeated"
OVERLAP = "train though speakers or sources overlap between splits; sets data.allow_overlap"
RESUME = "Resume with the same command and --resume."


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.train", description=__doc__)
    add_config_flags(parser)
    add_target_flags(parser, "where the run goes (default: saved_models/<config's name>)")
    parser.add_argument("--test", action="append", default=[], metavar="NAME[:PATH]", help=TEST)
    parser.add_argument("--allow-overlap", action="store_true", help=OVERLAP)
    parser.add_argument("--json", action="store_true", help="print metrics.json instead of a table")
    flags = parser.parse_args(argv)
    if flags.allow_overlap:
        flags.overrides.append("data.allow_overlap=true")
    body = _train_trees if flags.model == TREES else _train_one
    return run_command(lambda: body(flags), f"stopped. {RESUME}")


def _train_one(flags: argparse.Namespace) -> int:
    config = config_from_flags(flags)
    target = run_folder(flags.run or config.name)
    from tfpipeline.reporting.tables import print_summary
    from tfpipeline.workflows.train import evaluate_on, train_run

    evaluation, interrupted = train_run(
        config, target, overwrite=flags.overwrite, resume=flags.resume, tests=flags.test
    )
    if evaluation is None:  # one of several machines, and not the chief
        return OK
    for metrics in (evaluation.metrics, *evaluate_on([target], flags.test)):
        print_result(metrics, flags.json, print_summary)
    print(f"run: {target}   report: {target / 'report.html'}", file=sys.stderr)
    if interrupted:
        print(RESUME, file=sys.stderr)
    return INTERRUPTED if interrupted else OK


def _train_trees(flags: argparse.Namespace) -> int:
    if flags.resume:
        raise ValueError("--model trees does not take --resume. Name one classifier.")
    from tfpipeline.reporting.tables import print_comparison, print_summary
    from tfpipeline.workflows.train import classical_models, evaluate_on, train_classical

    # Options of one classifier are none of another's, so --set reaches what they share.
    configs = [config_from_flags(flags, model) for model in classical_models()]
    base = run_folder(flags.run) if flags.run else None
    targets = [base / c.name if base else run_folder(c.name) for c in configs]
    evaluations, seconds = train_classical(configs, targets, flags.overwrite, flags.test)
    metrics = [evaluation.metrics for evaluation in evaluations]
    print_result(metrics, flags.json, lambda metrics: print_comparison(metrics, seconds))
    for other in evaluate_on(targets, flags.test):
        print_result(other, flags.json, print_summary)
    return OK


if __name__ == "__main__":
    end_process(main())
