"""A folder of Parquet parts, each the rows of some inputs that follow one another.

`part-<first>-<end>.parquet` holds what became of the inputs first … end - 1. A part is whole or
absent, and a part that is written twice replaces itself: however often a piece of work is tried
again, each input has its rows once. Sorted by name, the parts are in the order of the inputs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tfpipeline.files.atomic import atomic_file, write_json

RECORD = "_job.json"  # readers of Parquet folders pass over names that begin so
NAME = re.compile(r"part-(\d+)-(\d+)\.parquet")


def write_part(folder: str | Path, first: int, end: int, table: pa.Table) -> None:
    """Writes the rows of the inputs first … end - 1."""
    with atomic_file(part_file(folder, first, end)) as partial:
        pyarrow.parquet.write_table(table, partial)


def part_file(folder: str | Path, first: int, end: int) -> Path:
    """Where the rows of the inputs first … end - 1 are."""
    return Path(folder) / f"part-{first:09d}-{end:09d}.parquet"


class Parts:
    """The parts of a job, which may have been begun before.

    Args:
        folder: of the parts.
        record: what must be the same for parts to be of one job; JSON-ready.
        resume: keep the parts that are there.
        overwrite: drop them.
    Raises:
        ValueError: there are parts and neither is asked for, or they are another job's; or the
            folder holds something else.
    """

    def __init__(self, folder: Path, record: dict[str, Any], resume: bool, overwrite: bool):
        self.folder = folder
        file = folder / RECORD
        if overwrite and file.exists():
            shutil.rmtree(folder)
        if not file.exists():
            if folder.is_dir() and any(folder.iterdir()):
                raise ValueError(
                    f"results go to a folder of their own. Received: {folder}, which holds other "
                    "files. Name another."
                )
            write_json(file, record)
            return
        if not resume:
            raise ValueError(
                f"{folder} is there already. Resume it with --resume, or replace it with "
                "--overwrite."
            )
        found = json.loads(file.read_text("utf-8"))
        for key, value in record.items():
            if found.get(key) != value:
                raise ValueError(
                    f"{folder} was begun with other {key}. Received: now {value}, then "
                    f"{found.get(key)}. Resume with the same, or delete the folder."
                )
        for torn in folder.glob(".part-*"):  # of workers that were killed
            torn.unlink(missing_ok=True)

    def missing(self, count: int, size: int) -> list[tuple[int, int]]:
        """The inputs, of `count`, that have no rows, as (first, end) of at most `size`."""
        gaps, place = [], 0
        for first, end in [*self._chain(), (count, count)]:
            if place < first:
                gaps.append((place, first))
            place = end
        return [
            (begin, min(begin + size, end))
            for first, end in gaps
            for begin in range(first, end, size)
        ]

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """(first input, its rows and those of the next ones), in order, one part at a time."""
        for first, end in self._chain():
            yield first, pyarrow.parquet.read_table(part_file(self.folder, first, end))

    def drop_overlapping(self) -> None:
        """Removes parts whose inputs others hold, as a worker of a killed job may leave."""
        kept = {part_file(self.folder, first, end).name for first, end in self._chain()}
        for file in self.folder.glob("part-*.parquet"):
            if file.name not in kept:
                file.unlink()

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder)

    def _chain(self) -> list[tuple[int, int]]:
        """(first, end) of parts that do not overlap, in order."""
        matches = [NAME.fullmatch(file.name) for file in self.folder.iterdir()]
        found = [tuple(map(int, match.groups())) for match in matches if match]
        chain, place = [], 0
        for first, end in sorted(found, key=lambda part: (part[0], -part[1])):
            if first >= place:
                chain.append((first, end))
                place = end
        return chain
