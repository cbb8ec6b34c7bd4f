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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tfpipeline.data.corpora.labels import part_from_name
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import atomic_file

if TYPE_CHECKING:
    import pyarrow

AUDIO = "audio"
ROWS_AT_A_TIME = 32
READ_BYTES = 1 << 20  # of a column that are read ahead; whole chunks may be a gigabyte
# Another version for other files or another index.
VERSION = 1
HEADS = (
    (b"RIFF", 0, "wav"), (b"fLaC", 0, "flac"), (b"OggS", 0, "ogg"), (b"ID3", 0, "mp3"),
    (b"ftyp", 4, "m4a"), (b"\xff", 0, "mp3"),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """One file of a data set of tables.

    Attributes:
        path: of the file, `.parquet` or `.arrow`.
        split: as the file or its folder names it, such as `train`.
    """

    path: Path
    split: str


def find_tables(root: Path) -> list[Table]:
    """The tables of a data set: shards as downloaded, or a folder that `save_to_disk` wrote.

    Shards are `train-00000-of-00035.parquet`, in the folder, in `data/`, or in a folder for each
    split; a saved folder has `train/data-00000-of-00002.arrow`, or no split if it was saved alone.

    Returns:
        Splits by name, each in the order of its shards.
    """
    found = []
    inner = [own for own in root.iterdir() if own.name == "data" or part_from_name(own.name)]
    for folder in (root, *sorted(own for own in inner if own.is_dir())):
        for path in sorted([*folder.glob("*.parquet"), *folder.glob("*.arrow")]):
            split = path.name.partition("-")[0] if "-" in path.name else path.stem
            # `data-00000-of-00002.arrow`, `dataset.arrow`, `0000.parquet`: the folder tells.
            if split in ("data", "dataset") or split.isdigit():
                split = folder.name if folder != root and folder.name != "data" else "train"
            # What `datasets` computed and kept beside its data is none of it.
            if not path.name.startswith(("cache-", "tmp", ".")):
                found.append(Table(path, split))
    return sorted(found, key=lambda table: (table.split, str(table.path)))


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
    from tqdm import tqdm

    folder = folder or cache_folder() / "embedded"
    indices = [_known(table, columns, folder) for table in tables]
    missing = [table for table, index in zip(tables, indices, strict=True) if index is None]
    if missing:
        _refuse_full_disk(missing, folder)
        total = sum(_count_rows(table) for table in missing)
        with tqdm(total=total, desc="audio out of tables", unit="clip", ascii=" #", delay=2) as bar:
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
    for batch in _batches(table, columns):
        audio = batch.column(AUDIO)
        values = [batch.column(column).to_pylist() for column in columns]
        for at, told in enumerate(zip(*values, strict=True)):
            rows.append((*told, *_file(audio[at].as_py(), table, folder, len(rows))))
        bar.update(batch.num_rows)
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


def _batches(table: Table, columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
    """A few rows at a time, of the wanted columns and the audio."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = [*columns, AUDIO]
    try:
        if table.path.suffix == ".parquet":
            with pq.ParquetFile(table.path, buffer_size=READ_BYTES, pre_buffer=False) as opened:
                _refuse_columns(table, opened.schema_arrow, wanted)
                yield from opened.iter_batches(ROWS_AT_A_TIME, columns=wanted, use_threads=False)
            return
        with pa.memory_map(str(table.path)) as mapped, _open_arrow(mapped) as opened:
            _refuse_columns(table, opened.schema, wanted)
            for batch in opened:
                for start in range(0, batch.num_rows, ROWS_AT_A_TIME):
                    yield batch.select(wanted).slice(start, ROWS_AT_A_TIME)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{table.path}: expected a table in Parquet or Arrow. Received: {reason}. "
            "Is it fetched in full?"
        ) from None


def _open_arrow(mapped) -> pyarrow.ipc.RecordBatchStreamReader:
    """An Arrow stream, as `datasets` writes."""
    import pyarrow as pa

    return pa.ipc.open_stream(mapped)


def _refuse_columns(table: Table, schema: pyarrow.Schema, wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in schema.names]
    if missing:
        raise ValueError(
            f"{table.path}: expected the columns {', '.join(wanted)}. "
            f"Received: {', '.join(schema.names)}; no {', no '.join(missing)}."
        )


def _count_rows(table: Table) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if table.path.suffix == ".parquet":
            return pq.read_metadata(table.path).num_rows
        with pa.memory_map(str(table.path)) as mapped, _open_arrow(mapped) as opened:
            return sum(batch.num_rows for batch in opened)
    except (pa.ArrowInvalid, OSError):
        return 0  # reading says what is wrong


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
