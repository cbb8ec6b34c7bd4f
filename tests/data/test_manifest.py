import numpy as np
import pandas as pd
import pytest

from tfpipeline.data.clips import MANIFEST_COLUMNS, check_parts
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.corpora.manifest import read_table
from tfpipeline.data.corpora.reading.clip_paths import missing_files


def table(folder, n=20, **columns):
    """`n` bonafide and `n` spoof clips, as a data frame; their files are made."""
    names = [f"{label}{number:02}.wav" for number in range(n) for label in ("r", "f")]
    for name in names:
        (folder / name).touch()
    clips = pd.DataFrame({"path": names, "label": ["Real", "tts"] * n})
    return clips.assign(**columns)


def write(folder, clips, name="clips.csv", **options):
    clips.to_csv(folder / name, index=False, **options)
    return folder / name


def test_columns_are_understood_and_others_kept(tmp_path):
    clips = table(tmp_path, mood="calm", seconds=2.5, Language="de", attack="x")
    clips, said = read_table(write(tmp_path, clips))
    assert list(clips) == ["clip_id", *MANIFEST_COLUMNS, "mood"]
    assert clips["label"].tolist() == ["bonafide", "spoof"] * 20
    assert clips["attack"].tolist() == ["-", "x"] * 20
    assert set(clips["language"]) == {"de"}
    assert (clips["seconds"] == 2.5).all()
    assert clips["path"][0] == str(tmp_path / "r00.wav")
    assert clips["clip_id"][0] == "r00.wav"
    assert said[0].startswith("split by file, by the table's columns: 40 files (train 28, ")
    check_parts(clips, "table")


def test_a_spoof_without_attack_is_called_as_its_label(tmp_path):
    clips, _ = read_table(write(tmp_path, table(tmp_path)))
    assert clips["attack"].tolist() == ["-", "tts"] * 20


def test_parquet_is_read_as_csv_is(tmp_path):
    clips = table(tmp_path, seconds=[2.5, np.nan] * 20, speaker=[None, "b"] * 20, take=3)
    clips["label"] = clips["label"].astype("category")
    clips.to_parquet(tmp_path / "clips.table")
    one, _ = read_table(tmp_path / "clips.table")
    two, _ = read_table(write(tmp_path, clips))
    pd.testing.assert_frame_equal(one.drop(columns="take"), two.drop(columns="take"))
    assert set(one["take"]) == {3}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_do_not_matter(tmp_path, encoding, line):
    (tmp_path / "ä, 日本.wav").touch()
    clips = pd.concat(
        [table(tmp_path), pd.DataFrame({"path": ["ä, 日本.wav"], "label": ["Bona Fide"]})]
    )
    path = write(tmp_path, clips, encoding=encoding, lineterminator=line)
    clips, _ = read_table(path)
    assert clips["clip_id"].iloc[-1] == "ä, 日本.wav"
    assert clips["label"].iloc[-1] == "bonafide"


def test_paths_that_look_like_nothing_stay_text(tmp_path):
    for name in ("NA", "null", "007"):
        (tmp_path / name).touch()
    clips = pd.concat(
        [table(tmp_path), pd.DataFrame({"path": ["NA", "null", "007"], "label": "ai"})]
    )
    clips, _ = read_table(write(tmp_path, clips))
    assert clips["clip_id"].tolist()[-3:] == ["NA", "null", "007"]


@pytest.mark.parametrize("column", ["part", "split", "Split"])
def test_given_parts_are_kept(tmp_path, column):
    parts = ["Training", "training", "dev", "val", "EVAL", "test", "test", "unseen", "mine", "-"]
    clips = table(tmp_path, 5, **{column: parts}).iloc[:9]
    clips, said = read_table(write(tmp_path, clips))
    assert clips["part"].tolist() == [
        "train",
        "train",
        "validation",
        "validation",
        "test",
        "test",
        "test",
        "unseen",
        "mine",
    ]
    assert said == [
        "parts as the table names them: test 3, train 2, validation 2, unseen 1, mine 1"
    ]


def test_split_by_speaker(tmp_path):
    speakers = [f"s{number // 4}" for number in range(40)]
    clips, said = read_table(write(tmp_path, table(tmp_path, speaker=speakers)))
    assert said[0] == (
        "split by speaker, by the table's columns: 10 speakers (train 7, validation 1, test 2)"
    )
    assert (clips.groupby("speaker")["part"].nunique() == 1).all()
    check_parts(clips, "table")


def test_split_by_speaker_keeps_shared_sources_together(tmp_path):
    # Voice conversion: the spoof has its source from one speaker, its voice from another.
    speakers = [f"s{number // 2 % 20}" for number in range(40)]
    clips = table(tmp_path, speaker=speakers, source="-")
    clips.loc[[0, 3], "source"] = "x"
    clips, said = read_table(write(tmp_path, clips))
    assert "by speaker" in said[0]
    assert clips.loc[clips["speaker"].isin(["s0", "s1"]), "part"].nunique() == 1
    check_parts(clips, "table")


