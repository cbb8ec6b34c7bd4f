"""Chunks of files through Ray Data, in rounds, until each file has its rows.

Ray Data schedules, moves and holds back the work. A chunk whose machine or process dies is not
tried again at once, since one file may be the cause: it is left to the next round, which cuts it
smaller. What still fails alone, several times, is given up, at the cost of that file.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tfpipeline.cli import quiet_tensorflow
from tfpipeline.files.progress import Progress
from tfpipeline.workflows.many_machines.cluster import SHARED, Resources
from tfpipeline.workflows.many_machines.parts import RECORD, Parts, part_file, write_part

CHUNK = 128  # files
CHUNKS_A_WORKER = 4  # at least, so that all end together
SMALLER = 16
TRIES_ALONE = 3
# A worker that scores takes a core, and leaves room for one that reads files for it.
SCORING_CPUS, READING_CPUS = 0.999, 0.001

Work = Callable[[Any], tuple[pa.Table, list[str]]]


@dataclass(frozen=True)
class Job:
    """Work on many files, as it is sent to the machines.

    Attributes:
        folder: of the parts.
        settings: of `open` and `read`, plain values.
        open: (settings) → a function that a worker keeps: of a chunk, its rows and the paths of the
            files that failed.
        read: (settings, rows of the inputs) → the chunk that this function takes, made by another
            worker on a CPU; None: it takes the rows of the inputs themselves.
    """

    folder: str
    settings: dict
    open: Callable[[dict], Work]
    read: Callable[[dict, pa.Table], Any] | None = None


def run_rounds(job: Job, parts: Parts, inputs: pa.Table, resources: Resources) -> list[int]:
    """Works on all inputs that have no rows yet.

    Args:
        job: what is done.
        parts: where rows go.
        inputs: a row a file; its column `path` is absolute, as bytes.
        resources: of the cluster.
    Returns:
        The inputs that were given up.
    Raises:
        OSError: a machine does not see what it should.
        ValueError: as the job's own functions.
    """
    count = inputs.num_rows
    begun = sum(end - first for first, end in parts.missing(count, count))
    largest = max(1, min(CHUNK, begun // (CHUNKS_A_WORKER * resources.cpus)))
    sizes = [size for size in (largest, -(-largest // SMALLER)) if size > 1]
    with Progress("files", count, "files", count - begun) as bar:
        for size in (*sizes, *[1] * TRIES_ALONE):
            chunks = parts.missing(count, size)
            if not chunks:
                break
            for result in _results(job, inputs, chunks, resources):
                _check_result(result, job.folder)
                bar.advance(result["end"] - result["first"])
    parts.drop_overlapping()
    return [first for first, _ in parts.missing(count, 1)]


def _results(job: Job, inputs: pa.Table, chunks: list[tuple[int, int]], resources: Resources):
    """What came of the chunks, in any order; nothing of those that were lost."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

    # Until 2.64, which drops `ray_remote_args_fn`, there is no other way to say how often to retry.
    warnings.filterwarnings("ignore", "`ray_remote_args_fn` is deprecated")
    context = DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    rows = ray.data.from_arrow([_chunk(inputs, first, end) for first, end in chunks])
    on_gpus = job.read is not None and resources.gpus > 0
    workers = min(len(chunks), resources.gpus if on_gpus else resources.cpus)
    if job.read:
        rows = rows.map(
            _read,
            fn_args=(job,),
            num_cpus=1 if on_gpus else READING_CPUS,
            compute=TaskPoolStrategy(min(len(chunks), resources.cpus)),
            ray_remote_args_fn=_no_retries,
        )
    # With no other task in flight, the file that kills a worker takes no other along.
    alone = all(end - first == 1 for first, end in chunks)
    rows = rows.map(
        Worker,
        fn_constructor_args=(job,),
        num_cpus=0 if on_gpus else SCORING_CPUS,
        num_gpus=1 if on_gpus else 0,
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1 if alone else 2),
        ray_remote_args_fn=_restart,
    )
    return rows.iter_rows()


def _no_retries() -> dict:
    return {"max_retries": 0}


def _restart() -> dict:
    return {"max_restarts": -1, "max_task_retries": 0}


def _chunk(inputs: pa.Table, first: int, end: int) -> pa.Table:
    rows = _to_bytes(inputs.slice(first, end - first))
    return pa.table({"first": [first], "end": [end], "inputs": [rows]})


def _read(row: dict, job: Job) -> dict:
    """A chunk that was read by `job.read`; pickled, as Ray sends whatever it sends."""
    import pickle

    chunk = job.read(job.settings, _from_bytes(row["inputs"]))
    return {"first": row["first"], "end": row["end"], "chunk": pickle.dumps(chunk, protocol=5)}


class Worker:
    """Opens a job once, and works on its chunks; on the machines of the cluster.

    What a user can fix is part of the result, since Ray would wrap it in pages of its own.
    """

    def __init__(self, job: Job):
        quiet_tensorflow()
        self.job, self.error = job, ""
        try:
            if not (Path(job.folder) / RECORD).is_file():
                raise FileNotFoundError(f"does not see {job.folder}. {SHARED}.")
            self.work = job.open(job.settings)
        except (ValueError, OSError) as error:
            self.error = f"{socket.gethostname()}: {error}"

    def __call__(self, row: dict) -> dict:
        import pickle

        first, end = int(row["first"]), int(row["end"])
        result = {"first": first, "end": end, "error": self.error, "absent": []}
        if self.error:
            return result
        chunk = pickle.loads(row["chunk"]) if self.job.read else _from_bytes(row["inputs"])
        try:
            table, failed = self.work(chunk)
            write_part(self.job.folder, first, end, table)
        except (ValueError, OSError) as error:
            return result | {"error": f"{socket.gethostname()}: {error}"}
        return result | {"absent": [os.fsencode(path) for path in _absent(failed)]}


def _absent(paths: list[str]) -> list[str]:
    return [path for path in paths if not os.path.exists(path)]


def _check_result(result: dict, folder: str) -> None:
    if result["error"]:
        raise OSError(result["error"])
    for path in map(os.fsdecode, result["absent"]):
        if os.path.exists(path):  # here, and so the row is of no worth
            part_file(folder, result["first"], result["end"]).unlink(missing_ok=True)
            raise OSError(f"a machine of the cluster does not see {path}. {SHARED}.")


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _from_bytes(raw: bytes) -> pa.Table:
    return pa.ipc.open_stream(raw).read_all()
