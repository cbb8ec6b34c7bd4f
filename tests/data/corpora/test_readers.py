"""Every reader on a tiny replica of its data set's true layout: what all of them must do."""

from pathlib import Path

import pytest
from replicas import REPLICAS, indictts_saved

from tfpipeline.data.audio.decode import decode
from tfpipeline.data.clips import LABELS, MANIFEST_COLUMNS, check_parts
from tfpipeline.data.corpora import CORPORA, DATA_SETS, load_corpus

ALL = {**REPLICAS, "indictts saved": indictts_saved}
# Test sets only, or too small to give every part both classes.
ONE_PART = {"asvspoof2021_la", "asvspoof2021_df", "sonar"}
# The label file or folder that names no audio is what the folder tells.
BY_FOLDER = {
    "indictts",
    "fake_or_real",
    "wavefake",
    "deep_voice",
    "cfad",
    "dfadd",
    "librisevoc",
    "sonar",
}


def name_of(case):
    return case.split(" ")[0]


def first_path(path):
    return Path(str(path).partition("+")[0])


@pytest.mark.parametrize("case", ALL)
def test_a_replica_is_read(case, tmp_path, pieces):
    path = ALL[case](tmp_path / "set", pieces)
    clips = load_corpus(f"{name_of(case)}:{path}")
    assert list(clips)[:10] == ["clip_id", *MANIFEST_COLUMNS]
    assert set(clips["label"]) == set(LABELS)
    assert ((clips["attack"] == "-") == (clips["label"] == "bonafide")).all()
    assert clips.drop(columns="seconds").map(lambda cell: isinstance(cell, str)).all().all()
    assert len(decode(clips["path"].iloc[0]).waveform) == pytest.approx(3200, abs=1)
    assert clips["path"].map(lambda file: Path(file).is_file()).all()
    if case not in ONE_PART:
        check_parts(clips, case)
        assert set(clips["part"]) <= {"train", "validation", "test", "unseen"}


@pytest.mark.parametrize("case", sorted(set(REPLICAS) - BY_FOLDER))
def test_marks_line_ends_and_blanks_do_not_matter(case, tmp_path, pieces):
    plain = load_corpus(f"{case}:{REPLICAS[case](tmp_path / 'a', pieces)}")
    awkward = load_corpus(f"{case}:{REPLICAS[case](tmp_path / 'b', pieces, awkward=True)}")
    assert plain.drop(columns="path").equals(awkward.drop(columns="path"))


@pytest.mark.parametrize("case", ALL)
def test_no_split_where_none_is_wanted(case, tmp_path, pieces):
    path = ALL[case](tmp_path / "set", pieces)
    clips = load_corpus(f"{name_of(case)}:{path}", split=False)
    official = set(load_corpus(f"{name_of(case)}:{path}")["part"])
    assert set(clips["part"]) in ({"-"}, official)


@pytest.mark.parametrize("case", ALL)
def test_a_path_that_is_too_high_is_told(case, tmp_path, pieces):
    path = ALL[case](tmp_path / "above" / "set", pieces)
    first = first_path(path)
    with pytest.raises(ValueError, match=r"a path one level too high\.") as raised:
        load_corpus(f"{name_of(case)}:{first.parent}")
    message = str(raised.value)
    assert message.startswith(f"{name_of(case)}:{first.parent}: expected ")
    assert f"Name {name_of(case)}:{first}." in message
    assert "\n" not in message


@pytest.mark.parametrize("case", ALL)
def test_a_path_that_is_too_low_is_told(case, tmp_path, pieces):
    path = first_path(ALL[case](tmp_path / "set", pieces))
    empty = path / "extra"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"a path one level too low\.") as raised:
        load_corpus(f"{name_of(case)}:{empty}")
    assert f"Name {name_of(case)}:{path}." in str(raised.value)


