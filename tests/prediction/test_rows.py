import csv
import io
import json

import pandas as pd
import pytest
from nasty_names import NAMES, UNDECODED

from tfpipeline.prediction.predict_files import FIELDS
from tfpipeline.prediction.rows import RowFile, TableLines, csv_line, json_line, printable

JUDGE = {"judge": "cnn", "fingerprint": "abc"}


def row(path, score=1 / 3):
    return {
        "path": path,
        "seconds": 8.1,
        "score": score,
        "llr": -1e-20,
        "probability": 0.1 + 0.2,
        "verdict": "spoof",
        "confidence": 0.3,
        "reason": None,
        "status": "ok",
        "remarks": ["header: tells no length, all that is there is read", 'channels: "l",\nr'],
        "evidence": [
            {"start": 0.0, "end": 4.0, "score": -1.5e-7},
            {"start": 4.1, "end": 8.1, "score": 2.0},
        ],
    }


def failed(path):
    return dict.fromkeys(FIELDS) | {
        "path": path,
        "evidence": [],
        "status": "missing",
        "remarks": [],
        "reason": f'{path}: "no", such\nfile',
    }


PATHS = ["a.wav", 'q"u,o\nte.wav', "ü 音.wav", "\udcff.wav", " s .wav", "''"]


def from_csv(text):
    """What a reader of CSV makes of the rows, in JSON's terms."""
    rows = []
    for cells in csv.DictReader(io.StringIO(text, newline="")):
        own = {key: cells[key] or None for key in FIELDS}
        for key in ("seconds", "score", "llr", "probability", "confidence"):
            own[key] = own[key] and float(own[key])
        own["evidence"] = []
        for part in cells["evidence"].split():
            place, score = part.split(":")
            start, end = place.split("-")
            own["evidence"].append(
                {"start": float(start), "end": float(end), "score": float(score)}
            )
        own["remarks"] = cells["remarks"].split("; ") if cells["remarks"] else []
        rows.append(own)
    return rows


def test_csv_and_json_say_the_same_and_nothing_is_nan():
    rows = [make(path) for path in PATHS for make in (row, failed)]
    lines = "".join(f"{json_line(own)}\n" for own in rows)
    assert "NaN" not in lines
    assert '"score": null' in lines
    read = [json.loads(line) for line in lines.splitlines()]
    assert read == rows == from_csv("\n".join([csv_line(), *map(csv_line, rows)]))
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_line(row("a", float("nan")))


def write(path, paths, **how):
    file = RowFile(path, JUDGE, **how)
    new = [name for name in paths if name not in file.done]
    for number, name in enumerate(new):
        file.add(failed(name) if (number + len(file.done)) % 2 else row(name))
    file.close()
    return file, len(new)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_torn_anywhere_is_completed(ending, tmp_path):
    whole = tmp_path / f"whole.{ending}"
    write(whole, PATHS)
    contents = whole.read_bytes()
    torn = tmp_path / f"torn.{ending}"
    kept = set()
    for size in range(len(contents) + 1):
        write(torn, [], overwrite=True)
        torn.write_bytes(contents[:size])
        file, new = write(torn, PATHS, resume=True)
        assert torn.read_bytes() == contents, size
        assert len(file.done) + new == len(PATHS)
        kept.add(len(file.done))
    assert kept == set(range(len(PATHS) + 1))  # no whole row was ever thrown away
    assert file.done == set(PATHS)
    assert file.failed == set(PATHS[1::2])


def test_any_name_is_read_back_and_resumed(tmp_path):
    """By csv and by pandas; and every row that is there is found again."""
    names = [*NAMES, *UNDECODED]
    path = tmp_path / "a.csv"
    write(path, names[: len(names) // 2])
    torn = path.read_bytes() + b'"torn\r\n'
    path.write_bytes(torn)
    file, new = write(path, names, resume=True)
    assert len(file.done) == len(names) // 2
    assert new == len(names) - len(names) // 2
    assert write(path, names, resume=True)[1] == 0
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [own["path"] for own in rows] == names
    table = pd.read_csv(
        path,
        keep_default_na=False,
        na_values=dict.fromkeys(("seconds", "score"), ""),
        dtype={"path": object, "reason": object},
        encoding_errors="surrogateescape",
    )
    assert table["path"].tolist() == names
    assert table["score"].isna().tolist() == [own["score"] == "" for own in rows]
    assert table["score"].dtype == float


def test_rows_are_there_before_the_file_is_closed(tmp_path):
    file = RowFile(tmp_path / "a.jsonl", JUDGE)
    file.add(row("a.wav"))
    assert json.loads((tmp_path / "a.jsonl").read_text()) == row("a.wav")
    file.close()


def test_a_file_is_not_replaced_or_mixed_unasked(tmp_path):
    path = tmp_path / "new" / "a.csv"
    write(path, PATHS)
    with pytest.raises(FileExistsError, match=r"with --resume, or replace it with\s+--overwrite"):
        RowFile(path, JUDGE)
    other = JUDGE | {"fingerprint": "abd"}
    with pytest.raises(ValueError, match=r"rows of the same judge, cnn\. Received: cnn in a\.csv"):
        RowFile(path, other, resume=True)
    RowFile(path, other, overwrite=True).close()
    assert path.read_text() == csv_line() + "\n"
    (tmp_path / "foreign.csv").write_text("mine")
    with pytest.raises(ValueError, match="Received: no record"):
        RowFile(tmp_path / "foreign.csv", JUDGE, resume=True)
    assert (tmp_path / "foreign.csv").read_text() == "mine"
    with pytest.raises(ValueError, match=r"must end in \.csv or \.jsonl\. Received: a\.txt"):
        RowFile(tmp_path / "a.txt", JUDGE)
    RowFile(tmp_path / "absent.jsonl", JUDGE, resume=True).close()


def test_a_table_grows_in_columns():
    long = "folder/" * 12 + "x.wav"
    table = TableLines(["a.wav", long])
    lines = [*table.header().splitlines(), *table.line(row("a.wav")).splitlines()]
    column = lines[0].index("verdict") + len("verdict")
    assert lines[2][:column].endswith("    spoof")
    assert lines[2].endswith("0.0-4.0 s, 4.1-8.1 s")
    first, second = table.line(row(long)).splitlines()
    assert first == f" {long}"  # whole, on its own line
    assert second[:column].endswith("    spoof")
    assert table.line(failed("b.wav")).endswith("missing")
    assert printable("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\udcff"
