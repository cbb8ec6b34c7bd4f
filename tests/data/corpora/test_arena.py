"""The data sets of the Speech DF Arena that tell more than others do, and its protocol files."""

import pytest
from replicas import REPLICAS, write_lines

from tfpipeline.config import SplitConfig
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.splits import split_clips

# Of the machine that wrote a protocol.
ELSEWHERE = "/data/arena"


@pytest.fixture
def replica(tmp_path, pieces):
    """Name → `NAME:PATH`."""
    return lambda name: f"{name}:{REPLICAS[name](tmp_path / 'set', pieces)}"


@pytest.fixture
def protocol(tmp_path):
    """Lines below the header → the file."""
    return lambda *lines: write_lines(tmp_path / "protocol.csv", ["file_name,label", *lines])


def refused(name, message, error=ValueError):
    with pytest.raises(error, match=message) as raised:
        load_corpus(name)
    assert "\n" not in str(raised.value)


def test_a_track_of_add2022_alone(replica, capsys):
    path = replica("add2022")
    both = load_corpus(path)
    assert set(both["track"]) == {"-", "1", "3.2"}
    said = capsys.readouterr().err
    assert "test" not in said.split("counts are off")[1].splitlines()[0]  # of no known number
    track = load_corpus(f"{path}/eval_track1")
    assert track["clip_id"].tolist() == [f"ADD_E1_0000000{at}" for at in range(3)]
    assert "test 3 clips (published: 109,199 clips)" in capsys.readouterr().err
    rounds = load_corpus(f"{path}/R2")
    assert rounds["round"].tolist() == ["R2"] * 3


def test_add2022_looks_for_audio_around_the_labels(replica, tmp_path):
    path = tmp_path / "set"
    before = load_corpus(replica("add2022"))
    for file in (path / "eval_track1/track1test").iterdir():
        file.rename(path / "eval_track1" / file.name)
    (path / "ADD_train_dev/train").rename(path / "ADD_train_dev/anything")
    assert load_corpus(f"add2022:{path}").drop(columns="path").equals(before.drop(columns="path"))


def test_dfadd_whose_folders_were_merged(replica, tmp_path, pieces):
    path = replica("dfadd")
    merged = pieces.write(tmp_path / "set/DFADD/DATASET_GradTTS/test/p228_001.wav")
    refused(path, r"GradTTS/test: real .* Received: 'p228_001\.wav' among fake clips\. Were the")
    merged.rename(merged.parent.parent / "p228_001_GradTTS.wav")
    refused(path, r"DATASET_GradTTS: expected audio in .* Received: 1 files, whose part it does no")


@pytest.mark.parametrize("name", ["librisevoc", "sonar"])
def test_folders_that_are_not_known_are_refused(name, replica, tmp_path, pieces):
    path = replica(name)
    pieces.write(next((tmp_path / "set").iterdir()) / "Other/1.wav")
    refused(path, r"audio lies in .* Received: 1 files in Other\. ")


def test_librisevoc_by_its_lists(replica, tmp_path, capsys):
    path, root = replica("librisevoc"), tmp_path / "set/LibriSeVoc"
    clips = load_corpus(path)
    assert "official parts share 1 of 3 speakers, such as 27" in capsys.readouterr().err
    assert set(clips["shared_speaker"]) == {"27", "32", "40"}
    apart, _ = split_clips(clips, SplitConfig(by=["shared_speaker"], rule="balanced"), path)
    assert (apart.groupby("shared_speaker")["part"].nunique() == 1).all()
    (root / "dev.txt").unlink()
    assert set(load_corpus(path)["part"]) == {"train", "test"}
    said = capsys.readouterr().err
    assert f"no {root}/dev.txt, the list of validation" in said
    assert "3 clips stand in no list, and are left out" in said
    for part in ("train", "test"):
        (root / f"{part}.txt").unlink()
    clips = load_corpus(path, split=False)
    assert set(clips["part"]) == {"-"}
    assert set(clips["speaker"]) == {"27", "32", "40"}