@pytest.mark.parametrize("case", REPLICAS)
def test_a_folder_of_something_else_is_told(case, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.wav").touch()
    with pytest.raises(ValueError, match=r"Received: (no .*; )?in .*: beach\.wav\.$") as raised:
        load_corpus(f"{case}:{tmp_path / 'holiday'}")
    assert f"expected {DATA_SETS[case].layout}." in str(raised.value)


@pytest.mark.parametrize("case", REPLICAS)
def test_a_path_that_is_no_folder(case, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent: no such folder"):
        load_corpus(f"{case}:{tmp_path / 'absent'}")
    (tmp_path / "archive.zip").touch()
    with pytest.raises(NotADirectoryError, match=r"expected a folder\. Received: a file\. Unpack"):
        load_corpus(f"{case}:{tmp_path / 'archive.zip'}")
    with pytest.raises(
        ValueError, match=rf"--data {case} needs a PATH\. Received: none\. Expected"
    ):
        load_corpus(case)


@pytest.mark.parametrize("case", sorted(set(REPLICAS) - BY_FOLDER))
def test_absent_audio_is_refused_with_count_and_examples(case, tmp_path, pieces):
    path = REPLICAS[case](tmp_path / "set", pieces)
    audio = [f for f in Path(tmp_path / "set").rglob("*") if f.suffix in (".wav", ".flac")]
    for file in (f for f in audio if "m-ailabs" not in f.parts):
        file.unlink()
    with pytest.raises(ValueError, match=r"Received: (\d+) of \1 absent: \S+") as raised:
        load_corpus(f"{case}:{path}")
    assert "Is it unpacked in full, and the protocol of this edition?" in str(raised.value)


@pytest.mark.parametrize("case", sorted(set(REPLICAS) - BY_FOLDER))
def test_audio_that_is_not_named_is_left_out(case, tmp_path, pieces, capsys):
    path = REPLICAS[case](tmp_path / "set", pieces)
    before = load_corpus(f"{case}:{path}")
    capsys.readouterr()
    folder = Path(before["path"][before["label"] == "spoof"].iloc[0]).parent
    (folder / "stranger.wav").touch()
    (folder / ".hidden.wav").touch()
    (folder / "notes.txt").touch()
    assert load_corpus(f"{case}:{path}").equals(before)
    said = [line for line in capsys.readouterr().err.splitlines() if "stranger" in line]
    if case not in ONE_PART:  # the other subsets' audio lies there, and nothing is said of it
        assert len(said) == 1
        assert said[0].startswith(f"{case}: 1 audio files in ")


@pytest.mark.parametrize("case", sorted(set(REPLICAS) - {"indictts"}))
def test_endings_in_either_case(case, tmp_path, pieces):
    path = REPLICAS[case](tmp_path / "set", pieces)
    before = load_corpus(f"{case}:{path}")
    for file in before["path"]:
        # In a folder that ignores case this renames nothing, and that is right too.
        Path(file).rename(Path(file).with_suffix(Path(file).suffix.upper()))
    after = load_corpus(f"{case}:{path}")
    assert after["label"].tolist() == before["label"].tolist()
    assert after["part"].tolist() == before["part"].tolist()
    assert {Path(file).suffix for file in after["path"]} <= {".WAV", ".FLAC"}


@pytest.mark.parametrize("case", sorted(set(REPLICAS) - {"mlaad", "sonar"}))
def test_counts_that_are_off_are_told(case, tmp_path, pieces, capsys):
    load_corpus(f"{case}:{REPLICAS[case](tmp_path / 'set', pieces)}")
    said = [line for line in capsys.readouterr().err.splitlines() if "counts are off" in line]
    assert len(said) == 1
    assert "(published: " in said[0]


@pytest.mark.parametrize("corpus", DATA_SETS.values(), ids=lambda corpus: corpus.name)
def test_every_data_set_states_what_it_is(corpus):
    assert corpus.name in CORPORA
    for text in (corpus.title, corpus.what, corpus.license, corpus.citation, corpus.layout):
        assert text.strip() == text != ""
    assert corpus.home.startswith("http")
    assert set(corpus.counts) <= {"train", "validation", "test", "unseen", "all"}
    assert set(REPLICAS) == set(DATA_SETS)
