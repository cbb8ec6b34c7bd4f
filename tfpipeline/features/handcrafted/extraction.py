"""Hand-made features of the clips of a manifest: one row a window, in the order of the clips.

A clip of one window or less gives one row, a longer one a row for each window (`data.windows`). The
trees learn from windows, as the networks do, and score a clip by the mean over its windows.

Feature tables as Parquet files, written part by part, so that a killed extraction goes on.

Parts of some thousand rows are written into `<out>.partial/` as they come, and joined when the last
is there; memory holds one part, whatever the number of clips. `<out>` is whole or absent.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tensorflow as tf

from tfpipeline.config import FrontEndConfig
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.clips import corpus_fingerprint
from tfpipeline.data.pipeline import scoring_batches
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.files.atomic import atomic_file, partial_folder, write_json
from tfpipeline.files.progress import Progress

BATCH_SIZE = 64


def check_window(layer: HandcraftedFeatures, window: int) -> None:
    """Raises ValueError if a window of so many samples is too short for the features."""
    if window < layer.min_samples:
        raise ValueError(
            f"a window must have {layer.min_samples} samples or more for the features "
            f"{layer.feature_set!r}. Received: {window}. Is it in seconds?"
        )


def compile_features(layer: HandcraftedFeatures, window: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """The layer as a graph, float32 (n, window) → (n, len(layer.names)).

    Raises:
        ValueError: the window is too short for the features.
    """
    check_window(layer, window)
    return tf.function(layer, input_signature=[tf.TensorSpec([None, window], tf.float32)])


def feature_batches(
    audio: Audio,
    compute: Callable[[tf.Tensor], tf.Tensor],
    window: int,
    first_clip: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Streams the features of all windows of the clips, holding a few batches at a time.

    Args:
        audio: of the clips.
        compute: of `compile_features`.
        window: samples in a window.
        first_clip: the clip to start with.
    Yields:
        Clip index int64 (rows,), number of the window in its clip int64 (rows,), and features
        float32 (rows, features).
    """
    rest = audio.subset(np.arange(first_clip, audio.n_clips))
    clip, number = -1, 0
    with audio.lost.told():
        for indices, waveform in scoring_batches(rest, window, BATCH_SIZE):
            indices = indices.numpy() + first_clip
            numbers = np.empty_like(indices)
            for row, index in enumerate(indices):
                number = number + 1 if index == clip else 0
                clip, numbers[row] = index, number
            yield indices, numbers, compute(waveform).numpy()


def extract_features(
    audio: Audio, feature_set: str, window: int, front_end: FrontEndConfig
) -> pd.DataFrame:
    """The features of all windows of the clips, in memory.

    Args:
        audio: of the clips.
        feature_set: a key of `FEATURE_SETS`.
        window: samples in a window.
        front_end: what happens to each window first.
    Returns:
        Columns `clip` (its row in the manifest) and `window` (its number in the clip), both int64,
        then the features, float32; one row a window.
    Raises:
        ValueError: the feature set is unknown, or the window too short for it.
    """
    layer = HandcraftedFeatures(feature_set, **front_end.model_dump())
    batches = list(feature_batches(audio, compile_features(layer, window), window))
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(layer.names)), "f4"))
    clip, number, features = (np.concatenate(parts) for parts in zip(empty, *batches, strict=True))
    table = pd.DataFrame(features, columns=list(layer.names))
    return pd.concat([pd.DataFrame({"clip": clip, "window": number}), table], axis=1)


if TYPE_CHECKING:
    import pyarrow

ROWS_A_PART = 8192
CLIP_COLUMNS = ("clip_id", "label", "attack", "speaker", "source", "part")
STATE = "extraction.json"
# Another version for other values: a change of any feature raises it.
VERSION = 1


