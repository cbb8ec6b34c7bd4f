"""`tfpipeline predict --ray`: verdicts of very many recordings, by a Ray cluster."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.files.atomic import atomic_file, partial_folder, write_json
from tfpipeline.prediction.inputs import is_pipe
from tfpipeline.prediction.predict_files import FIELDS, make_row, score_files
from tfpipeline.prediction.recordings import Recording
from tfpipeline.prediction.rows import (
    HAVE_SCORES,
    csv_line,
    json_line,
    judge_file,
    judge_record,
)
from tfpipeline.prediction.scorers import LocalScorer, files_digest
from tfpipeline.runs import layout
from tfpipeline.workflows.many_machines.cluster import SHARED, ray_cluster
from tfpipeline.workflows.many_machines.parts import Parts, write_part
from tfpipeline.workflows.many_machines.rounds import Job, run_rounds

CRASHED = "crashed"  # in a row's status
LOST = (
    "the process that judged it died each time it was tried, or its machine. Is there too little "
    "memory, or a fault in a decoder?"
)
FILE_FORMS = (".csv", ".jsonl", ".parquet")
EVIDENCE = pa.struct([(key, pa.float64()) for key in ("start", "end", "score")])
TYPES = {
    **dict.fromkeys(("seconds", "score", "llr", "probability", "confidence"), pa.float64()),
    "evidence": pa.list_(EVIDENCE),
    "remarks": pa.list_(pa.string()),
}
SCHEMA = pa.schema([(name, TYPES.get(name, pa.string())) for name in FIELDS])


def judge_files_on_cluster(
    names: Sequence[str],
    run: Path,
    address: str,
    out: str,
    resume: bool = False,
    overwrite: bool = False,
) -> int:
    """Judges files on a Ray cluster; the rows are those of `judge_files`.

    Args:
        names: of `list_inputs`; no pipes.
        run: the run's folder.
        address: of the cluster, as `ray_cluster`.
        out: a `.csv`, `.jsonl` or `.parquet` file, in the order of the names; or a folder of
            Parquet parts, which are in that order too, by their names.
        resume: keep the parts of a stopped call; overwrite: drop them.
    Returns:
        How many files could not be judged.
    Raises:
        FileExistsError: `out` is there, and neither flag is given.
        ValueError, OSError: as `run_rounds`, or `names` or `out` cannot be used.
    """
    from tfpipeline.config import load_run_config

    target = Path(os.path.abspath(out))
    single = bool(target.suffix) and not target.is_dir()
    _check_names(names)
    _check_target(target, single, overwrite)
    if not (run / layout.CONFIG).is_file():
        raise FileNotFoundError(f"no run in {run}. Name one with --run.")
    run = Path(os.path.abspath(run))
    judge = {"judge": run.name, "fingerprint": files_digest(run)}
    raw = [os.fsencode(name) for name in names]
    digest = hashlib.sha256(b"\0".join(raw)).hexdigest()
    record = {**judge_record(judge), "files": len(names), "list": digest}
    parts = Parts(partial_folder(target) if single else target, record, resume, overwrite)
    if parts.missing(len(names), 1):
        seconds = load_run_config(run / layout.CONFIG).data.window_seconds
        here = os.fsencode(os.getcwd())
        inputs = pa.table(
            {
                "path": pa.array([os.path.join(here, name) for name in raw], pa.binary()),
                "name": pa.array(raw, pa.binary()),
            }
        )
        settings = {"run": str(run), "window": round(seconds * SAMPLE_RATE), **judge}
        job = Job(str(parts.folder), settings, open_judge, read_recordings)
        with ray_cluster(address) as resources:
            for index in run_rounds(job, parts, inputs, resources):
                write_part(parts.folder, index, index + 1, as_table([_lost_row(names[index])]))
    if not single:
        return sum(_failed(table) for _, table in parts.tables())
    failed = _assemble(parts, names, target)
    if target.suffix != ".parquet":  # so that `predict --resume` knows the file
        write_json(judge_file(target), judge_record(judge))
    parts.remove()
    return failed


def read_recordings(settings: dict, inputs: pa.Table) -> list[Recording]:
    """The files of a chunk, decoded; `Job.read`."""
    return [
        Recording(os.fsdecode(path), os.fsdecode(name), settings["window"]).read_ahead()
        for path, name in zip(inputs["path"].to_pylist(), inputs["name"].to_pylist(), strict=True)
    ]


def open_judge(settings: dict):
    """The run's model, and how it judges a chunk; `Job.open`."""
    import tensorflow as tf

    folder = Path(settings["run"])
    if not (folder / layout.CONFIG).is_file():
        raise FileNotFoundError(f"does not see the run {folder}. {SHARED}.")
    if not tf.config.list_physical_devices("GPU"):  # a worker has one core
        with suppress(RuntimeError):  # TensorFlow runs already
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
    scorer = LocalScorer(folder)
    if scorer.fingerprint != settings["fingerprint"]:
        raise ValueError(f"{folder} is another run there, or has changed. {SHARED}.")

    def judge(recordings: list[Recording]) -> tuple[pa.Table, list[str]]:
        rows, failed = [], []
        for recording in score_files(recordings, scorer):
            rows.append(make_row(recording, scorer))
            if recording.error:
                failed.append(recording.path)
        return as_table(rows), failed

    return judge


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    r"""Rows as Arrow; bytes of names that are no UTF-8 become `\xNN`."""
    columns = {}
    for name in FIELDS:
        values = [row[name] for row in rows]
        if name == "remarks":
            values = [[_utf8(remark) for remark in remarks] for remarks in values]
        elif name not in TYPES:
            values = [_utf8(value) for value in values]
        columns[name] = pa.array(values, SCHEMA.field(name).type)
    return pa.table(columns, SCHEMA)


