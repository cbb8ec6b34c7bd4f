"""Data sets of Hugging Face: what `datasets` wrote is read as it reads it; the rest in one line."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.corpora.hf import read_hf

SETS = Path(__file__).parents[2] / "fixtures" / "hf_sets.zip"
LABELS = {"human": "bonafide", "deepfake": "spoof"}


@pytest.fixture
def sets(tmp_path):
    """Data sets that `datasets` wrote, and what it reads from them (tests/fixtures)."""
    with zipfile.ZipFile(SETS) as archive:
        archive.extractall(tmp_path / "sets")
    return tmp_path / "sets"


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def make(folder, audio, name="train-00000-of-00001.parquet", **columns):
    """A table of a clip each for the values of `audio`."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or {"label": ["real", "fake"] * (len(audio) // 2)}
    pq.write_table(pa.table({"audio": audio, **columns}), file)
    return folder


def recordings(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


@pytest.mark.parametrize("name", ["saved", "saved_alone", "shards"])
def test_rows_are_those_that_datasets_reads(sets, name):
    expected = json.loads((sets / "expected.json").read_text())[name]
    clips, said = read_hf(str(sets / name), split=False)
    read = zip(
        clips["hf_split"], clips["label"], clips["speaker"], clips["path"].map(sha256), strict=True
    )
    assert list(read) == [(own[0], LABELS[own[1]], *own[2:]) for own in expected]
    assert clips["attack"].tolist() == [
        "deepfake" if own[1] == "deepfake" else "-" for own in expected
    ]
    assert clips["clip_id"].is_unique
    alone = name == "saved_alone"
    assert set(clips["part"]) == ({"-"} if alone else {"train", "validation", "test"})
    assert said == ([] if alone else [f"parts as the table names them: {counts(clips)}"])


def counts(clips):
    return ", ".join(f"{part} {n}" for part, n in clips["part"].value_counts().items())


def test_one_split_is_split_anew_and_that_is_said(sets, capsys):
    clips = load_corpus(f"hf:{sets / 'saved_alone'}")
    assert set(clips["part"]) <= {"train", "validation", "test"}
    assert capsys.readouterr().err.startswith("hf: split by ")


def test_missing_shards_are_told(sets):
    (sets / "shards/data/train-00001-of-00003.parquet").unlink()
    clips, said = read_hf(str(sets / "shards"))
    assert said[0] == "1 shards are not there, such as train-00001-of-00003"
    assert (clips["part"] == "train").sum() == 8


def test_the_cache_of_the_hub_and_other_names_of_folders(sets, tmp_path):
    first = read_hf(str(sets / "shards"))[0]
    snapshot = tmp_path / "datasets--a--b/snapshots/0123"
    snapshot.parent.mkdir(parents=True)
    (sets / "shards").rename(snapshot)
    assert read_hf(str(tmp_path / "datasets--a--b"))[0].equals(first)
    # As the hub converts: data/train/0000.parquet.
    moved = tmp_path / "converted"
    for split in ("train", "validation", "test"):
        (moved / split).mkdir(parents=True)
        for at, file in enumerate(sorted((snapshot / "data").glob(f"{split}-*"))):
            shutil.copy(file, moved / split / f"{at:04}.parquet")
    assert read_hf(str(moved))[0].equals(first)
    (tmp_path / "below").mkdir()
    moved.rename(tmp_path / "below/data")
    assert read_hf(str(tmp_path / "below"))[0].equals(first)


def test_splits_that_are_no_parts_stay_a_column(sets):
    saved = sets / "saved"
    (saved / "validation").rename(saved / "clean")
    (saved / "dataset_dict.json").write_text('{"splits": ["train", "clean", "test"]}')
    clips, said = read_hf(str(saved), split=False)
    assert "the splits clean, test, train are no parts: kept in the column hf_split" in said
    assert set(clips["part"]) == {"-"}
    assert (clips["hf_split"] == "clean").sum() == 4


def test_nested_audio_and_a_column_of_systems(sets):
    clips, _ = read_hf(f"{sets / 'nested'}+label=system+bonafide=human", split=False)
    assert clips["label"].tolist() == ["bonafide", "spoof"] * 4
    assert clips["attack"].tolist() == ["-", "vits", "-", "bark"] * 2
    with pa.memory_map(str(next((sets / "nested").glob("*.arrow")))) as file:
        rows = pa.ipc.open_stream(file).read_all().to_pylist()
    expected = [hashlib.sha256(row["take"]["sound"]["bytes"]).hexdigest() for row in rows]
    assert [sha256(path) for path in clips["path"]] == expected
    named = f"{sets / 'nested'}+audio=take.sound+label=system+bonafide=human+source=take.text"
    assert set(read_hf(named, split=False)[0]["source"]) == {"x"}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("place", ["set", "set/data"])
def test_plain_paths_relative_to_the_table_and_absolute(tmp_path, nested, place):
    recordings(tmp_path, "set/wavs/a.wav", "set/wavs/b.wav", "elsewhere/c.wav", "set/wavs/d.wav")
    absolute = str(tmp_path / "elsewhere/c.wav")
    written = ["wavs/a.wav", "wavs/b.wav", absolute, "wavs/d.wav"]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": None, "path": own} for own in written]
    audio = pa.array(rows, kind) if nested else written
    make(tmp_path / "set", audio, f"{'data/' * (place != 'set')}train.parquet")
    clips, _ = read_hf(str(tmp_path / "set"), split=False)
    names = ["set/wavs/a.wav", "set/wavs/b.wav", "elsewhere/c.wav", "set/wavs/d.wav"]
    # Above `data/`, they are as written too, from one of the folders that are looked in.
    assert [str(Path(own).relative_to(tmp_path)) for own in clips["path"]] == names


def test_paths_of_another_machine_and_moved_data_sets(tmp_path):
    recordings(tmp_path / "set", "a.flac", "b.flac")
    make(tmp_path / "set", ["C:\\data\\a.wav", "C:\\data\\b.wav"])
    clips, said = read_hf(str(tmp_path / "set"), split=False)
    assert clips["path"].tolist() == [str(tmp_path / "set" / own) for own in ("a.flac", "b.flac")]
    assert "a.flac for a.wav" in said[0] or "read as a.wav" in said[0]
    (tmp_path / "set").rename(tmp_path / "moved")
    clips, _ = read_hf(str(tmp_path / "moved"), split=False)
    assert clips["path"][0] == str(tmp_path / "moved/a.flac")
    (tmp_path / "moved/a.flac").unlink()
    with pytest.raises(ValueError, match=r"1 of 2 missing: C:\\data\\a\.wav \(row 1\)"):
        read_hf(str(tmp_path / "moved"))


def test_bytes_alone_and_samples(tmp_path):
    make(tmp_path / "raw", [b"one", b"two"])
    clips, _ = read_hf(str(tmp_path / "raw"), split=False)
    assert [Path(own).read_bytes() for own in clips["path"]] == [b"one", b"two"]
    samples = np.linspace(-0.5, 0.5, 80).astype(np.float32)
    rows = [{"array": samples * own, "sampling_rate": 8000, "path": None} for own in (1, 0.5)]
    make(tmp_path / "samples", [{**row, "array": row["array"].tolist()} for row in rows])
    clips, _ = read_hf(str(tmp_path / "samples"), split=False)
    with open(clips["path"][1], "rb") as file:
        contents = file.read()
    assert int.from_bytes(contents[24:28], "little") == 8000
    at = contents.index(b"data") + 8
    assert np.array_equal(np.frombuffer(contents[at : at + 320], "<f4"), rows[1]["array"])


@pytest.mark.parametrize(
    ("audio", "options", "message"),
    [
        (pa.array([None, "a.wav"]), "", r"or the path of a file\. Received: neither in row 1"),
        ([{"bytes": None, "path": None}] * 2, "", r"Received: neither in row 1"),
        ([1, 2], "", r"Received: a int in row 1\. Is another column meant\?"),
        ([["a.wav"], ["b.wav"]], "", r"a row is one clip\. Received: a list in each row of audio"),
        (["a.wav", "b.wav"], "+audio=sound", r"expected a column sound\. Received: audio, label"),
        (["a.wav", "b.wav"], "+speaker=who", r"expected a column who\. Received: audio, label"),
        (["a.wav", "b.wav"], "+spoof=tts", r"spoof=tts means values .* there: fake, real\."),
        (["a.wav", "b.wav"], "+spoof=real+bonafide=real", r"one label\. Received: real for both"),
        (["a.wav", "b.wav"], "+voice=x", r"each key once, of audio, label, .* Received: \+voice=x"),
        (["a.wav", "b.wav"], "+label", r"stands \+key=value, .* Received: \+label"),
        (["x.wav", "b.wav"], "", r"expected every file to be there\. Received: 1 of 2 missing: "),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, audio, options, message):
    recordings(tmp_path, "a.wav", "b.wav")
    make(tmp_path, audio, label=["real", "fake"])
    with pytest.raises(ValueError, match=message) as raised:
        read_hf(f"{tmp_path}{options}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("values", [[0, 1, -1, 1], [False, True, None, True], ["0", "1", "", "1"]])
def test_numbers_need_a_word_and_hidden_labels_are_left_out(tmp_path, values):
    names = ["a.wav", "b.wav", "c.wav", "d.wav"]
    recordings(tmp_path, *names)
    make(tmp_path, names, is_fake=values)
    with pytest.raises(ValueError, match=r"expected a column label\. .* \+label=is_fake\+spoof=1"):
        read_hf(str(tmp_path))
    with pytest.raises(ValueError, match=r"Received: (0, 1|False, True)\. Say what is what"):
        read_hf(f"{tmp_path}+label=is_fake")
    meant = "true" if isinstance(values[0], bool) else "1"
    clips, said = read_hf(f"{tmp_path}+label=is_fake+spoof={meant}", split=False)
    assert clips["label"].tolist() == ["bonafide", "spoof", "spoof"]
    assert clips["attack"].tolist() == ["-", "spoof", "spoof"]
    assert said == ["1 of 4 clips have no label, and are left out"]


def test_two_columns_of_audio_are_asked_for(tmp_path):
    audio = [{"bytes": b"a", "path": None}, {"bytes": b"b", "path": None}]
    pq.write_table(
        pa.table({"clean": audio, "noisy": audio, "label": ["real", "fake"]}),
        tmp_path / "train.parquet",
    )
    with pytest.raises(ValueError, match=r"columns clean, noisy\. Which is .* \+audio=clean"):
        read_hf(str(tmp_path))
    assert len(read_hf(f"{tmp_path}+audio=noisy", split=False)[0]) == 2


def test_columns_that_only_look_like_the_manifests(tmp_path):
    recordings(tmp_path, "a.wav", "b.wav")
    more = {"path": ["p", "q"], "split": ["dev", "test"], "source": ["web", "web"], "part": [1, 2]}
    make(tmp_path, ["a.wav", "b.wav"], label=["real", "fake"], **more)
    clips, _ = read_hf(str(tmp_path), split=False)
    assert set(clips["source"]) == set(clips["part"]) == {"-"}
    assert clips["path_written"].tolist() == ["p", "q"]
    clips, _ = read_hf(f"{tmp_path}+part=split+source=path+clip_id=path", split=False)
    assert clips["part"].tolist() == ["validation", "test"]
    assert clips["source"].tolist() == clips["clip_id"].tolist() == ["p", "q"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("inside", [False, True])
def test_audio_with_metadata(tmp_path, kind, inside):
    root = tmp_path / "a+set"
    names = [f"{split}/{at}.wav" for split in ("train", "test") for at in range(4)]
    recordings(root, *names)
    rows = pd.DataFrame(
        {"file_name": names, "label": ["real", "fake"] * 4, "speaker": list("aabbccdd")}
    )
    groups = [("train", rows[:4]), ("test", rows[4:])] if inside else [("", rows)]
    for folder, own in groups:
        if inside:
            own = own.assign(file_name=own["file_name"].str.rpartition("/")[2])
        file = root / folder / f"metadata.{kind}"
        if kind == "csv":
            own.to_csv(file, index=False)
        elif kind == "jsonl":
            own.to_json(file, orient="records", lines=True)
        else:
            own.to_parquet(file)
    clips, _ = read_hf(str(root))
    expected = [str(root / own) for own in names]
    assert sorted(clips["path"]) == sorted(expected)
    clips = clips.set_index("path").loc[expected]
    assert clips["part"].tolist() == ["train"] * 4 + ["test"] * 4
    assert clips["label"].tolist() == ["bonafide", "spoof"] * 4
    assert clips["speaker"].tolist() == list("aabbccdd")


def test_metadata_without_labels_takes_them_from_folders(tmp_path):
    recordings(tmp_path, "real/a.wav", "fake/b.wav")
    (tmp_path / "metadata.csv").write_text("file_name;speaker\nreal/a.wav;x\nfake/b.wav;y\n")
    clips, said = read_hf(str(tmp_path), split=False)
    assert clips["label"].tolist() == ["bonafide", "spoof"]
    assert said == ["columns are separated by semicolons"]
    (tmp_path / "metadata.csv").write_text("file_name,speaker\nreal/c.wav,x\n")
    with pytest.raises(ValueError, match=r"1 of 1 missing: .*real/c\.wav"):
        read_hf(str(tmp_path))
    (tmp_path / "metadata.csv").write_text("name,speaker\nreal/c.wav,x\n")
    with pytest.raises(ValueError, match=r"expected a column file_name\. Received: name, speaker"):
        read_hf(str(tmp_path))
    (tmp_path / "metadata.csv").rename(tmp_path / "metadata.jsonl")
    with pytest.raises(ValueError, match=r"metadata\.jsonl: expected a table of clips"):
        read_hf(str(tmp_path))


def test_folders_that_hold_no_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent: no such folder"):
        read_hf(str(tmp_path / "absent"))
    recordings(tmp_path, "real/a.wav")
    with pytest.raises(ValueError, match=r"Received: .*real/.* --data folder:"):
        read_hf(str(tmp_path))
    with pytest.raises(ValueError, match=r"--data hf needs a PATH"):
        load_corpus("hf")


def test_an_arrow_file_is_read_as_a_stream_is(sets, tmp_path):
    first = read_hf(str(sets / "saved_alone"), split=False)[0]
    with pa.memory_map(str(next((sets / "saved_alone").glob("*.arrow")))) as file:
        table = pa.ipc.open_stream(file).read_all()
    (tmp_path / "file").mkdir()
    with pa.ipc.new_file(str(tmp_path / "file/data-00000-of-00001.arrow"), table.schema) as out:
        out.write_table(table, max_chunksize=5)
    assert read_hf(str(tmp_path / "file"), split=False)[0].equals(first)


def test_numbers_of_speakers_stay_whole_and_hidden_labels_alone_are_told(tmp_path):
    recordings(tmp_path, "a.wav", "b.wav")
    make(tmp_path, ["a.wav", "b.wav"], label=["real", "fake"], speaker=[3, None])
    assert read_hf(str(tmp_path), split=False)[0]["speaker"].tolist() == ["3", "-"]
    make(tmp_path, ["a.wav", "b.wav"], label=[-1, -1])
    with pytest.raises(ValueError, match=r"with labels\. Received: hidden ones only"):
        read_hf(f"{tmp_path}+spoof=1")
