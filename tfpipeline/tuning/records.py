"""What is kept of each trial: one `record.json` in its folder, read by all who show a search.

keras-tuner's wire format carries no error messages and rounds figures to float32, so a trial writes
its own record into the search's folder, which all machines of a search share.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tfpipeline.files.atomic import write_json, write_table
from tfpipeline.tuning.objective import Objective

TRIALS = "trials"  # folder, in a search's
RECORD = "record.json"
START = "start"  # the trial of the config that the search starts from


@dataclass(frozen=True)
class Record:
    """One trial that ended.

    Attributes:
        trial: its id, or `START`.
        status: `completed` or `failed`.
        values: config key → value.
        objective: None if it failed.
        figures: all figures of the evaluator.
        epochs: trained, those of an earlier rung included; 0 for a classifier.
        seconds: that it took.
        error: in one line; None if it completed.
        traceback: of the error.
        continues: id of the trial whose network it trained on.
        worker: who ran it.
    """

    trial: str
    status: str
    values: dict[str, Any]
    objective: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    error: str | None = None
    traceback: str | None = None
    continues: str | None = None
    worker: str = "-"


def trial_folder(search: Path, trial: str) -> Path:
    """Where a trial's files are: its record, log and checkpoint."""
    return search / TRIALS / f"trial_{trial}"


def record_path(search: Path, trial: str) -> Path:
    """Where a trial's record is."""
    return trial_folder(search, trial) / RECORD


def write_record(search: Path, record: Record) -> None:
    """Writes a trial's record atomically."""
    write_json(record_path(search, record.trial), asdict(record))


def read_record(search: Path, trial: str) -> Record | None:
    """A trial's record; None while it has none."""
    path = record_path(search, trial)
    if not path.exists():
        return None
    return Record(**json.loads(path.read_text(encoding="utf-8")))


def read_records(search: Path) -> list[Record]:
    """The records of all trials that ended, the start first, then by id."""
    names = [path.parent.name for path in (search / TRIALS).glob(f"trial_*/{RECORD}")]
    trials = [name.removeprefix("trial_") for name in names]
    trials.sort(key=lambda trial: (trial != START, trial.zfill(12)))
    found = [read_record(search, trial) for trial in trials]
    return [record for record in found if record is not None]


def best_record(records: list[Record], objective: Objective) -> Record | None:
    """The best completed trial; among networks, of those that were trained the longest.

    A trial that was pruned early cannot be compared with one that had all its epochs, and where a
    pruned one is good, Hyperband has trained it on.
    """
    done = [record for record in records if record.status == "completed" and record.trial != START]
    longest = max((record.epochs for record in done), default=0)
    done = [record for record in done if record.epochs == longest]
    return min(done, key=lambda record: objective.key(record.figures), default=None)


def trials_table(records: list[Record], keys: list[str]) -> pd.DataFrame:
    """One row a trial: `trial, status, objective, auc, eer, epochs, seconds`, the values, `error`.

    Args:
        records: of the trials.
        keys: the config keys that were searched, each a column.
    """
    rows = []
    for record in records:
        row = {
            "trial": record.trial,
            "status": record.status,
            "objective": record.objective,
            "auc": record.figures.get("auc"),
            "eer": record.figures.get("eer"),
            "epochs": record.epochs,
            "seconds": record.seconds,
        }
        row.update({key: _cell(record.values.get(key)) for key in keys})
        extra = {"continues": record.continues, "worker": record.worker, "error": record.error}
        rows.append({**row, **extra})
    return pd.DataFrame(rows)


def write_trials(search: Path, keys: list[str]) -> None:
    """Writes `trials.csv` anew from the records."""
    write_table(search / "trials.csv", trials_table(read_records(search), keys))


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | bool) else value
