"""A search from its space to its best config: what `tfpipeline tune` does, in order.

1. The plan is checked against the config, and the search's folder is made (`tune`).
2. The clips of train and validation are opened; no clip of another part is even decoded.
3. The config as it stands is tried (`run_start`), then what the algorithm proposes (`Trials`).
4. The best trial is compared with the start, and `best.yaml` is written (`finish_search`).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfpipeline.config import CONFIGS, Config
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import check_parts
from tfpipeline.data.corpora import load_clips
from tfpipeline.data.splits import kept_apart
from tfpipeline.models.families import find_family
from tfpipeline.tuning.distributed import Role, chief_answers, serve_oracle
from tfpipeline.tuning.finish import BEST, finish_search, tuned_name
from tfpipeline.tuning.objective import parse_objective
from tfpipeline.tuning.oracles import build_oracle
from tfpipeline.tuning.records import write_trials
from tfpipeline.tuning.reporting import tell_trial
from tfpipeline.tuning.search import Search, Trials, base_config, remove_checkpoints, run_start
from tfpipeline.tuning.space import SearchConfig, read_plan
from tfpipeline.tuning.start import check_budget, check_space, start_search, wait_for_chief
from tfpipeline.tuning.trial import LEARNT, TrialContext


def plan_search(space: str | Path | None, stem: str, changes: Mapping[str, Any]) -> SearchConfig:
    """The plan of a space file, with changes laid over it; those that are None change nothing.

    Args:
        space: the file; None: `tune_<stem>.yaml`, beside the configs.
        stem: of the config's file.
        changes: field → value.
    """
    plan = read_plan(space or CONFIGS / f"tune_{stem}.yaml")
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes.get("algorithm") == "hyperband":
        plan = replace(plan, max_trials=None)  # the file's, meant for the file's algorithm
    return replace(plan, **changes)


def tune(
    config: Config,
    plan: SearchConfig,
    target: Path,
    role: Role,
    resume: bool = False,
    overwrite: bool = False,
) -> dict | None:
    """Searches, or runs trials for the chief of a search.

    Args:
        config: to start from.
        plan: of the search.
        target: folder of the search.
        role: of this process.
        resume: a stopped search.
        overwrite: replace a search.
    Returns:
        The content of `search.json`; None of a worker.
    Raises:
        ValueError: settings that do not go together, or no trial completed.
        OSError: the chief, or every worker, was silent for too long.
    """
    classifier = find_family(config.model.name).is_classical
    check_budget(plan, classifier)
    if not classifier:
        plan = replace(plan, max_epochs=plan.max_epochs or config.training.epochs)
    base = base_config(config, plan, classifier)
    check_space(base, plan)
    settings = base.model_dump(mode="json")
    if role.is_worker:
        wait_for_chief(target, plan, settings, role.wait_seconds)
        work_for_chief(base, plan, target, role)
        return None
    start_search(target, plan, settings, resume, overwrite)
    return run_search(base, plan, target, role)


def open_search(base: Config, plan: SearchConfig, target: Path, role: Role) -> Search:
    """The search over the train and validation parts; no clip of another part is even decoded."""
    clips = load_clips(base.data)
    check_parts(clips, base.data.corpus_name, kept_apart(base.data))
    clips = clips[clips["part"].isin(LEARNT)].reset_index(drop=True)
    objective = parse_objective(plan.objective, clips[clips["part"] == "validation"])
    clips, audio, skipped = open_audio(clips, base.data.cache, base.data.decoder)
    if len(skipped):
        print(f"{len(skipped)} clips cannot be used and are left out", file=sys.stderr)
    context = TrialContext(clips, audio, objective, plan.folds, base.seed)
    return Search(target, plan, base, context, role)


def run_search(base: Config, plan: SearchConfig, target: Path, role: Role) -> dict:
    """Runs the search, alone or as the chief, and what follows it."""
    begun = time.monotonic()
    search = open_search(base, plan, target, role)
    objective = search.context.objective

    def announce(trial: str) -> None:
        tell_trial(target, objective, trial)
        write_trials(target, [parameter.key for parameter in plan.space])

    run_start(search, announce)
    oracle = build_oracle(plan, objective, base.seed)
    oracle.announce = announce
    trials = Trials(search, oracle, announce)
    if role.is_chief:
        print(f"waiting for workers: --worker ID --chief {role.address}", file=sys.stderr)
        serve_oracle(oracle, role)
    else:
        trials.search()
    remove_checkpoints(search)
    settings = len(oracle.tried) if oracle.exhausted else None
    return finish_search(search, time.monotonic() - begun, settings)


def work_for_chief(base: Config, plan: SearchConfig, target: Path, role: Role) -> None:
    """Runs trials for a chief until it has no more."""
    search = open_search(base, plan, target, role)
    objective = search.context.objective
    print(f"worker {role.name} of {role.address}, search {target}", file=sys.stderr)
    oracle = build_oracle(plan, objective, base.seed)
    with chief_answers(role):
        Trials(search, oracle, lambda trial: tell_trial(target, objective, trial)).search()


def tuned_folder(config: Config, target: Path, overwrite: bool) -> Path:
    """Where the run of a search's best config goes.

    Raises:
        ValueError: there is one, and it is not to be replaced.
    """
    trained = target.parent / tuned_name(config)
    if trained.exists() and not overwrite:
        raise ValueError(f"--then-train would replace {trained}. Allow it with --overwrite.")
    return trained


def train_best(target: Path, trained: Path, overwrite: bool, output: Any = None) -> int:
    """`tfpipeline.train` on the best config, in a process of its own.

    Args:
        target: folder of the search.
        trained: of the run.
        overwrite: replace a run.
        output: the file that takes its tables; None: stdout.
    Returns:
        Its exit code.
    """
    command = [sys.executable, "-m", "tfpipeline.train", "--config", str(target / BEST)]
    command += ["--run", str(trained)]
    command += ["--overwrite"] if overwrite else []
    return subprocess.run(command, stdout=output).returncode
