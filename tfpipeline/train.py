"""Trains a detector: `tfpipeline train --model cnn`.

Reads the corpus, fits a network, or a classifier on hand-made features, scores every part,
calibrates on validation, and leaves a run folder with scores, metrics, report and an exported
graph. `--model trees` trains the nine classifiers and compares them.
"""

from __future__ import annotations

import argparse
import json
import sys

from tfpipeline.cli import (
    INTERRUPTED,
    OK,
    CommandParser,
    add_config_flags,
    add_run_flag,
    config_from_flags,
    quiet_tensorflow,
    run_command,
    run_folder,
)

TREES = "trees"
RESUME = "Resume with the same command and --resume."


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.train", description=__doc__)
    add_config_flags(parser)
    add_run_flag(parser, "where the run goes (default: saved_models/<config's name>)")
    parser.add_argument("--overwrite", action="store_true", help="replace a complete run")
    parser.add_argument("--resume", action="store_true", help="resume a stopped run")
    parser.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="NAME[:PATH]",
        help="evaluate the run on this other corpus too, untouched till then; may be repeated",
    )
    parser.add_argument(
        "--allow-overlap",
        action="store_true",
        help="train though speakers or sources overlap between splits; sets data.allow_overlap",
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json instead of a table")
    flags = parser.parse_args(argv)
    if flags.allow_overlap:
        flags.overrides.append("data.allow_overlap=true")
    body = _train_trees if flags.model == TREES else _train_one
    return run_command(lambda: body(flags), f"stopped. {RESUME}")


def _train_one(flags: argparse.Namespace) -> int:
    config = config_from_flags(flags)
    target = run_folder(flags.run or config.name)
    quiet_tensorflow()
    from tfpipeline.reporting.tables import print_summary
    from tfpipeline.workflows.train import evaluate_on, train_run

    evaluation, interrupted = train_run(
        config, target, overwrite=flags.overwrite, resume=flags.resume, tests=flags.test
    )
    for metrics in (evaluation.metrics, *evaluate_on([target], flags.test)):
        print(json.dumps(metrics, indent=2)) if flags.json else print_summary(metrics)
    print(f"run: {target}   report: {target / 'report.html'}", file=sys.stderr)
    if interrupted:
        print(RESUME, file=sys.stderr)
        return INTERRUPTED
    return OK


def _train_trees(flags: argparse.Namespace) -> int:
    """The nine classifiers on the same clips and features, and their comparison."""
    if flags.config or flags.resume:
        raise ValueError("--model trees takes neither --config nor --resume: name one classifier.")
    quiet_tensorflow()
    from tfpipeline.models.families import FAMILIES
    from tfpipeline.reporting.tables import print_comparison, print_summary
    from tfpipeline.workflows.train import evaluate_on, train_classical

    # Options of one classifier are none of another's, so --set reaches what they share.
    configs = []
    for flags.model in [name for name, family in FAMILIES.items() if family.is_classical]:
        configs.append(config_from_flags(flags))
    base = run_folder(flags.run) if flags.run else None
    targets = [base / c.name if base else run_folder(c.name) for c in configs]
    evaluations, seconds = train_classical(configs, targets, flags.overwrite, flags.test)
    metrics = [own.metrics for own in evaluations]
    print(json.dumps(metrics, indent=2)) if flags.json else print_comparison(metrics, seconds)
    for other in evaluate_on(targets, flags.test):
        print(json.dumps(other, indent=2)) if flags.json else print_summary(other)
    return OK


if __name__ == "__main__":
    sys.exit(main())
