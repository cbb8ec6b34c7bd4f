"""Audio inside tables: taken out once, whole, resumably, in the tables' order."""

import hashlib
import os
import time
from collections import namedtuple
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from replicas import indictts, indictts_rows, indictts_saved

from tfpipeline.data.corpora import load_corpus, load_hidden
from tfpipeline.data.corpora.reading import hf_audio as embedded
from tfpipeline.data.corpora.reading.hf_audio import extract_audio
from tfpipeline.data.corpora.reading.hf_tables import ROWS_AT_A_TIME, find_tables, read_batches

COLUMNS = ("text", "id", "language", "is_tts")
BUILDS = {"parquet": indictts, "arrow": indictts_saved}


@pytest.fixture(params=BUILDS)
def data_set(request, tmp_path, pieces):
    """A data set of tables, and the rows that are in it."""
    Made = namedtuple("Made", "path rows")
    build = BUILDS[request.param]
    rows = indictts_rows(type(pieces)(dict(enumerate(pieces.recordings))))
    return Made(build(tmp_path / "set", pieces), rows)


def refuse_to_read(*arguments):
    raise AssertionError("a table is read again")


def test_bytes_and_order_are_those_of_the_tables(data_set):
    tables = find_tables(data_set.path)
    assert [table.split for table in tables] == ["test", "train", "train"]
    clips = extract_audio(tables, COLUMNS)
    rows = data_set.rows["test"] + data_set.rows["train"]
    assert clips["id"].tolist() == [row["id"] for row in rows]
    assert clips["is_tts"].tolist() == [row["is_tts"] for row in rows]
    assert clips["text"].tolist() == [row["text"] for row in rows]
    for path, row in zip(clips["path"], rows, strict=True):
        assert Path(path).read_bytes() == row["audio"]["bytes"]
        assert Path(path).suffix == ".wav"


def test_what_is_out_is_not_read_again(data_set, own_cache, monkeypatch):
    first = extract_audio(find_tables(data_set.path), COLUMNS)
    monkeypatch.setattr(embedded, "read_batches", refuse_to_read)
    assert extract_audio(find_tables(data_set.path), COLUMNS).equals(first)
    # Nor when the data set moves, since its files keep their time.
    data_set.path.rename(data_set.path.with_name("moved"))
    moved = find_tables(data_set.path.with_name("moved"))
    assert extract_audio(moved, COLUMNS).equals(first)
    assert first["path"].str.startswith(str(own_cache / "embedded" / "audio")).all()


def test_a_table_that_changed_is_read_again(data_set):
    extract_audio(find_tables(data_set.path), COLUMNS)
    table = find_tables(data_set.path)[0]
    rows = data_set.rows["test"][:1]
    if table.path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), table.path)
    else:
        changed = pa.Table.from_pylist(rows)
        with pa.ipc.new_stream(str(table.path), changed.schema) as out:
            out.write_table(changed)
    clips = extract_audio(find_tables(data_set.path), COLUMNS)
    assert (clips["split"] == "test").sum() == 1


def test_lost_and_short_files_come_again(data_set):
    first = extract_audio(find_tables(data_set.path), COLUMNS)
    contents = [Path(path).read_bytes() for path in first["path"]]
    Path(first["path"][0]).unlink()
    Path(first["path"][5]).write_bytes(contents[5][:100])
    again = extract_audio(find_tables(data_set.path), COLUMNS)
    assert again.equals(first)
    assert [Path(path).read_bytes() for path in again["path"]] == contents


def test_a_stopped_run_goes_on_where_it_was(data_set, own_cache, monkeypatch):
    write, written = embedded._file, []

    def stop(audio, table, folder, row):
        if len(written) == 9:
            raise KeyboardInterrupt
        written.append(row)
        return write(audio, table, folder, row)

    monkeypatch.setattr(embedded, "_file", stop)
    with pytest.raises(KeyboardInterrupt):
        extract_audio(find_tables(data_set.path), COLUMNS)
    monkeypatch.setattr(embedded, "_file", write)
    there = list((own_cache / "embedded" / "audio").rglob("*.wav"))
    assert len(there) == 9
    old = time.time() - 1000
    for path in there:
        os.utime(path, (old, old))
    clips = extract_audio(find_tables(data_set.path), COLUMNS)
    assert len(clips) == 35
    assert all(path.stat().st_mtime == pytest.approx(old, abs=1) for path in there)
    assert not [path for path in own_cache.rglob("*") if path.name.startswith(".")]


