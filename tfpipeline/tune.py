"""Searches for better settings: `python -m tfpipeline.tune --model cnn`.

Tries configs out of the space in configs/tune_<model>.yaml on the train and validation parts alone,
and leaves trials.csv, pictures and best.yaml, a config for `tfpipeline.train`. A search that was
stopped or killed resumes with --resume. With --chief and --worker several processes or machines
share one search, and one folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tfpipeline.cli import (
    OK,
    CommandParser,
    add_config_flags,
    add_run_flag,
    config_from_flags,
    print_result,
    run_command,
    run_folder,
)

NUMBER = {"type": int, "metavar": "N"}
MINUTES = {"type": float, "metavar": "M"}
YES = {"action": "store_true"}
METRICS = "auc, eer, min_dcf, … or worst:COLUMN, the AUC of the worst group (default: auc)"
FOLDS = "by speaker, to judge a classifier's trials and a network's best; 0: the validation part"
PLAN = {
    "algorithm": {"choices": ("hyperband", "bayesian", "random", "grid")},
    "objective": {"metavar": "METRIC", "help": METRICS},
    "max-trials": {**NUMBER, "help": "for all but hyperband"},
    "max-epochs": {**NUMBER, "help": "of one network"},
    "max-minutes": {**MINUTES, "help": "no trial begins after so many"},
    "folds": {**NUMBER, "help": FOLDS},
}
OTHERS = {
    "space": {"metavar": "FILE", "help": "default: configs/tune_<model>.yaml"},
    "chief": {"metavar": "HOST:PORT", "help": "share the search: where its chief is"},
    "worker": {"metavar": "ID", "help": "run trials for that chief"},
    "wait-minutes": {**MINUTES, "help": "chief and workers wait for each other (default: 60)"},
    "then-train": {**YES, "help": "train best.yaml as saved_models/<name>_tuned"},
    "overwrite": {**YES, "help": "replace a search"},
    "resume": {**YES, "help": "resume a stopped search"},
    "json": {**YES, "help": "print search.json instead of a table"},
}


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and searches; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.tune", description=__doc__)
    add_config_flags(parser)
    add_run_flag(parser, "where the search goes (default: saved_models/tune_<config's name>)")
    for name, options in {**PLAN, **OTHERS}.items():
        parser.add_argument(f"--{name}", **options)
    flags = parser.parse_args(argv)
    again = "with the same id" if flags.worker else "and --resume"
    return run_command(lambda: _tune(flags), f"stopped. Resume with the same command {again}.")


def _tune(flags: argparse.Namespace) -> int:
    config = config_from_flags(flags)
    target = run_folder(flags.run or f"tune_{config.name}")
    from tfpipeline.tuning.distributed import take_role
    from tfpipeline.tuning.records import read_records
    from tfpipeline.tuning.reporting import print_search
    from tfpipeline.workflows import tune as workflow

    names = [name.replace("-", "_") for name in PLAN]
    changes = {name: getattr(flags, name) for name in names}
    plan = workflow.plan_search(flags.space, flags.model or Path(flags.config).stem, changes)
    trained = workflow.tuned_folder(config, target, flags.overwrite) if flags.then_train else None
    role = take_role(flags.chief, flags.worker, flags.wait_minutes)
    summary = workflow.tune(config, plan, target, role, flags.resume, flags.overwrite)
    if summary is None:
        return OK  # a worker's; the chief prints it
    print_result(summary, flags.json, lambda result: print_search(read_records(target), result))
    print(f"search: {target}   config: {target / 'best.yaml'}", file=sys.stderr)
    if trained is None:
        return OK
    # Its tables go to stderr, where --json has stdout for itself.
    return workflow.train_best(target, trained, flags.overwrite, sys.stderr if flags.json else None)


if __name__ == "__main__":
    sys.exit(main())
