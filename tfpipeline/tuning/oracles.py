"""keras-tuner's algorithms, with a state that survives a kill, and a budget.

keras-tuner writes its state in place, saves a trial that ended as one that runs, and ends a search
after three failures in a row; here files are whole or absent, what ended stays ended, and failures
are only counted. It calls a space exhausted after twenty draws that were tried before, or, once the
Bayesian search trusts its model, never; here no setting is tried twice, and a search ends when all
have been. It waits forever for a worker that died; here the trial is given to another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner import synchronized
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle

from tfpipeline.files.atomic import write_text
from tfpipeline.tuning.objective import Objective
from tfpipeline.tuning.settings import hyperparameters, setting_of, untried_setting
from tfpipeline.tuning.space import Parameter, SearchConfig

NEVER = 2**31  # failures in a row that would end a search


class ResumableOracle:
    """What every oracle here does otherwise than keras-tuner's; mixed in before it.

    Attributes:
        space: the parameters, which tell whether two draws are one setting.
        deadline: of `time.monotonic()`, after which no trial begins; None: none.
        announce: called with the id of a trial that has ended.
        clock: seconds, by which workers are heard.
        heard: worker → when it last asked for something.
    """

    space: Sequence[Parameter] = ()
    deadline: float | None = None
    announce: Callable[[str], None] | None = None
    clock: Callable[[], float] = staticmethod(time.monotonic)
    heard: dict[str, float]

    @property
    def is_over(self) -> bool:
        """Whether the time is."""
        return self.deadline is not None and time.monotonic() > self.deadline

    @property
    def exhausted(self) -> bool:
        """Whether every setting of the space has been given to a trial."""
        return untried_setting(self.space, self.tried) is None

    @property
    def tried(self) -> set[str]:
        """The settings of all trials, those that run among them."""
        drawn = [trial.hyperparameters.values for trial in self.trials.values()]
        return {setting_of(self.space, values) for values in drawn}

    def populate_space(self, trial_id: str) -> dict:
        """The next values, or that there are none since the time is over."""
        return {"status": TrialStatus.STOPPED} if self.is_over else super().populate_space(trial_id)

    def _duplicate(self, values: dict[str, Any]) -> bool:
        return setting_of(self.space, values) in self.tried

    def _random_values(self) -> dict[str, Any] | None:
        """Values of an untried setting; None where there is none, however rarely it is drawn."""
        return super()._random_values() or untried_setting(self.space, self.tried)

    @synchronized
    def create_trial(self, tuner_id: str):
        """The next trial of a worker; none is dismissed while others run.

        One of those may die, and its trial is given to who is still there.
        """
        self.heard[tuner_id] = self.clock()
        trial = super().create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            trial.status = TrialStatus.IDLE
            self.tuner_ids.add(tuner_id)
        return trial

    def get_trial(self, trial_id: str):
        """A trial; its worker asks for it now and then as a sign of life."""
        for worker, trial in list(self.ongoing_trials.items()):
            if trial.trial_id == trial_id:
                self.heard[worker] = self.clock()
        return super().get_trial(trial_id)

    @synchronized
    def release_silent(self, seconds: float) -> dict[str, str | None]:
        """Forgets workers that were silent for so long; others are given their trials.

        Returns:
            Worker → id of its trial; None if it had none.
        """
        since = self.clock() - seconds
        silent = {
            name for name in self.tuner_ids | set(self.ongoing_trials) if self.heard[name] < since
        }
        released = {}
        for worker in sorted(silent):
            self.tuner_ids.discard(worker)
            trial = self.ongoing_trials.pop(worker, None)
            released[worker] = trial.trial_id if trial else None
            if trial:
                self._retry_queue.append(trial.trial_id)
        if released:
            self.save()
        return released

    def end_trial(self, trial) -> None:
        """Records the end of a trial, whatever it was."""
        if trial.trial_id in self.end_order:  # of two workers, the first of which was only silent
            return
        if trial.trial_id in self._retry_queue:  # its worker was silent, not dead
            self._retry_queue.remove(trial.trial_id)
        super().end_trial(trial)
        if self.announce is not None:
            self.announce(trial.trial_id)

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        write_text(self._get_oracle_fname(), json.dumps(self.get_state()))

    def reload(self) -> None:
        """Reads the state; a trial that ran when the search was killed is run again."""
        super().reload()
        # A kill between two files leaves a trial that no algorithm knows: its id is given again.
        for trial_id in set(self.trials) - set(self.start_order):
            del self.trials[trial_id]
        ended = {trial_id for trial_id in self.end_order if trial_id in self.trials}
        self._retry_queue = [trial_id for trial_id in self._retry_queue if trial_id not in ended]

    def _save_trial(self, trial) -> None:
        folder = Path(self._get_trial_dir(trial.trial_id))
        write_text(folder / "trial.json", json.dumps(trial.get_state()))


class Hyperband(ResumableOracle, HyperbandOracle):
    """Many trials for few epochs, the best of them for more."""

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        """How many trials a round has: no more than there are settings, and that have not failed.

        keras-tuner's waits for the others forever, and trains none to the end.
        """
        size = super()._get_size(bracket_num, round_num)
        bracket = next(entry for entry in self._brackets if entry["bracket_num"] == bracket_num)
        trials = [entry["id"] for entry in bracket["rounds"][round_num]]
        if round_num:
            size = min(size, self._get_size(bracket_num, round_num - 1))
        elif len(trials) < size and self.exhausted:
            size = len(trials)
        if len(trials) < size:
            return size
        return size - sum(self.trials[trial_id].status == TrialStatus.FAILED for trial_id in trials)


class Bayesian(ResumableOracle, BayesianOptimizationOracle):
    """A Gaussian process over the trials so far proposes the next one."""

    def populate_space(self, trial_id: str) -> dict:
        """The next values; random ones where the process proposes what has been tried."""
        proposed = super().populate_space(trial_id)
        if proposed["status"] == TrialStatus.RUNNING and self._duplicate(proposed["values"]):
            return self._random_populate_space()
        return proposed


class Random(ResumableOracle, RandomSearchOracle):
    """Values drawn at random."""


class Grid(ResumableOracle, keras_tuner.Oracle):
    """Every setting of the space, each once; the last parameter changes first.

    Not keras-tuner's: that takes ten points of a logarithmic range of integers for all of them.
    """

    def populate_space(self, trial_id: str) -> dict:
        """The next setting, or that there are none."""
        values = None if self.is_over else untried_setting(self.space, self.tried)
        status = TrialStatus.STOPPED if values is None else TrialStatus.RUNNING
        return {"status": status, "values": values}


def build_oracle(plan: SearchConfig, objective: Objective, seed: int) -> ResumableOracle:
    """The algorithm of a plan whose budget `check_budget` has passed.

    Args:
        plan: of the search.
        objective: of the search.
        seed: of the draws.
    """
    common = {
        "objective": keras_tuner.Objective(objective.name, objective.direction),
        "hyperparameters": hyperparameters(plan.space),
        # keras-tuner takes 0 for no seed, and NumPy no more than 32 bits.
        "seed": min(seed + 1, 2**32 - 1),
        "max_consecutive_failed_trials": NEVER,
    }
    if plan.algorithm == "hyperband":
        oracle = Hyperband(max_epochs=plan.max_epochs, factor=plan.factor, **common)
    elif plan.algorithm == "bayesian":
        oracle = Bayesian(
            max_trials=plan.max_trials, num_initial_points=plan.initial_trials, **common
        )
    else:
        kind = Grid if plan.algorithm == "grid" else Random
        oracle = kind(max_trials=plan.max_trials, **common)
    oracle.verbose = 0
    oracle.space, oracle.heard = plan.space, {}
    if plan.max_minutes is not None:
        oracle.deadline = time.monotonic() + 60 * plan.max_minutes
    return oracle
