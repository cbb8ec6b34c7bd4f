"""Audio inside tables (Parquet or Arrow, as Hugging Face's `datasets` writes them) becomes files.

Each table's audio is written once into the user's cache, in files named after their contents, and
every later run reads those. The other way, to read a row of the table whenever a clip is asked for,
would cost a Python call and the decompression of a whole row group a clip, in random order; plain
files are read and decoded in parallel inside the graph, at the pipeline's full speed. Memory holds
a page of a table at a time, in Hugging Face's shards a hundred clips. A run that was stopped goes
on where it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.audio.wav import wav_bytes
from tfpipeline.data.corpora.reading.clip_paths import AUDIO_FOLDERS, find_clips
from tfpipeline.data.corpora.reading.hf_tables import Table, column_of, count_rows, read_batches
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.progress import Progress

AUDIO = "audio"
FILE, SIZE = "_file", "_size"  # of an index, beside the table's own columns
# Another version for other files or another index.
VERSION = 2
HEADS = (
    (b"RIFF", 0, "wav"),
    (b"fLaC", 0, "flac"),
    (b"OggS", 0, "ogg"),
    (b"ID3", 0, "mp3"),
    (b"ftyp", 4, "m4a"),
    (b"\xff", 0, "mp3"),
)


def extract_audio(
    tables: Sequence[Table],
    columns: Sequence[str],
    folder: Path | None = None,
    audio: str = AUDIO,
    notes: list[str] | None = None,
) -> pd.DataFrame:
    """Writes the audio of tables into files, unless that was done before.

    Args:
        tables: as `find_tables` gives them.
        columns: of the tables, besides the audio, that are wanted; `outer.inner` is a field.
        folder: of the files; default: `embedded` in the user's cache.
        audio: the column with the audio: files' bytes, paths, both as `datasets` has them, or
            samples with their rate.
        notes: takes a line on paths that are not as written.
    Returns:
        The columns, `split` and `path`, in the order of the tables. Columns of those two names
        become `split_written` and `path_written`.
    Raises:
        ValueError: a table cannot be read, lacks a column or a clip's audio, or the disk is too
            full.
    """
    folder = folder or cache_folder() / "embedded"
    wanted = [*columns, audio]
    indices = [_known(table, wanted, folder) for table in tables]
    missing = [table for table, index in zip(tables, indices, strict=True) if index is None]
    if missing:
        _refuse_full_disk(missing, folder)
        total = sum(count_rows(table) for table in missing)
        with Progress("audio out of tables", total, "clips") as bar:
            indices = [
                _extract(table, wanted, folder, bar) if index is None else index
                for table, index in zip(tables, indices, strict=True)
            ]
    written = {column: f"{column}_written" for column in ("path", "split") if column in columns}
    parts, lines = [], []
    for table, index in zip(tables, indices, strict=True):
        paths, path_notes = _paths(table, index, folder)
        lines += [f"{table.path}: {line}" for line in path_notes]
        index = index.drop(columns=[FILE, SIZE]).rename(columns=written)
        parts.append(index.assign(split=table.split, path=paths))
    if notes is not None and lines:
        more = f" (and {len(lines) - 1} lines like it)" if lines[1:] else ""
        notes.append(lines[0] + more)
    return pd.concat(parts, ignore_index=True)


def _paths(table: Table, index: pd.DataFrame, folder: Path) -> tuple[list[str], list[str]]:
    """The files of a table's clips; those that it only names are looked for around it."""
    paths = [os.path.join(folder, file) for file in index[FILE]]
    named = np.flatnonzero(index[SIZE] < 0)
    if not len(named):
        return paths, []
    around = (table.path.absolute().parent, table.path.absolute().parent.parent)
    beside = [str(base / name) for base in around for name in AUDIO_FOLDERS]
    found, notes = find_clips(
        [index[FILE][at] for at in named],
        [*map(str, around), *filter(os.path.isdir, beside)],
        str(table.path),
        "A row has its audio's bytes, or the path of a file, from the table's folder on or the one "
        f"above, or from {', '.join(AUDIO_FOLDERS)} in them.",
    )
    for at, path in zip(named, found, strict=True):
        paths[at] = path
    return paths, notes


def _index_path(table: Table, wanted: Sequence[str], folder: Path) -> Path:
    """Where the rows of one table are kept without their audio: by its name, size and time."""
    state = table.path.stat()
    identity = (VERSION, table.path.name, state.st_size, state.st_mtime_ns, *wanted)
    key = hashlib.sha256("\0".join(map(str, identity)).encode()).hexdigest()[:24]
    return folder / "tables" / f"{key}.parquet"


def _known(table: Table, wanted: Sequence[str], folder: Path) -> pd.DataFrame | None:
    """The rows of a table whose audio is all there, in full; else None."""
    path = _index_path(table, wanted, folder)
    if not path.exists():
        return None
    index = pd.read_parquet(path)
    try:
        whole = all(
            size < 0 or os.path.getsize(os.path.join(folder, file)) == size
            for file, size in zip(index[FILE], index[SIZE], strict=True)
        )
    except OSError:
        return None
    return index if whole else None


def _extract(table: Table, wanted: Sequence[str], folder: Path, bar) -> pd.DataFrame:
    """Writes the audio of one table, and its index last."""
    rows = []
    *columns, audio = wanted
    for batch in read_batches(table, wanted):
        recordings = column_of(batch, audio)
        values = [column_of(batch, column).to_pylist() for column in columns]
        for at in range(batch.num_rows):
            cells = [column[at] for column in values]
            rows.append((*cells, *_file(recordings[at].as_py(), table, folder, len(rows))))
        bar.advance(batch.num_rows)
    index = pd.DataFrame(rows, columns=[*columns, FILE, SIZE])
    with atomic_file(_index_path(table, wanted, folder)) as partial:
        index.to_parquet(partial, index=False)
    return index


def _file(audio, table: Table, folder: Path, row: int) -> tuple[str, int]:
    """Name below `folder`, and size, of the file with one clip's audio; it is written if need be.

    A clip that the table only names has its file already: its name is as written, its size -1.
    """
    whole = audio if isinstance(audio, dict) else {}
    contents = audio if isinstance(audio, bytes) else whole.get("bytes")
    if contents is None and whole.get("array") is not None and whole.get("sampling_rate"):
        samples = np.array(whole["array"], np.float32)
        contents = wav_bytes(samples if samples.ndim == 1 else samples.T, whole["sampling_rate"])
    if contents is None:
        name = audio if isinstance(audio, str) else whole.get("path")
        if name and isinstance(name, str):
            return name, -1
        received = f"a {type(audio).__name__}" if audio and not whole else "neither"
        raise ValueError(
            f"{table.path}: every row has its audio's bytes, or the path of a file. "
            f"Received: {received} in row {row + 1}. Is another column meant?"
        )
    kind = next((k for head, at, k in HEADS if contents[at : at + len(head)] == head), "audio")
    digest = hashlib.sha256(contents).hexdigest()[:32]
    file = f"audio/{digest[:2]}/{digest}.{kind}"
    path = folder / file
    # By size too: a crash of the machine may leave a file that is shorter than it should be.
    if not path.exists() or path.stat().st_size != len(contents):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_bytes(contents)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return file, len(contents)


def _refuse_full_disk(tables: Sequence[Table], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(table.path.stat().st_size for table in tables)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{folder}: the audio of {len(tables)} tables is written here once, and needs "
            f"{needed / 1e9:.1f} GB. Received: {free / 1e9:.1f} GB free. Make room, or name "
            "another folder in the environment variable TFPIPELINE_CACHE."
        )
