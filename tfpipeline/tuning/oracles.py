"""keras-tuner's algorithms, with a state that survives a kill, and a budget.

keras-tuner writes its state in place, saves a trial that ended as one that runs, and ends a search
after three failures in a row; here files are whole or absent, what ended stays ended, and failures
are only counted. Choices travel as JSON text: keras-tuner knows no lists, and its wire format turns
true into 1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, HyperbandOracle, RandomSearchOracle

from tfpipeline.files.atomic import write_text
from tfpipeline.tuning.objective import Objective
from tfpipeline.tuning.space import Parameter, SearchConfig, active, rounded

SLACK = 1e-3  # of a step
NEVER = 2**31  # failures in a row that would end a search


class ResumableOracle:
    """What every oracle here does otherwise than keras-tuner's; mixed in before it.

    Attributes:
        deadline: of `time.monotonic()`, after which no trial begins; None: none.
        announce: called with the id of a trial that has ended.
    """

    deadline: float | None = None
    announce: Callable[[str], None] | None = None

    def populate_space(self, trial_id: str) -> dict:
        """The next values, or that there are none since the time is over."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            return {"status": TrialStatus.STOPPED}
        return super().populate_space(trial_id)

    def end_trial(self, trial) -> None:
        """Records the end of a trial, whatever it was."""
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
        self._retry_queue = [own for own in self._retry_queue if own not in ended]

    def _save_trial(self, trial) -> None:
        folder = Path(self._get_trial_dir(trial.trial_id))
        write_text(folder / "trial.json", json.dumps(trial.get_state()))


class Hyperband(ResumableOracle, HyperbandOracle):
    """Many trials for few epochs, the best of them for more."""


class Bayesian(ResumableOracle, BayesianOptimizationOracle):
    """A Gaussian process over the trials so far proposes the next one."""


class Random(ResumableOracle, RandomSearchOracle):
    """Values drawn at random."""


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
        oracle = Random(max_trials=plan.max_trials, **common)
    oracle.verbose = 0
    if plan.max_minutes is not None:
        oracle.deadline = time.monotonic() + 60 * plan.max_minutes
    return oracle


def check_budget(plan: SearchConfig, classifier: bool) -> None:
    """Refuses a budget that the algorithm, or the model, cannot keep.

    Raises:
        ValueError: one does not go with the other; the message says why.
    """
    for name in ("max_trials", "max_epochs", "max_minutes", "initial_trials"):
        value = getattr(plan, name)
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be more than 0. Received: {value}")
    if plan.factor < 2:
        raise ValueError(f"factor must be 2 or more. Received: {plan.factor}")
    if classifier and plan.algorithm == "hyperband":
        raise ValueError(
            "hyperband prunes by epochs, and a classifier has none. Received: hyperband for a "
            "classifier. Try --algorithm bayesian or random."
        )
    if classifier and plan.max_epochs is not None:
        raise ValueError(
            "a classifier is not trained by epochs; its budget is --max-trials or --max-minutes. "
            f"Received: max_epochs {plan.max_epochs}."
        )
    if plan.algorithm == "hyperband" and plan.max_trials is not None:
        raise ValueError(
            "hyperband counts epochs: how many trials there are follows from --max-epochs and "
            f"factor. Received: max_trials {plan.max_trials}. Set --max-epochs or --max-minutes."
        )
    if plan.algorithm != "hyperband" and plan.max_trials is None and plan.max_minutes is None:
        raise ValueError(f"{plan.algorithm} needs an end: set --max-trials or --max-minutes.")


def hyperparameters(space: Sequence[Parameter]) -> keras_tuner.HyperParameters:
    """The space in keras-tuner's terms."""
    found = keras_tuner.HyperParameters()
    for parameter in space:
        _declare(found, parameter, list(parameter.when))
    return found


def values_of(space: Sequence[Parameter], drawn: dict[str, Any]) -> dict[str, Any]:
    """Config key → value, of what an algorithm drew; parameters that do not apply are left out."""
    values: dict[str, Any] = {}
    for parameter in space:
        if parameter.key not in drawn or not active(parameter, values):
            continue
        own = drawn[parameter.key]
        if parameter.kind == "choice":
            own = next(value for value in parameter.values if _text(value) == own)
        values[parameter.key] = rounded(parameter, own)
    return values


def _declare(found: keras_tuner.HyperParameters, parameter: Parameter, when: list) -> None:
    if when:
        key, allowed = when[0]
        with found.conditional_scope(key, [_text(value) for value in allowed]):
            _declare(found, parameter, when[1:])
        return
    if parameter.kind == "choice":
        found.Choice(parameter.key, [_text(value) for value in parameter.values])
        return
    declare = found.Int if parameter.kind == "int" else found.Float
    low, high = parameter.values
    sampling = "log" if parameter.log else "linear"
    if parameter.kind == "float" and parameter.step:
        # keras-tuner divides the range by the step without allowance for rounding, and 0.1 … 1 in
        # steps of 0.1 ended at 0.9; `rounded` keeps what is drawn inside the range.
        high = high * parameter.step**SLACK if parameter.log else high + SLACK * parameter.step
    declare(parameter.key, low, high, step=parameter.step, sampling=sampling)


def _text(value: Any) -> str:
    return json.dumps(value)
