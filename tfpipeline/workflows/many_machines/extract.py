"""`tfpipeline extract --ray`: hand-made features, computed by the machines of a Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tfpipeline.config import FrontEndConfig
from tfpipeline.data.clip_audio import open_chunk
from tfpipeline.data.clips import corpus_fingerprint
from tfpipeline.data.screening import drop_skipped
from tfpipeline.features.handcrafted.extraction import (
    CLIP_COLUMNS,
    VERSION,
    compile_features,
    feature_batches,
    feature_table,
)
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.files.atomic import atomic_file, partial_folder
from tfpipeline.workflows.many_machines.cluster import ray_cluster
from tfpipeline.workflows.many_machines.parts import Parts, write_part
from tfpipeline.workflows.many_machines.rounds import Job, run_rounds

LOST = "the process that read it died each time it was tried, or its machine"
ROW, REASON = "clip", "reason"  # columns of parts alone: a clip that is skipped has its reason


def extract_on_cluster(
    clips: pd.DataFrame,
    address: str,
    features: str,
    window: int,
    front_end: FrontEndConfig,
    out: Path,
) -> tuple[int, pd.DataFrame]:
    """Writes the features of all windows of the clips; a stopped call resumes with the same flags.

    Args:
        clips: a manifest.
        address: of the cluster, as `ray_cluster`.
        features, window, front_end, out: as `extract_to_parquet`.
    Returns:
        The number of rows, and the table `path, reason` of the clips that cannot be used.
    Raises:
        ValueError, OSError: as `run_rounds`, or too many clips cannot be used.
    """
    settings = {"features": features, "window": window, "front_end": front_end.model_dump()}
    record = {"version": VERSION, **settings, "clips": corpus_fingerprint(clips)}
    target = Path(os.path.abspath(out))
    parts = Parts(partial_folder(target), record, True, False)
    columns = {name: clips[name].astype(object).tolist() for name in CLIP_COLUMNS}
    columns |= {"path": [os.fsencode(os.path.abspath(path)) for path in clips["path"]]}
    inputs = pa.table(columns | {ROW: np.arange(len(clips))})
    job = Job(str(parts.folder), settings, open_features)
    if parts.missing(len(clips), 1):
        with ray_cluster(address) as resources:
            for index in run_rounds(job, parts, inputs, resources):
                write_part(parts.folder, index, index + 1, _part(None, {index: f"{LOST}."}))
    reasons: dict[int, str] = {}
    for _, table in parts.tables():
        found = table.select([ROW, REASON]).filter(pa.compute.field(REASON).is_valid())
        for row in found.to_pylist():
            path = clips["path"].iloc[row[ROW]]
            reasons[row[ROW]] = f"{path}: {os.fsdecode(row[REASON])}"
    _, skipped = drop_skipped(clips, reasons)
    rows = 0
    schema = feature_table(clips, HandcraftedFeatures(features).names, None).schema
    with atomic_file(out) as partial, pyarrow.parquet.ParquetWriter(partial, schema) as joined:
        for _, table in parts.tables():
            if table.column_names != [ROW, REASON]:
                kept = table.filter(pa.compute.field(REASON).is_null()).select(schema.names)
                rows += kept.num_rows
                joined.write_table(kept)
    parts.remove()
    return rows, skipped


def open_features(settings: dict):
    """The features' graph, and how it is used on a chunk; `Job.open`."""
    layer = HandcraftedFeatures(settings["features"], **settings["front_end"])
    window = settings["window"]
    compute = compile_features(layer, window)

    def extract(inputs: pa.Table) -> tuple[pa.Table, list[str]]:
        chunk = inputs.to_pandas().assign(path=lambda rows: rows["path"].map(os.fsdecode))
        kept, audio, skipped = open_chunk(chunk)
        batches = list(feature_batches(audio, compute, window)) if len(kept) else []
        table = None
        if batches:
            rows = [np.concatenate(column) for column in zip(*batches, strict=True)]
            table = feature_table(kept, layer.names, rows)
            table = table.append_column(ROW, pa.array(kept[ROW].to_numpy()[rows[0]]))
        rows = chunk.loc[chunk["path"].isin(skipped["path"]), ROW]
        reasons = dict(zip(rows.tolist(), skipped["reason"], strict=True))
        return _part(table, reasons), skipped["path"].tolist()

    return extract


def _part(table: pa.Table | None, reasons: dict[int, str]) -> pa.Table:
    """Rows of windows, and a row for each clip that is skipped."""
    why = pa.array([os.fsencode(reason) for reason in reasons.values()], pa.binary())
    skipped = pa.table({ROW: pa.array(list(reasons), pa.int64()), REASON: why})
    if table is None:
        return skipped
    table = table.append_column(REASON, pa.nulls(table.num_rows, pa.binary()))
    return pa.concat_tables([table, skipped], promote_options="default")