def extract_to_parquet(
    clips: pd.DataFrame,
    audio: Audio,
    feature_set: str,
    window: int,
    front_end: FrontEndConfig,
    out: str | Path,
) -> int:
    """Writes the features of all windows of the clips, going on where a stopped call left off.

    Args:
        clips: a manifest.
        audio: of the same clips.
        feature_set: a key of `FEATURE_SETS`.
        window: samples in a window.
        front_end: what happens to each window first.
        out: the Parquet file. Columns: those of `CLIP_COLUMNS`, `window` (number of the window in
            its clip), then the features; one row a window, in the order of the clips.
    Returns:
        The number of rows.
    Raises:
        ValueError: the stopped call was about other clips, features, windows or front end.
    """
    out = Path(out)
    layer = HandcraftedFeatures(feature_set, **front_end.model_dump())
    folder = partial_folder(out)
    done = _start(
        folder,
        {
            "version": VERSION,
            "features": feature_set,
            "columns": list(layer.names),
            "window": window,
            "front_end": front_end.model_dump(),
            "clips": corpus_fingerprint(clips),
        },
    )
    with Progress("features", len(clips), "clips", done) as bar:
        waiting: list[tuple[np.ndarray, ...]] = []
        compute = compile_features(layer, window)
        for batch in feature_batches(audio, compute, window, done) if done < len(clips) else ():
            waiting.append(batch)
            if sum(len(rows[0]) for rows in waiting) < ROWS_A_PART:
                continue
            rows = [np.concatenate(column) for column in zip(*waiting, strict=True)]
            # The last clip may have more windows to come: a part ends with a whole clip.
            open_clip = rows[0][-1]
            whole = rows[0] < open_clip
            if whole.any():
                _write_part(folder, clips, layer.names, [c[whole] for c in rows], done, open_clip)
                bar.advance(int(open_clip) - done)
                done = int(open_clip)
            waiting = [tuple(column[~whole] for column in rows)]
        if waiting:
            rows = [np.concatenate(column) for column in zip(*waiting, strict=True)]
            _write_part(folder, clips, layer.names, rows, done, len(clips))
            bar.advance(len(clips) - done)
    n_rows = _join(folder, feature_table(clips, layer.names, None), out)
    shutil.rmtree(folder)
    return n_rows


def _start(folder: Path, state: dict) -> int:
    """Checks what a stopped call left, or starts; returns how many clips are done."""
    file = folder / STATE
    if not file.exists():
        shutil.rmtree(folder, ignore_errors=True)
        write_json(file, state)
        return 0
    found = json.loads(file.read_text("utf-8"))
    for key, value in state.items():
        if found.get(key) != value:
            raise ValueError(
                f"{folder} holds an unfinished extraction with other {key}. Received: now "
                f"{_shown(value)}, then {_shown(found.get(key))}. Resume with the same flags, or "
                "start anew with --overwrite."
            )
    parts = _parts(folder)
    return parts[-1][1] if parts else 0


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _parts(folder: Path) -> list[tuple[int, int, Path]]:
    """(first clip, end, file) of the parts that follow one another from clip 0 on."""
    found = {}
    for file in folder.glob("part-*.parquet"):
        first, end = map(int, re.fullmatch(r"part-(\d+)-(\d+)", file.stem).groups())
        found[first] = (first, end, file)
    chain, place = [], 0
    while place in found:
        chain.append(found[place])
        place = found[place][1]
    return chain


def _write_part(folder: Path, clips, names, rows: list[np.ndarray], first: int, end: int) -> None:
    import pyarrow.parquet

    with atomic_file(folder / f"part-{first:09d}-{end:09d}.parquet") as partial:
        pyarrow.parquet.write_table(feature_table(clips, names, rows), partial)


def feature_table(clips: pd.DataFrame, names, rows: list[np.ndarray] | None) -> pyarrow.Table:
    """The rows as an Arrow table; without rows an empty one."""
    import pyarrow

    if rows is None:
        nothing = np.empty(0, np.int64)
        rows = [nothing, nothing, np.empty((0, len(names)), np.float32)]
    index, number, features = rows
    columns = {
        column: pyarrow.array(clips[column].to_numpy(object)[index], pyarrow.string())
        for column in CLIP_COLUMNS
    }
    columns["window"] = pyarrow.array(number)
    columns |= {
        name: pyarrow.array(np.ascontiguousarray(features[:, place]))
        for place, name in enumerate(names)
    }
    return pyarrow.table(columns)


def _join(folder: Path, empty: pyarrow.Table, out: Path) -> int:
    """Joins the parts into `out`, one at a time; returns the number of rows."""
    import pyarrow.parquet

    rows = 0
    writer = pyarrow.parquet.ParquetWriter
    with atomic_file(out) as partial, writer(partial, empty.schema) as joined:
        for _, _, file in _parts(folder):
            table = pyarrow.parquet.read_table(file)
            rows += table.num_rows
            joined.write_table(table)
    return rows