def test_too_few_speakers_are_put_aside(tmp_path):
    sources = [f"x{number // 2}" for number in range(40)]
    clips = table(tmp_path, speaker=["LJ"] * 40, source=sources)
    clips, said = read_table(write(tmp_path, clips))
    assert said[0].startswith("split by source recording, by the table's columns: 20 source rec")
    assert "the 1 speakers are too few to give every part both classes" in said[0]
    assert (clips["speaker"] == "-").all()
    check_parts(clips, "table")


def test_rows_without_a_speaker_are_told(tmp_path):
    speakers = [f"s{number // 2}" if number % 2 == 0 else "" for number in range(40)]
    clips, said = read_table(write(tmp_path, table(tmp_path, speaker=speakers)))
    assert "20 clips tell no speaker and are assigned alone" in said[0]
    check_parts(clips, "table")


def test_a_leak_in_given_parts_is_refused_in_training_alone(tmp_path):
    parts = ["train", "train", "validation", "validation", "test", "test"]
    clips, _ = read_table(write(tmp_path, table(tmp_path, 3, part=parts, speaker=list("abcdea"))))
    with pytest.raises(ValueError, match=r"no speaker overlaps .* Received: a in test, train"):
        check_parts(clips, "table")
    check_parts(clips, "table", apart=())


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (2, "label", "robot", r"clips\.csv, row 3: a label is .* 'robot', one of 1 .* deepfake"),
        (2, "label", "", r"row 3: a label is a word for bonafide or spoof\. Received: '-'"),
        (4, "label", "1", r"row 5: a label is a word\. Received: '1'\. Which is which\?"),
        (4, "label", "True", r"row 5: a label is a word\. Received: 'True'\. Which is which\?"),
        (1, "path", "", r"row 2: expected a path\. Received: an empty cell"),
        (5, "path", "r00.wav", r"row 6: each file .*/r00\.wav again, first in row 1; 1 such"),
        (5, "path", "./r00.wav", r"row 6: each file stands in a table once"),
        (3, "seconds", "4:10", r"row 4: seconds must be .* Received: '4:10'"),
        (3, "seconds", "-1", r"row 4: seconds must be a number above 0, or empty"),
        (3, "part", "", r"row 4: every clip has a part, .* no part in 1 of 40 rows"),
    ],
)
def test_bad_cells_are_named_by_row(tmp_path, row, column, value, message):
    clips = table(tmp_path, seconds="4.0", part="train").astype(object)
    clips.loc[row, column] = value
    with pytest.raises(ValueError, match=message) as raised:
        read_table(write(tmp_path, clips))
    assert "\n" not in str(raised.value)


def test_unknown_labels_are_counted_and_the_first_ones_told(tmp_path):
    clips = table(tmp_path)
    clips.loc[[2, 5, 6, 9], "label"] = ["robot", "robot", "who knows", "maybe"]
    message = r"row 3: .* 'robot', one of 4 such rows, as well as 'who knows', 'maybe'\. Known"
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, clips))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["real", "fake", "real"], r"r00\.wav again, .*; 2 such rows, 1 files with different"),
        (["real", "real", "real"], r"r00\.wav again, first in row 1; 2 such rows\.$"),
    ],
)
def test_files_that_stand_twice_with_other_labels_are_told(tmp_path, labels, message):
    clips = table(tmp_path)
    again = pd.DataFrame({"path": ["r00.wav"] * 2, "label": labels[1:]})
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, pd.concat([clips, again])))


def test_ids_that_stand_twice_are_counted_and_contradictions_come_first(tmp_path):
    clips = table(tmp_path).assign(clip_id=[f"c{n}" for n in range(40)])
    clips.loc[[2, 5], "clip_id"] = "c0"  # real, and fake
    clips.loc[7, "clip_id"] = "c9"  # both fake
    message = r"Received: c0, c9 more than once, 2 such ids, 1 of them with different labels"
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, clips))
    clips.loc[[2, 5], "clip_id"] = ["c2", "c5"]
    with pytest.raises(ValueError, match=r"c9 more than once, 1 such ids, with the same labels"):
        read_table(write(tmp_path, clips))


def test_missing_files_are_counted_and_named(tmp_path):
    clips = table(tmp_path, 40)
    for name in ("r03.wav", "f20.wav"):
        (tmp_path / name).unlink()
    clips.loc[0, "path"] = "nowhere/x.wav"
    clips.loc[1, "path"] = "/nowhere/y.wav"
    message = r"4 of 80 missing: .*nowhere/x\.wav \(row 1\), /nowhere/y\.wav \(row 2\), .*r03.* …"
    with pytest.raises(ValueError, match=message):
        read_table(write(tmp_path, clips))


