"""The search itself: an algorithm proposes, trials are run and recorded, failures included."""

from __future__ import annotations

import contextlib
import functools
import io
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from tfpipeline.config import Config
from tfpipeline.runs import layout
from tfpipeline.tuning.distributed import Role, signs_of_life
from tfpipeline.tuning.oracles import ResumableOracle
from tfpipeline.tuning.records import (
    START,
    TRIALS,
    Record,
    read_record,
    record_path,
    trial_folder,
    write_record,
)
from tfpipeline.tuning.settings import values_of
from tfpipeline.tuning.space import SearchConfig
from tfpipeline.tuning.trial import TrialContext, evaluate_trial

IDLE_SECONDS = 0.5  # between two requests of a worker that is given nothing to do


@dataclass(frozen=True)
class Search:
    """What the trials of a search have in common.

    Attributes:
        folder: of the search; several machines share it.
        plan: of the search.
        base: the config that it starts from; a network's has the plan's epochs.
        context: that judges.
        role: of this process.
    """

    folder: Path
    plan: SearchConfig
    base: Config
    context: TrialContext
    role: Role


def base_config(config: Config, plan: SearchConfig, classifier: bool) -> Config:
    """The config that a search starts from: with its budget of epochs, and without event files."""
    if classifier:
        return config
    epochs = plan.max_epochs or config.training.epochs
    return config.replace({"training.epochs": epochs, "training.tensorboard": False})


def run_start(search: Search, announce: Callable[[str], None]) -> Record:
    """Judges the config that the search starts from as a trial; a finished one is not run again.

    Raises:
        ValueError: it fails.
    """
    record = _recorded(search, START, {}, None, None)
    announce(START)
    if record.status == "failed":
        raise ValueError(
            f"the config that the search starts from must work. Received: {record.error}. "
            f"Record: {record_path(search.folder, START)}"
        )
    return record


class Trials(BaseTuner):
    """keras-tuner's tuner, which keeps the state, with trials and a loop of ours.

    Args:
        search: what the trials have in common.
        oracle: the algorithm.
        announce: called with the id of a trial that this process ran as another's worker.
    """

    def __init__(self, search: Search, oracle: ResumableOracle, announce: Callable[[str], None]):
        self.shared, self.announce = search, announce
        # Every trial traces its graphs anew, which TensorFlow would warn of.
        tf.get_logger().setLevel("ERROR")
        with contextlib.redirect_stdout(io.StringIO()):  # "Reloading Tuner from …"
            super().__init__(oracle, directory=str(search.folder), project_name=TRIALS)
        self.save()  # so that a search killed in its first trial resumes with it

    def search(self) -> None:
        """Runs trials until the algorithm has no more.

        Not keras-tuner's loop: that asks without a pause while it is given nothing, prints the
        traceback of each failure, and takes a chief that is gone for a trial that failed.
        """
        while True:
            trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == TrialStatus.STOPPED:
                return
            if trial.status == TrialStatus.IDLE:
                time.sleep(IDLE_SECONDS)
                continue
            record = self.run_trial(trial)
            if record.status == "completed":
                trial.status = TrialStatus.COMPLETED
                figures = {self.shared.context.objective.name: record.objective}
                self.oracle.update_trial(trial.trial_id, figures)
            else:
                trial.status, trial.message = TrialStatus.FAILED, record.error
            self.oracle.end_trial(trial)
            self.save()
            if self.shared.role.is_worker:  # else the oracle announces it
                self.announce(trial.trial_id)

    def run_trial(self, trial) -> Record:
        """Runs and records one trial, whatever comes of it."""
        drawn = trial.hyperparameters.values
        values = values_of(self.shared.plan.space, drawn)
        before = drawn.get("tuner/trial_id")
        with contextlib.ExitStack() as stack:
            if self.shared.role.is_worker:
                sign = functools.partial(self.oracle.get_trial, trial.trial_id)
                stack.enter_context(signs_of_life(sign, self.shared.role))
            epochs = drawn.get("tuner/epochs")
            return _recorded(self.shared, trial.trial_id, values, epochs, before)


def _recorded(
    search: Search, trial: str, values: dict[str, Any], until: int | None, before: str | None
) -> Record:
    """Runs a trial, whatever comes of it, and writes its record and log."""
    known = read_record(search.folder, trial)
    if known and (known.status, known.values, known.continues) == (
        "completed",
        _plain(values),
        before,
    ):
        return known  # killed between its end and the algorithm's knowing of it
    folder = trial_folder(search.folder, trial)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / layout.CHECKPOINT
    if before is not None and not checkpoint.exists():
        # Moved, not copied: a trial is trained on once, and image networks are large.
        earlier = trial_folder(search.folder, before) / layout.CHECKPOINT
        if earlier.exists():
            earlier.rename(checkpoint)
    begun = time.perf_counter()
    figures: dict[str, float] = {}
    error = trace = None
    with logged(folder):
        try:
            config = search.base.replace(values, "space")
            figures = evaluate_trial(search.context, config, folder, until)
        except Exception as failure:  # a trial may fail in any way, and the search continues
            trace = traceback.format_exc()
            error = f"{type(failure).__name__}: {' '.join(str(failure).split())}"[:500]
    epochs = int(figures.pop("epochs", 0))
    pruning = search.plan.algorithm == "hyperband" and trial != START
    if error or not pruning or until == search.plan.max_epochs:
        checkpoint.unlink(missing_ok=True)
    record = Record(
        trial,
        "failed" if error else "completed",
        _plain(values),
        None if error else figures[search.context.objective.name],
        figures,
        epochs,
        round(time.perf_counter() - begun, 1),
        error,
        trace,
        before,
        search.role.name,
    )
    write_record(search.folder, record)
    return record


@contextlib.contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Sends what is told on stderr into a folder's `log.txt`, line by line."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "log.txt").open("a", buffering=1, encoding="utf-8") as log,
        contextlib.redirect_stderr(log),
    ):
        yield


def remove_checkpoints(search: Search) -> None:
    """Frees what pruned trials left for others that did not come."""
    for checkpoint in (search.folder / TRIALS).glob(f"trial_*/{layout.CHECKPOINT}"):
        checkpoint.unlink()


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: list(item) if isinstance(item, tuple) else item for key, item in values.items()}
