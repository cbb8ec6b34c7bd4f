import csv
import json

import numpy as np
import pandas as pd
import pytest
from nasty_names import NAMES, UNDECODED

from tfpipeline.files.atomic import (
    atomic_file,
    replace_folder,
    write_json,
    write_table,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "scores.csv"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="disk"), atomic_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError("disk")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_file(tmp_path / "deep" / "picture.png") as partial:
        assert partial.suffix == ".png"
        partial.write_bytes(b"1")
    assert (tmp_path / "deep" / "picture.png").read_bytes() == b"1"


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "metrics.json", {"auc": float("nan")})
    write_json(tmp_path / "metrics.json", {"auc": None})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"auc": None}


@pytest.mark.parametrize("names", [NAMES, UNDECODED, ("a", "b,c", "NA")])
def test_tables_give_every_name_back(names, tmp_path):
    numbers = np.arange(len(names)) / 3
    numbers[1] = np.nan
    paths = pd.Series(names, dtype=object)
    table = pd.DataFrame({"path": paths, "x": numbers, "n": range(len(names)), "c\rd": "-"})
    write_table(tmp_path / "a.csv", table)
    read = pd.read_csv(
        tmp_path / "a.csv",
        na_values={"x": ""},
        keep_default_na=False,
        dtype={"path": object},
        float_precision="round_trip",
        encoding_errors="surrogateescape",
    )
    pd.testing.assert_frame_equal(read, table, check_exact=True)
    with open(tmp_path / "a.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(table)
    assert [row["path"] for row in rows] == list(names)
    np.testing.assert_array_equal([float(row["x"] or "nan") for row in rows], numbers)


def test_plain_tables_are_plain(tmp_path):
    write_table(tmp_path / "a.csv", pd.DataFrame({"path": ["a", "b c"], "x": [0.5, None]}))
    assert (tmp_path / "a.csv").read_bytes() == b"path,x\na,0.5\nb c,\n"


def test_a_folder_replaces_an_older_one_whole(tmp_path):
    for name, content in (("target", "old"), ("built", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(content)
    (tmp_path / "target" / "left_over").write_text("x")
    replace_folder(tmp_path / "built", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["a"]
    assert (tmp_path / "target" / "a").read_text() == "new"
