"""Parts of a job on several machines: gaps, overlaps, records. Without Ray."""

import json

import pyarrow as pa
import pytest

from tfpipeline.workflows.many_machines.parts import RECORD, Parts, write_part


def numbers(first, end):
    return pa.table({"number": list(range(first, end))})


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path / "parts", {"list": "a"}, resume=False, overwrite=False)


def held(parts):
    return [row for _, table in parts.tables() for row in table["number"].to_pylist()]


def test_what_is_missing_is_cut_to_size(parts):
    assert parts.missing(7, 3) == [(0, 3), (3, 6), (6, 7)]
    write_part(parts.folder, 2, 5, numbers(2, 5))
    assert parts.missing(7, 10) == [(0, 2), (5, 7)]
    assert parts.missing(7, 1) == [(0, 1), (1, 2), (5, 6), (6, 7)]
    for first, end in parts.missing(7, 10):
        write_part(parts.folder, first, end, numbers(first, end))
    assert parts.missing(7, 1) == []
    assert held(parts) == list(range(7))


def test_rows_of_overlapping_parts_are_there_once(parts):
    for first, end in ((0, 4), (0, 1), (3, 6), (6, 8)):
        write_part(parts.folder, first, end, numbers(first, end))
    assert parts.missing(8, 10) == [(4, 6)]
    write_part(parts.folder, 4, 6, numbers(4, 6))
    assert held(parts) == list(range(8))
    parts.drop_overlapping()
    names = sorted(file.name for file in parts.folder.glob("*.parquet"))
    assert [name[5:24] for name in names] == [
        "000000000-000000004",
        "000000004-000000006",
        "000000006-000000008",
    ]
    # As pandas and Spark read such a folder.
    assert pa.parquet.read_table(parts.folder)["number"].to_pylist() == list(range(8))


def test_parts_of_another_job_are_refused(parts, tmp_path):
    write_part(parts.folder, 0, 1, numbers(0, 1))
    torn = parts.folder / ".part-000000001-000000002.77.partial.parquet"
    torn.write_bytes(b"PAR1")
    record = {"list": "a"}
    with pytest.raises(ValueError, match="Resume it with --resume"):
        Parts(parts.folder, record, resume=False, overwrite=False)
    with pytest.raises(ValueError, match=r"was begun with other list\. Received: now b, then a"):
        Parts(parts.folder, {"list": "b"}, resume=True, overwrite=False)
    assert Parts(parts.folder, record, resume=True, overwrite=False).missing(2, 9) == [(1, 2)]
    assert not torn.exists()
    assert Parts(parts.folder, record, False, overwrite=True).missing(2, 9) == [(0, 2)]
    assert json.loads((parts.folder / RECORD).read_text()) == record
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="which holds other files"):
            Parts(tmp_path / "mine", record, False, overwrite)
    assert (tmp_path / "mine/thesis.txt").exists()
