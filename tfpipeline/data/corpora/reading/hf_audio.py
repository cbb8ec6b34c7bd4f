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

import pandas as pd

from tfpipeline.data.corpora.reading.hf_tables import Table, count_rows, read_batches
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.progress import Progress

AUDIO = "audio"
# Another version for other files or another index.
VERSION = 1
HEADS = (
    (b"RIFF", 0, "wav"),
    (b"fLaC", 0, "flac"),
    (b"OggS", 0, "ogg"),
    (b"ID3", 0, "mp3"),
    (b"ftyp", 4, "m4a"),
    (b"\xff", 0, "mp3"),
)


def extract_audio(
    tables: Sequence[Table], columns: Sequence[str], folder: Path | None = None
) -> pd.DataFrame:
    """Writes the audio of tables into files, unless that was done before.

    Args:
        tables: as `find_tables` gives them.
        columns: of the tables, besides `audio`, that are wanted.
        folder: of the files; default: `embedded` in the user's cache.
    Returns:
        The columns, `split` and `path`, in the order of the tables.
    Raises:
        ValueError: a table cannot be read, lacks a column or a clip's audio, or the disk is too
            full.
    """
    folder = folder or cache_folder() / "embedded"
    indices = [_known(table, columns, folder) for table in tables]
    missing = [table for table, index in zip(tables, indices, strict=True) if index is None]
    if missing:
        _refuse_full_disk(missing, folder)
        total = sum(count_rows(table) for table in missing)
        with Progress("audio out of tables", total, "clips") as bar:
            indices = [
                _extract(table, columns, folder, bar) if index is None else index
                for table, index in zip(tables, indices, strict=True)
            ]
    parts = [index.assign(split=table.split) for table, index in zip(tables, indices, strict=True)]
    clips = pd.concat(parts, ignore_index=True).drop(columns="size")
    clips["path"] = [os.path.join(folder, file) for file in clips.pop("file")]
    return clips


def _index_path(table: Table, columns: Sequence[str], folder: Path) -> Path:
    """Where the rows of one table are kept without their audio: by its name, size and time."""
    state = table.path.stat()
    told = (VERSION, table.path.name, state.st_size, state.st_mtime_ns, *columns)
    key = hashlib.sha256("\0".join(map(str, told)).encode()).hexdigest()[:24]
    return folder / "tables" / f"{key}.parquet"


def _known(table: Table, columns: Sequence[str], folder: Path) -> pd.DataFrame | None:
    """The rows of a table whose audio is all there, in full; else None."""
    path = _index_path(table, columns, folder)
    if not path.exists():
        return None
    index = pd.read_parquet(path)
    try:
        whole = all(
            size < 0 or os.path.getsize(os.path.join(folder, file)) == size
            for file, size in zip(index["file"], index["size"], strict=True)
        )
    except OSError:
        return None
    return index if whole else None


def _extract(table: Table, columns: Sequence[str], folder: Path, bar) -> pd.DataFrame:
    """Writes the audio of one table, and its index last."""
    rows = []
    for batch in read_batches(table, [*columns, AUDIO]):
        audio = batch.column(AUDIO)
        values = [batch.column(column).to_pylist() for column in columns]
        for at, told in enumerate(zip(*values, strict=True)):
            rows.append((*told, *_file(audio[at].as_py(), table, folder, len(rows))))
        bar.advance(batch.num_rows)
    index = pd.DataFrame(rows, columns=[*columns, "file", "size"])
    with atomic_file(_index_path(table, columns, folder)) as partial:
        index.to_parquet(partial, index=False)
    return index


def _file(audio: dict | None, table: Table, folder: Path, row: int) -> tuple[str, int]:
    """Name below `folder`, and size, of the file with one clip's audio; it is written if need be.

    A clip that the table only names has its file already; its size is -1.
    """
    contents = (audio or {}).get("bytes")
    if contents is None:
        name = (audio or {}).get("path")
        if name:
            for base in (table.path.parent, table.path.parent.parent):
                if (base / name).is_file():
                    return str((base / name).absolute()), -1
        raise ValueError(
            f"{table.path}: every row has its audio's bytes, or the path of a file. "
            f"Received: {name!r} in row {row + 1}."
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