def _utf8(text: str | None) -> str | None:
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _check_names(names: Sequence[str]) -> None:
    pipe = next(filter(is_pipe, names), None)
    if pipe is not None:
        raise ValueError(
            f"--ray judges files that all machines see. Received: {pipe}, which is a pipe. Leave "
            "out --ray, or put what comes out of it into a file."
        )


def _check_target(target: Path, single: bool, overwrite: bool) -> None:
    if single and target.suffix not in FILE_FORMS:
        raise ValueError(
            f"with --ray, --out ends in {', '.join(FILE_FORMS)}, or is a folder for Parquet parts. "
            f"Received: {target.name}."
        )
    if single and target.exists() and not overwrite:
        raise FileExistsError(f"{target} is complete. Replace it with --overwrite.")


def _lost_row(name: str) -> dict[str, Any]:
    recording = Recording(name, name, 1)
    recording.error = UnusableError(f"{name}: {LOST}", CRASHED)
    return make_row(recording, None)


def _failed(table: pa.Table) -> int:
    scored = pyarrow.compute.is_in(table["status"], pa.array(sorted(HAVE_SCORES)))
    return table.num_rows - pyarrow.compute.sum(scored).as_py()


def _assemble(parts: Parts, names: Sequence[str], target: Path) -> int:
    """Puts the parts together, holding one at a time; returns how many files failed."""
    failed = 0
    with atomic_file(target) as partial:
        if target.suffix == ".parquet":
            with pyarrow.parquet.ParquetWriter(partial, SCHEMA) as writer:
                for _, table in parts.tables():
                    failed += _failed(table)
                    writer.write_table(table)
            return failed
        line = csv_line if target.suffix == ".csv" else json_line
        with open(partial, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            if target.suffix == ".csv":
                file.write(csv_line() + "\n")
            for first, table in parts.tables():
                failed += _failed(table)
                file.writelines(f"{line(row)}\n" for row in _named(table, names, first))
    return failed


def _named(table: pa.Table, names: Sequence[str], first: int) -> Iterator[dict[str, Any]]:
    """Rows of a part, with the names as they were given, byte for byte."""
    for place, row in enumerate(table.to_pylist(), start=first):
        name = names[place]
        if row["reason"] and row["path"] != name:
            row["reason"] = row["reason"].replace(row["path"], name)
        yield row | {"path": name}


def tell_failed(failed: int, total: int, out: str) -> None:
    """A line on the files that could not be judged; each has its reason in its row."""
    if failed:
        print(f"error: {failed} of {total} files could not be judged: see {out}", file=sys.stderr)
