"""A search from its space to its best config: what `tfpipeline tune` does, in order.

1. The clips of train and validation are opened; no clip of another part is even decoded.
2. The config as it stands is tried (`run_start`), then what the algorithm proposes (`Trials`).
3. The best trial is compared with the start, and `best.yaml` is written (`finish_search`).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tfpipeline.config import Config
from tfpipeline.data.clips import check_parts
from tfpipeline.data.corpora import load_clips
from tfpipeline.data.opening import open_audio
from tfpipeline.data.split_rules import kept_apart
from tfpipeline.tuning.distributed import Role
from tfpipeline.tuning.finish import finish_search
from tfpipeline.tuning.objective import parse_objective
from tfpipeline.tuning.oracles import build_oracle
from tfpipeline.tuning.records import write_trials
from tfpipeline.tuning.reporting import tell_trial
from tfpipeline.tuning.search import Search, Trials, remove_checkpoints, run_start
from tfpipeline.tuning.space import SearchConfig
from tfpipeline.tuning.trial import LEARNT, TrialContext


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
    return Search(target, plan, base, context, role.name)


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
    if role.is_chief:
        print(f"waiting for workers: --worker ID --chief {role.address}", file=sys.stderr)
    Trials(search, oracle, announce).search()
    remove_checkpoints(search)
    return finish_search(search, time.monotonic() - begun)


def work_for_chief(base: Config, plan: SearchConfig, target: Path, role: Role) -> None:
    """Runs trials for a chief until it has no more."""
    search = open_search(base, plan, target, role)
    objective = search.context.objective
    print(f"worker {role.name} of {role.address}, search {target}", file=sys.stderr)
    Trials(
        search,
        build_oracle(plan, objective, base.seed),
        lambda trial: tell_trial(target, objective, trial),
    ).search()