def test_files_are_looked_up_in_large_and_small_folders(tmp_path):
    (tmp_path / "large").mkdir()
    (tmp_path / "small").mkdir()
    paths = [str(tmp_path / "large" / str(number)) for number in range(100)]
    paths += [str(tmp_path / "small" / str(number)) for number in range(3)]
    paths += [str(tmp_path / "none" / str(number)) for number in range(50)]
    for at, path in enumerate(paths[:103]):
        if at not in (7, 101):
            open(path, "w").close()
    assert missing_files(paths) == [7, 101, *range(103, 153)]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", r"Received: an empty file"),
        (b" \n\n", r"Received: an empty file"),
        (b"path,label\n", r"Received: 0 rows"),
        (
            b"sound,label\na,real\n",
            r"expected the columns path and label\. .*sound, label; no path\.",
        ),
        (b"path:label\na:real\n", r"path:label; no path and no label\. Is there a header\?"),
        (b"path,label\na,real\nb,fake,x,y\n", r"in CSV or Parquet\. Received: .*line 3"),
        (b"path,label\na,real,x\n", r"in CSV or Parquet\. Received: "),
        (b"path,label\n\x81.wav,real\n", r"byte 0x81, which is neither UTF-8 nor Windows-1252"),
        (b"path,label\n\xe4.wav,real\n", r"not UTF-8: expected every file .*/\xe4\.wav \(row 1"),
        (b"PK\x03\x04\x14\0\x06\0", r"Received: an Excel workbook, or a zip\. .* save it as CSV"),
        (b'path,label\n"a,real\n', r"in CSV or Parquet\. Received: "),
        (b"PAR1 and then nothing", r"in CSV or Parquet\. Received: "),
        (b"RIFF\0\0\0\0WAVEfmt ", r"in CSV or Parquet\. Received: binary data"),
        ("path,label\na,real\n".encode("utf-16"), r"read as UTF-16: expected every file"),
    ],
)
def test_files_that_are_no_table(tmp_path, contents, message):
    (tmp_path / "clips.csv").write_bytes(contents)
    with pytest.raises(ValueError, match=message) as raised:
        read_table(tmp_path / "clips.csv")
    assert str(raised.value).startswith(f"{tmp_path}/clips.csv")
    assert "\n" not in str(raised.value)


def test_numbers_in_parquet_are_refused_too(tmp_path):
    table(tmp_path).assign(label=[0, 1] * 20).to_parquet(tmp_path / "clips.parquet")
    with pytest.raises(ValueError, match=r"row 1: a label is a word\. Received: '0'"):
        read_table(tmp_path / "clips.parquet")


def test_a_path_that_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.csv: no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match=r"Received: a folder\. .* --data folder:"):
        read_table(tmp_path)
    with pytest.raises(ValueError, match=r"--data manifest needs a PATH.*manifest:clips\.csv"):
        load_corpus("manifest")


def test_as_a_corpus_it_says_how_it_split(tmp_path, capsys):
    clips = load_corpus(f"manifest:{write(tmp_path, table(tmp_path))}")
    assert len(clips) == 40
    assert capsys.readouterr().err.startswith("manifest: split by file, by the table's columns: 40")


def test_other_names_of_the_path_and_no_split_where_none_is_wanted(tmp_path):
    clips = table(tmp_path).rename(columns={"path": "File"})
    path = write(tmp_path, clips)
    read, said = read_table(path, split=False)
    assert set(read["part"]) == {"-"}
    assert said == []
    assert len(read) == len(clips)


@pytest.mark.parametrize("name", ["audio", "wavs", "clips"])
def test_audio_in_a_folder_beside_the_table_is_found_and_told(tmp_path, name):
    (tmp_path / name).mkdir()
    clips = table(tmp_path / name).rename(columns={"path": "file_name"})
    path = write(tmp_path, clips)
    read, said = read_table(path)
    assert said[0] == f"the audio lies in {tmp_path / name}"
    assert read["path"].tolist() == [str(tmp_path / name / file) for file in clips["file_name"]]
    assert read["clip_id"].tolist() == clips["file_name"].tolist()
    (tmp_path / name / "f07.wav").unlink()
    with pytest.raises(ValueError, match=rf"1 of 40 missing: .*{name}/f07\.wav \(row 16\)"):
        read_table(path)


def test_audio_right_beside_the_table_comes_first(tmp_path):
    (tmp_path / "audio").mkdir()
    table(tmp_path / "audio")
    read, said = read_table(write(tmp_path, table(tmp_path)))
    assert read["path"][0] == str(tmp_path / "r00.wav")
    assert "audio lies" not in " ".join(said)
