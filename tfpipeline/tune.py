"""Searches for better settings: `python -m tfpipeline.tune --model cnn`.

Tries configs out of the space in configs/tune_<model>.yaml on the train and validation parts alone,
and leaves trials.csv, pictures and best.yaml, a config for `tfpipeline.train`. A search that was
stopped or killed resumes with --resume. With --chief and --worker several processes or machines
share one search, and one folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tfpipeline.cli import (
    OK,
    CommandParser,
    add_config_flags,
    add_run_flag,
    config_from_flags,
    quiet_tensorflow,
    run_command,
    run_folder,
)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and searches; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.tune", description=__doc__)
    add_config_flags(parser)
    add_run_flag(parser, "where the search goes (default: saved_models/tune_<config's name>)")
    parser.add_argument("--space", metavar="FILE", help="default: configs/tune_<model>.yaml")
    parser.add_argument("--algorithm", choices=("hyperband", "bayesian", "random"))
    parser.add_argument(
        "--objective",
        metavar="FIGURE",
        help="auc, eer, min_dcf, … or worst:COLUMN, the AUC of the worst group (default: auc)",
    )
    parser.add_argument("--max-trials", type=int, metavar="N", help="bayesian and random")
    parser.add_argument("--max-epochs", type=int, metavar="N", help="of one network")
    parser.add_argument(
        "--max-minutes", type=float, metavar="M", help="no trial begins after so many"
    )
    parser.add_argument(
        "--folds",
        type=int,
        metavar="N",
        help="by speaker: a classifier's trials are judged on them, a network's best trial is "
        "compared with its start; 0: the validation part alone",
    )
    parser.add_argument("--chief", metavar="HOST:PORT", help="share the search: where its chief is")
    parser.add_argument("--worker", metavar="ID", help="run trials for that chief")
    parser.add_argument(
        "--then-train", action="store_true", help="train best.yaml as saved_models/<name>_tuned"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a search")
    parser.add_argument("--resume", action="store_true", help="resume a stopped search")
    parser.add_argument("--json", action="store_true", help="print search.json instead of a table")
    flags = parser.parse_args(argv)
    again = "with the same id" if flags.worker else "and --resume"
    return run_command(lambda: _tune(flags), f"stopped. Resume with the same command {again}.")


def _tune(flags: argparse.Namespace) -> int:
    config = config_from_flags(flags)
    plan = _plan(flags)
    target = run_folder(flags.run or f"tune_{config.name}")
    quiet_tensorflow()

    from tfpipeline.models.families import find_family
    from tfpipeline.tuning.distributed import check_space, start_search, take_role, wait_for_chief
    from tfpipeline.tuning.finish import tuned_name
    from tfpipeline.tuning.oracles import check_budget
    from tfpipeline.tuning.records import read_records
    from tfpipeline.tuning.reporting import print_search
    from tfpipeline.tuning.search import base_config
    from tfpipeline.workflows.tune import run_search, work_for_chief

    classifier = find_family(config.model.name).is_classical
    check_budget(plan, classifier)
    plan = (
        plan if classifier else replace(plan, max_epochs=plan.max_epochs or config.training.epochs)
    )
    base = base_config(config, plan, classifier)
    check_space(base, plan)
    trained = target.parent / tuned_name(base)
    if flags.then_train and trained.exists() and not flags.overwrite:
        raise ValueError(f"--then-train would replace {trained}. Allow it with --overwrite.")
    role = take_role(flags.chief, flags.worker)
    if role.is_worker:
        wait_for_chief(target, plan, base.model_dump(mode="json"))
        work_for_chief(base, plan, target, role)
        return OK
    start_search(target, plan, base.model_dump(mode="json"), flags.resume, flags.overwrite)
    summary = run_search(base, plan, target, role)
    if flags.json:
        print(json.dumps(summary, indent=2))
    else:
        print_search(read_records(target), summary)
    print(f"search: {target}   config: {target / 'best.yaml'}", file=sys.stderr)
    return _then_train(flags, target / "best.yaml", trained) if flags.then_train else OK


def _plan(flags: argparse.Namespace):
    """The plan of the space file, with what the flags say laid over it."""
    from tfpipeline.config import CONFIGS
    from tfpipeline.tuning.space import read_plan

    stem = flags.model or Path(flags.config).stem
    plan = read_plan(flags.space or CONFIGS / f"tune_{stem}.yaml")
    names = ("algorithm", "objective", "max_trials", "max_epochs", "max_minutes", "folds")
    own = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    if own.get("algorithm") == "hyperband":
        plan = replace(plan, max_trials=None)  # the file's, meant for the file's algorithm
    return replace(plan, **own)


def _then_train(flags: argparse.Namespace, best: Path, trained: Path) -> int:
    """`tfpipeline.train` on the best config, in a process of its own."""
    command = [sys.executable, "-m", "tfpipeline.train", "--config", str(best)]
    command += ["--run", str(trained)]
    command += ["--overwrite"] if flags.overwrite else []
    # Its tables go to stderr, where --json has stdout for itself.
    return subprocess.run(command, stdout=sys.stderr if flags.json else None).returncode


if __name__ == "__main__":
    sys.exit(main())
