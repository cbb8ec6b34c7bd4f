"""Tables as Hugging Face's `datasets` writes them: Parquet shards, and folders of Arrow streams."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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

    Shards are `train-00000-of-00035.parquet`, or `name-train-00000-of-00035.arrow`, in the folder,
    in `data/`, or in a folder for each split there; a saved folder has
    `train/data-00000-of-00002.arrow`, or names its split in `state.json` if it was saved alone.

    Returns:
        Splits by name, each in the order of its shards.
    """
    named = {"data", *_told(root / "dataset_dict.json", "splits", [])}
    inner = [child for child in root.iterdir() if child.name in named or part_from_name(child.name)]
    if (root / "data").is_dir():
        inner += [child for child in (root / "data").iterdir() if part_from_name(child.name)]
    found = []
    for folder in (root, *sorted(child for child in inner if child.is_dir())):
        for path in sorted([*folder.glob("*.parquet"), *folder.glob("*.arrow")]):
            # What `datasets` computed and kept beside its data is none of it; `metadata.parquet`
            # describes a folder of audio.
            if not path.name.startswith(("cache-", "tmp", ".", "metadata.")):
                found.append(Table(path, _split_of(path, root)))
    return sorted(found, key=lambda table: (table.split, str(table.path)))


def _split_of(path: Path, root: Path) -> str:
    """The split of a table, as its name tells, or its folder's."""
    stem = SHARD.split(path.stem)[0]
    last = stem.rpartition("-")[2]
    split = last if part_from_name(last) else stem.partition("-")[0]
    # `data-00000-of-00002.arrow`, `dataset.arrow`, `0000.parquet`: the folder tells.
    if split not in ("data", "dataset") and not split.isdigit():
        return split
    if path.parent not in (root, root / "data"):
        return path.parent.name
    return _told(path.parent / "state.json", "_split", None) or "train"


def _told(path: Path, key: str, default):
    """A value of a JSON file; the default where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default
    return content.get(key, default) if isinstance(content, dict) else default


def missing_shards(tables: Sequence[Table]) -> list[str]:
    """Names, such as `train-00003-of-00035`, of shards that the others say there should be."""
    there: dict[tuple[str, str], set[int]] = {}
    for table in tables:
        found = SHARD.search(table.path.name)
        if found:
            there.setdefault((table.split, found[2]), set()).add(int(found[1]))
    return [
        f"{split}-{number:05}-of-{total}"
        for (split, total), numbers in sorted(there.items())
        for number in range(int(total))
        if number not in numbers
    ]


def read_batches(table: Table, columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
    """A few rows of a table at a time.

    Raises:
        ValueError: it is no such table, is cut off, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(table):
        if table.path.suffix == ".parquet":
            with pq.ParquetFile(table.path, buffer_size=READ_BYTES, pre_buffer=False) as opened:
                _refuse_columns(table, opened.schema_arrow, columns)
                yield from opened.iter_batches(ROWS_AT_A_TIME, columns=columns, use_threads=False)
            return
        with pa.memory_map(str(table.path)) as mapped, _open_arrow(mapped) as opened:
            _refuse_columns(table, opened.schema, columns)
            tops = list(dict.fromkeys(_top(opened.schema, column) for column in columns))
            for batch in opened:
                for start in range(0, batch.num_rows, ROWS_AT_A_TIME):
                    yield batch.select(tops).slice(start, ROWS_AT_A_TIME)


@contextmanager
def _reading(table: Table):
    """Turns what Arrow says of a bad file into one line."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{table.path}: expected a table in Parquet or Arrow. Received: {reason}. "
            "Is it fetched in full?"
        ) from None


def schema_of(table: Table) -> pyarrow.Schema:
    """The columns of a table and their types.

    Raises:
        ValueError: it is no such table, or is cut off.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(table):
        if table.path.suffix == ".parquet":
            return pq.read_schema(table.path)
        with pa.memory_map(str(table.path)) as mapped, _open_arrow(mapped) as opened:
            return opened.schema


def features_of(table: Table) -> dict:
    """What `datasets` wrote of the columns, such as the names of classes; {} if nothing.

    It stands in the schema, or in `dataset_info.json` beside the table.
    """
    metadata = (schema_of(table).metadata or {}).get(b"huggingface")
    try:
        features = json.loads(metadata)["info"]["features"] if metadata else None
    except (ValueError, KeyError, TypeError):
        features = None
    if features is None:
        features = _told(table.path.parent / "dataset_info.json", "features", {})
    return features if isinstance(features, dict) else {}


def column_of(batch: pyarrow.RecordBatch, column: str) -> pyarrow.Array:
    """A column of a batch, or, as `outer.inner`, a field of one."""
    import pyarrow.compute as pc

    top = _top(batch.schema, column)
    array = batch.column(top)
    inner = column[len(top) + 1 :]
    return pc.struct_field(array, inner.split(".")) if inner else array


def type_of(schema: pyarrow.Schema, column: str) -> pyarrow.DataType | None:
    """The type of a column, or of a field `outer.inner`; None if there is none."""
    import pyarrow as pa

    top = _top(schema, column)
    if top not in schema.names:
        return None
    found = schema.field(top).type
    for name in filter(None, column[len(top) + 1 :].split(".")):
        if not pa.types.is_struct(found) or found.get_field_index(name) < 0:
            return None
        found = found.field(name).type
    return found


def _top(schema: pyarrow.Schema, column: str) -> str:
    return column if column in schema.names else column.partition(".")[0]


def _open_arrow(mapped) -> pyarrow.RecordBatchReader:
    """An Arrow stream, as `datasets` writes, or an Arrow file."""
    import pyarrow as pa

    if mapped.read(6) == b"ARROW1":
        whole = pa.ipc.open_file(mapped)
        batches = (whole.get_batch(at) for at in range(whole.num_record_batches))
        return pa.RecordBatchReader.from_batches(whole.schema, batches)
    mapped.seek(0)
    return pa.ipc.open_stream(mapped)


def _refuse_columns(table: Table, schema: pyarrow.Schema, columns: Sequence[str]) -> None:
    missing = [column for column in columns if type_of(schema, column) is None]
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