def test_a_few_rows_at_a_time(tmp_path):
    rows = [
        {
            "text": "",
            "id": str(number),
            "language": "",
            "is_tts": 0,
            "audio": {"bytes": number.to_bytes(4, "big") * 50, "path": None},
        }
        for number in range(200)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-0.parquet", row_group_size=200)
    (table,) = find_tables(tmp_path)
    sizes = [batch.num_rows for batch in read_batches(table, [*COLUMNS, "audio"])]
    assert sum(sizes) == 200
    assert max(sizes) <= ROWS_AT_A_TIME
    clips = extract_audio([table], COLUMNS)
    digests = [hashlib.sha256(row["audio"]["bytes"]).hexdigest()[:32] for row in rows]
    assert [Path(path).stem for path in clips["path"]] == digests


def test_audio_that_a_table_only_names(tmp_path, pieces):
    file = pieces.write(tmp_path / "set" / "wavs" / "a.wav")
    row = {
        "text": "",
        "id": "a",
        "language": "",
        "is_tts": 1,
        "audio": {"bytes": None, "path": "wavs/a.wav"},
    }
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("id", pa.string()),
            ("language", pa.string()),
            ("is_tts", pa.int64()),
            ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ]
    )
    path = tmp_path / "set" / "data"
    path.mkdir()
    pq.write_table(pa.Table.from_pylist([row], schema), path / "train-0.parquet")
    clips = extract_audio(find_tables(tmp_path / "set"), COLUMNS)
    assert clips["path"].tolist() == [str(file)]
    row["audio"]["path"] = "wavs/b.wav"
    pq.write_table(pa.Table.from_pylist([row], schema), path / "train-0.parquet")
    with pytest.raises(ValueError, match=r"1 of 1 missing: .*wavs/b\.wav \(row 1\)"):
        extract_audio(find_tables(tmp_path / "set"), COLUMNS)


@pytest.mark.parametrize("kind", BUILDS)
def test_tables_that_are_cut_off(kind, tmp_path, pieces):
    path = BUILDS[kind](tmp_path / "set", pieces)
    table = next(own for own in find_tables(path) if own.split == "train")
    table.path.write_bytes(table.path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"in Parquet or Arrow\. Received: .*fetched in full\?$"):
        load_corpus(f"indictts:{path}")


def test_tables_of_another_data_set(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"id": "a", "label": 1}]), tmp_path / "train.parquet")
    with pytest.raises(ValueError, match=r"Received: id, label; no text, no language, no is_tts"):
        load_corpus(f"indictts:{tmp_path}")


def test_a_disk_that_is_too_full_is_told_first(data_set, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(embedded.shutil, "disk_usage", lambda path: usage(10, 9, 1))
    with pytest.raises(ValueError, match=r"needs 0\.0 GB\. Received: 0\.0 GB .*TFPIPELINE_CACHE"):
        extract_audio(find_tables(data_set.path), COLUMNS)


def test_what_datasets_computed_is_no_data(tmp_path, pieces):
    path = indictts_saved(tmp_path / "set", pieces)
    before = load_corpus(f"indictts:{path}")
    (path / "train" / "cache-0123.arrow").write_bytes(b"x")
    assert load_corpus(f"indictts:{path}").equals(before)


def test_hidden_labels_are_no_part_of_the_corpus(data_set, tmp_path):
    clips = load_corpus(f"indictts:{data_set.path}")
    assert not {"HIN_F_SAD_00009", "BEN_M_WIKI_00003"} & set(clips["clip_id"])
    hidden = load_hidden(f"indictts:{data_set.path}")
    assert hidden["clip_id"].tolist() == ["HIN_F_SAD_00009", "BEN_M_WIKI_00003", "HIN_F_SAD_00001"]
    assert "label" not in hidden
    with pytest.raises(ValueError, match=r"corpus with hidden labels: indictts\. Received: 'demo'"):
        load_hidden("demo")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train", r"expected clips whose label is hidden"),
        ("test", r"Received: hidden ones only"),
    ],
)
def test_one_split_alone(split, message, tmp_path, pieces):
    path = indictts(tmp_path / "set", pieces)
    for shard in (path / "data").glob("*.parquet"):
        if not shard.name.startswith(split):
            shard.unlink()
    load = load_hidden if split == "train" else load_corpus
    with pytest.raises(ValueError, match=message):
        load(f"indictts:{path}")


def test_labels_that_mean_nothing(tmp_path, pieces):
    rows = indictts_rows(pieces)["train"][:4]
    rows[2]["is_tts"] = 2
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-0.parquet")
    with pytest.raises(ValueError, match=r"is_tts must be 0, 1, or -1 .* Received: 2 for ASM_F_"):
        load_corpus(f"indictts:{tmp_path}")


def test_a_missing_shard_is_told_and_stops_a_submission(tmp_path, pieces, capsys):
    path = indictts(tmp_path / "set", pieces)
    (path / "data" / "train-00000-of-00002.parquet").unlink()
    load_corpus(f"indictts:{path}")
    assert "1 shards are not there, such as train-00000-of-00002" in capsys.readouterr().err
    assert len(load_hidden(f"indictts:{path}")) == 3
    shard = path / "data" / "test-00000-of-00001.parquet"
    shard.rename(shard.with_name("test-00001-of-00003-0123abc.parquet"))
    with pytest.raises(ValueError, match=r"Received: 2 shards less, such as test-00000-of-00003\."):
        load_hidden(f"indictts:{path}")


def test_a_submission_takes_no_other_audio_out(tmp_path, pieces, own_cache):
    load_hidden(f"indictts:{indictts(tmp_path / 'set', pieces)}")
    assert len(list(own_cache.rglob("*.wav"))) == 3
