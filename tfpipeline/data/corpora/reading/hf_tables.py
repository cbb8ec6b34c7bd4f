"""Tables as Hugging Face's `datasets` writes them: Parquet shards, and folders of Arrow streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfpipeline.data.corpora.reading.names import part_from_name

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_A_TIME = 32
READ_BYTES = 1 << 20  # of a column that are read ahead; whole chunks may be a gigabyte
SHARD = re.compile(r"-(\d{5})-of-(\d{5})")


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


def missing_shards(tables: Sequence[Table]) -> list[str]:
    """Names, such as `train-00003-of-00035`, of shards that the others say there should be."""
    there: dict[tuple[str, str], set[int]] = {}
    for table in tables:
        found = SHARD.search(table.path.name)
        if found:
            there.setdefault((table.split, found[2]), set()).add(int(found[1]))
    return [
        f"{split}-{number:05}-of-{total}"
        for (split, total), own in sorted(there.items())
        for number in range(int(total))
        if number not in own
    ]


def read_batches(table: Table, columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
    """A few rows of a table at a time.

    Raises:
        ValueError: it is no such table, is cut off, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if table.path.suffix == ".parquet":
            with pq.ParquetFile(table.path, buffer_size=READ_BYTES, pre_buffer=False) as opened:
                _refuse_columns(table, opened.schema_arrow, columns)
                yield from opened.iter_batches(ROWS_AT_A_TIME, columns=columns, use_threads=False)
            return
        with pa.memory_map(str(table.path)) as mapped, _open_arrow(mapped) as opened:
            _refuse_columns(table, opened.schema, columns)
            for batch in opened:
                for start in range(0, batch.num_rows, ROWS_AT_A_TIME):
                    yield batch.select(columns).slice(start, ROWS_AT_A_TIME)
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


def _refuse_columns(table: Table, schema: pyarrow.Schema, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in schema.names]
    if missing:
        raise ValueError(
            f"{table.path}: expected the columns {', '.join(columns)}. "
            f"Received: {', '.join(schema.names)}; no {', no '.join(missing)}."
        )


def count_rows(table: Table) -> int:
    """How many rows a table has; 0 if it cannot be read, since reading it tells why."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if table.path.suffix == ".parquet":
            return pq.read_metadata(table.path).num_rows
        with pa.memory_map(str(table.path)) as mapped, _open_arrow(mapped) as opened:
            return sum(batch.num_rows for batch in opened)
    except (pa.ArrowInvalid, OSError):
        return 0
