import json

import pytest

from tfpipeline.files.atomic import atomic_file, replace_folder, write_json, write_text


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


def test_a_folder_replaces_an_older_one_whole(tmp_path):
    for name, content in (("target", "old"), ("built", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(content)
    (tmp_path / "target" / "left_over").write_text("x")
    replace_folder(tmp_path / "built", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["a"]
    assert (tmp_path / "target" / "a").read_text() == "new"