def test_encodings_of_one_recording(replica, tmp_path, pieces, capsys):
    """As in for-norm: most fakes of train went through MP3."""
    path, root = replica("fake_or_real"), tmp_path / "set/for-norm/for-norm"
    tools = "wav_16k.wav_norm.wav_mono.wav_silence.wav"
    pieces.write(root / f"training/fake/file1.mp3.{tools}")
    pieces.write(root / f"testing/real/file1044.{tools}_2sec.wav")
    clips = load_corpus(path).set_index("clip_id")
    one = clips[clips["source"] == "training/fake/file1"]
    assert sorted(one.index) == [
        f"training/fake/file1.mp3.{tools}",
        f"training/fake/file1.{tools[:-3]}WAV",
    ]
    other = clips.loc[f"testing/real/file1044.{tools}_2sec.wav"]
    assert other["source"] == "testing/real/file1044"
    assert clips["source"].nunique() == len(clips) - 1
    said = capsys.readouterr().err
    assert "1 recordings are there in another encoding too: training/fake/file1" in said


def test_the_test_part_alone_of_fake_or_real(replica, tmp_path):
    path, root = replica("fake_or_real"), tmp_path / "set/for-norm/for-norm"
    for part in ("training", "validation"):
        (root / part).rename(tmp_path / part)
    assert set(load_corpus(path)["part"]) == {"test"}


def test_a_protocol_keeps_what_it_names(replica, protocol, capsys):
    path = replica("in_the_wild")
    file = protocol(
        f"{ELSEWHERE}/release_in_the_wild/3.wav,bonafide", "2.wav,spoof", r"C:\wild\4.wav,spoof"
    )
    clips = load_corpus(f"{path}+{file}")
    assert clips["clip_id"].tolist() == ["3", "2", "4"]
    assert clips["label"].tolist() == ["bonafide", "spoof", "spoof"]
    assert clips["part"].tolist() == ["test"] * 3
    assert clips["speaker"].tolist()[0] == "Barack Obama"
    said = capsys.readouterr().err
    assert "test 1 bonafide and 2 spoof (published: 19,963 bonafide and 11,816 spoof)" in said


def test_names_that_stand_in_many_folders_are_told_by_those_above(replica, protocol):
    path = replica("fake_or_real")
    name = "file0.wav_16k.wav_norm.wav_mono.wav_silence.wav"
    file = protocol(f"{ELSEWHERE}/for-norm/testing/real/{name},bonafide")
    assert load_corpus(f"{path}+{file}")["clip_id"].tolist() == [f"testing/real/{name}"]
    refused(f"{path}+{protocol(f'{name},bonafide')}", r"row 1: a name fits one clip\. .* fits 6, s")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["2.wav,bonafide", "3.wav,bonafide"],
            r"Received: 1 of 2 differ, such as bonafide for 2\.",
        ),
        (["2.wav,spoof", "99.wav,spoof"], r"Received: 1 of 2 absent: 99\.wav\. Is it this data"),
        (["2.wav,fake"], r"csv:2: a label must be one of bonafide, spoof\. Received: 'fake'"),
    ],
)
def test_the_protocol_of_another_data_set(lines, message, replica, protocol):
    refused(f"{replica('in_the_wild')}+{protocol(*lines)}", message)


def test_few_clips_of_a_protocol_may_be_absent_or_named_again(replica, protocol, capsys):
    lines = [f"{at}.wav,{'bonafide' if at % 2 else 'spoof'}" for at in range(24)]
    file = protocol(*lines, lines[5], "24.wav,spoof")
    assert len(load_corpus(f"{replica('in_the_wild')}+{file}")) == 24
    said = capsys.readouterr().err
    assert f"1 of 26 clips of {file} are absent: 24.wav" in said
    assert f"1 lines of {file} name a clip again" in said


def test_a_protocol_that_is_not_there(replica, tmp_path):
    absent = tmp_path / "no.csv"
    refused(f"{replica('sonar')}+{absent}", r"no\.csv: no such protocol file", FileNotFoundError)
