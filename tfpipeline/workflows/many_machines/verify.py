"""`tfpipeline corpus verify --ray`: every file of a corpus decoded by the machines of a cluster."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa

from tfpipeline.config import DataConfig
from tfpipeline.data.screening import screen_clips, skipped_table
from tfpipeline.files.atomic import partial_folder, write_table
from tfpipeline.workflows.many_machines.cluster import ray_cluster
from tfpipeline.workflows.many_machines.parts import Parts, write_part
from tfpipeline.workflows.many_machines.rounds import Job, run_rounds

LOST = "the process that decoded it died each time it was tried, or its machine"
SCHEMA = pa.schema(
    [("path", pa.binary()), ("reason", pa.binary()), ("remarks", pa.list_(pa.string()))]
)


def verify_on_cluster(paths: list[str], data: DataConfig, address: str, out: str) -> dict:
    """Decodes every file; a stopped call resumes with the same arguments.

    Args:
        paths: of the corpus's clips.
        data: of a config, for its name.
        address: of the cluster, as `ray_cluster`.
        out: a CSV file for path and reason of the clips that cannot be used.
    Returns:
        As `tfpipeline.workflows.corpus.verify_corpus`.
    Raises:
        ValueError, OSError: as `run_rounds`.
    """
    raw = [os.fsencode(os.path.abspath(path)) for path in paths]
    record = {"files": len(raw), "list": hashlib.sha256(b"\0".join(raw)).hexdigest()}
    target = Path(os.path.abspath(out))
    parts = Parts(partial_folder(target), {"command": "verify", **record}, True, False)
    inputs = pa.table({"path": pa.array(raw, pa.binary())})
    job = Job(str(parts.folder), {}, open_screening)
    if parts.missing(len(raw), 1):
        with ray_cluster(address) as resources:
            for index in run_rounds(job, parts, inputs, resources):
                row = {"path": [raw[index]], "reason": [f"{LOST}.".encode()], "remarks": [[]]}
                write_part(parts.folder, index, index + 1, pa.table(row, SCHEMA))
    reasons, remarks = {}, []
    for first, table in parts.tables():
        for row, found in enumerate(table.to_pylist(), start=first):
            if found["reason"] is not None:
                reasons[row] = os.fsdecode(found["reason"])
            elif found["remarks"]:
                remarks.append({"path": paths[row], "remarks": tuple(found["remarks"])})
    failed = skipped_table([paths[row] for row in reasons], list(reasons.values()))
    write_table(out, failed)
    parts.remove()
    return {
        "data": data.corpus_name,
        "clips": len(paths),
        "failed": failed.to_dict("records"),
        "remarks": remarks,
    }


def open_screening(settings: dict):
    """How a chunk is decoded and looked at; `Job.open`."""

    def screen(inputs: pa.Table) -> tuple[pa.Table, list[str]]:
        paths = [os.fsdecode(path) for path in inputs["path"].to_pylist()]
        found = screen_clips(paths, lambda index, clip: None)
        told = skipped_table([paths[row] for row in found.reasons], list(found.reasons.values()))
        reasons = dict(zip(found.reasons, map(os.fsencode, told["reason"]), strict=True))
        columns = {
            "path": inputs["path"],
            "reason": [reasons.get(row) for row in range(len(paths))],
            "remarks": [list(found.remarks.get(row, ())) for row in range(len(paths))],
        }
        failed = [paths[row] for row in found.reasons]
        return pa.table(columns, SCHEMA), failed

    return screen
