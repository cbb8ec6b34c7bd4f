import os

import pandas as pd
import pytest

from tfpipeline.data.clips import MANIFEST_COLUMNS, check_parts
from tfpipeline.data.corpora import folder as folder_corpus
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.corpora.folder import read_folder
from tfpipeline.data.corpora.reading.names import (
    is_generic,
    label_from_name,
    part_from_name,
    sources_of_stems,
    speaker_of_stem,
)


def make(root, *names):
    """Empty files: listing reads names only."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def many(folder, names, suffix="wav"):
    return [f"{folder}/{name}.{suffix}" for name in names]


def by_id(clips, column):
    return clips.set_index("clip_id")[column].to_dict()


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Bona-Fide", "bonafide"),
        ("bona fide", "bonafide"),
        ("BONA_FIDE", "bonafide"),
        ("real", "bonafide"),
        ("Human Voices", "bonafide"),
        ("real_audio", "bonafide"),
        ("AI", "spoof"),
        ("AI-generated", "spoof"),
        ("Deep Fake", "spoof"),
        ("TTS", "spoof"),
        ("ｆａｋｅ", "spoof"),
        ("unreal", None),
        ("audio", None),
        ("hifigan", None),
        ("", None),
        ("speech", None),
        ("airport", None),
    ],
)
def test_names_of_labels(name, label):
    assert label_from_name(name) == label


def test_names_of_parts():
    names = ("Training", "dev", "VAL", "eval", "testing", "unseen", "tested")
    parts = ["train", "validation", "validation", "test", "test", "unseen", None]
    assert [part_from_name(name) for name in names] == parts


def test_speakers_of_known_corpora_only():
    stems = (
        "p225_001_mic1",
        "1089-134686-0000",
        "1089_134686_000000_000000",
        "LJ001-0001_gen",
        "ASM_F_ANGER_00342",
        "file_001",
        "p225",
        "p225_0012",
        "12-34",
        "XLJ001-0001",
    )
    assert [speaker_of_stem(stem) for stem in stems] == [
        "p225",
        "1089",
        "1089",
        "LJ",
        "ASM_F",
        "-",
        "-",
        "-",
        "-",
        "-",
    ]


def test_sources_follow_the_original():
    stems = (
        "LJ001-0001",
        "LJ001-0001_gen",
        "LJ001-0001-tts",
        "LJ001-00012",
        "a",
        "b_hifigan",
        "b_gen",
        "x.wav_16k.wav_mono",
        "x",
    )
    labels = ["bonafide", "spoof", "spoof", "spoof", "bonafide", "spoof", "spoof", "spoof", "spoof"]
    assert sources_of_stems(stems, labels, ["-"] * len(stems)) == [
        "LJ001-0001",
        "LJ001-0001",
        "LJ001-0001",
        "-",
        "-",
        "b",
        "b",
        "x",
        "x",
    ]


def test_generic_names():
    assert all(map(is_generic, ("0012", "file12", "sample_3", "file12.mp3.wav_16k.wav_norm")))
    assert not any(map(is_generic, ("LJ001-0001", "p225_001", "en_a_12")))


def test_awkward_trees(tmp_path):
    make(
        tmp_path,
        "Set/Bona-Fide/ä ö.WAV",
        'Set/Bona-Fide/deep/er/日本, "x".flac',
        "Set/Bona-Fide/.hidden.wav",
        "Set/Bona-Fide/._x.wav",
        "Set/.git/fake/x.wav",
        "Set/Bona-Fide/notes.txt",
        "Set/Bona-Fide/wav",
        "Set/Deep Fakes/a.b.c.Mp3",
        "Set/Deep Fakes/HiFi-GAN/x/y.m4a",
        "Set/Bona-Fide/TTS/z.opus",
        "extra/q.wav",
        *many("Set/Bona-Fide", "abcdef"),
        *many("Set/Deep Fakes", "ghijkl"),
    )
    (tmp_path / "Set/Deep Fakes/folder.wav").mkdir()
    (tmp_path / "Set/Deep Fakes/broken.wav").symlink_to("nowhere")
    clips, said = read_folder(tmp_path)
    labels, attacks = by_id(clips, "label"), by_id(clips, "attack")
    assert len(clips) == 17
    assert labels["Set/Bona-Fide/ä ö.WAV"] == labels['Set/Bona-Fide/deep/er/日本, "x".flac']
    assert attacks["Set/Bona-Fide/ä ö.WAV"] == "-"
    assert attacks["Set/Deep Fakes/a.b.c.Mp3"] == "deep fakes"
    assert attacks["Set/Deep Fakes/HiFi-GAN/x/y.m4a"] == "HiFi-GAN"
    assert (labels["Set/Bona-Fide/TTS/z.opus"], attacks["Set/Bona-Fide/TTS/z.opus"]) == (
        "spoof",
        "tts",
    )
    assert list(clips) == ["clip_id", *MANIFEST_COLUMNS]
    assert all(map(os.path.isfile, clips["path"]))
    assert said[0] == "1 files tell no label and are left out: extra"
    assert said[1].startswith("folders in one of the other class, the nearest name counts: Set/B")
    assert said[2] == (
        "2 files left out, whose extensions are not audio's: 1 without extension, 1 .txt"
    )
    assert said[3].startswith("split by file, by the names: 17 files (train ")
    check_parts(clips, "folder")


def test_loops_of_links_end_and_nothing_is_read_twice(tmp_path):
    make(tmp_path, *many("t/real", "abcdef"), *many("t/fake", "ghijkl"), "elsewhere/world/m.wav")
    (tmp_path / "t/real/again").symlink_to(tmp_path / "t")
    (tmp_path / "t/aaa").symlink_to(tmp_path / "t/fake")
    (tmp_path / "t/fake/self").symlink_to(".")
    (tmp_path / "t/fake/linked").symlink_to(tmp_path / "elsewhere/world")
    clips, _ = read_folder(tmp_path / "t")
    assert len(clips) == 13
    assert by_id(clips, "attack")["fake/linked/m.wav"] == "linked"


def speakers_tree(root, speakers):
    names = [f"{speaker}/{n:03}" for speaker in speakers for n in range(3)]
    return make(root, *many("real", names), *many("fake/tts2", names), *many("fake/gan", names))


def test_split_by_speaker_folders(tmp_path):
    clips, said = read_folder(speakers_tree(tmp_path, [f"S{n:02}" for n in range(20)]))
    assert said == ["split by speaker, by the names: 20 speakers (train 14, validation 3, test 3)"]
    assert (clips.groupby("speaker")["part"].nunique() == 1).all()
    assert set(clips["attack"]) == {"-", "tts2", "gan"}
    assert (clips.groupby("source").size() == 3).all()
    check_parts(clips, "folder")


def test_the_split_depends_on_neither_place_nor_order(tmp_path):
    one, _ = read_folder(speakers_tree(tmp_path / "a", [f"S{n:02}" for n in range(20)]))
    two, _ = read_folder(speakers_tree(tmp_path / "b", [f"S{n:02}" for n in range(19, -1, -1)]))
    assert by_id(one, "part") == by_id(two, "part")


def test_speaker_folders_above_the_attack(tmp_path):
    names = [f"S{n:02}" for n in range(20)]
    make(tmp_path, *many("real", [f"{s}/x" for s in names]))
    make(tmp_path, *many("fake", [f"{s}/world/x" for s in names]))
    clips, said = read_folder(tmp_path)
    assert said[0].startswith("split by speaker, by the names: 20")
    assert set(clips["attack"]) == {"-", "world"}


@pytest.mark.parametrize("names", [["en", "de"] * 10, ["wav"], ["S1", "S2", "S3", "S4"]])
def test_few_or_doubtful_speaker_folders_are_not_taken(tmp_path, names):
    tree = [f"{name}/{name}{number}x{number}" for number, name in enumerate(names * 10)]
    clips, said = read_folder(make(tmp_path, *many("real", tree), *many("fake", tree)))
    assert said[0].startswith("split by source recording, by the names: ")
    assert (clips["speaker"] == "-").all()
    assert set(clips["attack"]) == {"-", "fake"}


def test_split_by_speakers_of_corpus_names(tmp_path):
    names = [f"p{speaker}_{n:03}" for speaker in range(225, 250) for n in range(4)]
    make(tmp_path, *many("real", names, "flac"), *many("fake/gan", [f"{n}_gen" for n in names]))
    make(tmp_path, "real/stranger.wav")
    clips, said = read_folder(tmp_path)
    assert said[0].startswith("split by speaker, by the names: 25 speakers (")
    assert said[0].endswith("1 clips tell no speaker and are assigned alone")
    assert by_id(clips, "speaker")["fake/gan/p230_001_gen.wav"] == "p230"
    check_parts(clips, "folder")


def test_librispeech_chapters_are_not_speakers(tmp_path):
    names = [
        f"{speaker}/{speaker}{chapter}/{speaker}-{speaker}{chapter}-0000"
        for speaker in range(100, 130)
        for chapter in range(3)
    ]
    clips, said = read_folder(make(tmp_path, *many("real", names), *many("fake", names)))
    assert "30 speakers" in said[0]
    assert set(clips["attack"]) == {"-", "fake"}


def test_split_by_source_of_one_reader(tmp_path):
    names = [f"LJ001-{n:04}" for n in range(20)]
    make(tmp_path, *many("real", names), *many("fake/a", [f"{name}_gen" for name in names]))
    clips, said = read_folder(make(tmp_path, *many("fake/b", names)))
    assert said == [
        "split by source recording, by the names: 20 source recordings "
        "(train 14, validation 3, test 3)"
    ]
    assert (clips.groupby("source")["part"].nunique() == 1).all()
    check_parts(clips, "folder")


def parts_tree(root, speaker="S{part}{n}"):
    for part in ("Training", "dev", "eval"):
        for n in range(4):
            name = speaker.format(part=part, n=n)
            make(root, f"{part}/real/{name}/x{n}_{part}_a.wav", f"{part}/fake/{name}/{n}.wav")
    return root


def test_part_folders_are_kept_above_or_below_the_label(tmp_path):
    clips, said = read_folder(parts_tree(tmp_path / "a"))
    assert clips["part"].value_counts().to_dict() == {"train": 8, "validation": 8, "test": 8}
    assert said == ["parts kept as the folders name them: train 8, validation 8, test 8"]
    assert set(clips["attack"]) == {"-", "fake"}
    names = [f"{part}/{n}" for part in ("train", "val", "test") for n in range(3)]
    clips, _ = read_folder(make(tmp_path / "b", *many("real", names), *many("fake/x", names)))
    assert clips["part"].value_counts().to_dict() == {"train": 6, "validation": 6, "test": 6}
    assert set(clips["attack"]) == {"-", "x"}
    assert (clips["source"] == "-").all()  # numbers alone tell nothing across parts


def test_folders_in_several_parts_are_told(tmp_path):
    for part in ("train", "dev", "eval"):
        names = [f"S{n}/{part}_{n}_x{n}" for n in range(12)]
        make(tmp_path, *many(f"{part}/real", names), *many(f"{part}/fake", names))
    clips, said = read_folder(tmp_path)
    assert said[0].startswith("parts kept")
    assert said[1].startswith("12 folders stand in several parts, such as S0: if they are speakers")
    assert (clips["speaker"] == "-").all()
    assert (clips.groupby("source")["part"].nunique() == 1).all()


def test_part_folders_over_some_clips_only_are_left_aside(tmp_path):
    make(tmp_path, *many("train/real", "abcdef"), *many("fake", "ghijkl"))
    _, said = read_folder(tmp_path)
    assert said[0] == "part folders are above 6 of 12 clips only: left aside"
    assert said[1].startswith("split by file")


def test_leaks_in_given_parts_are_refused(tmp_path):
    names = [f"p{speaker}_001" for speaker in range(225, 250)]
    for part in ("train", "val", "test"):
        make(tmp_path, *many(f"{part}/real", names), *many(f"{part}/fake", names))
    clips, _ = read_folder(tmp_path)
    with pytest.raises(
        ValueError, match=r"no speaker overlaps between splits. Received: p225 in test"
    ):
        check_parts(clips, "folder")


def test_a_missing_part_is_named(tmp_path):
    for part in ("train", "test"):
        make(tmp_path, f"{part}/real/{part}.wav", f"{part}/fake/{part}.wav")
    clips, _ = read_folder(tmp_path)
    with pytest.raises(ValueError, match=r"Name a part validation, or no part at all"):
        check_parts(clips, "folder")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"expected audio files, such as .*\. Received: none\. Folders in it: none\.$"),
        (["real/a.txt", "fake/b.jpg"], r"expected audio files.* Folders in it: fake, real\.$"),
        (["x/a.wav", "y/b.wav"], r"names tell the label\. Received: x, y\. .* bonafide: .*genuine"),
        (["a.wav"], r"names tell the label\. Received: none\."),
        (["real/a.wav", "other/a.wav"], r"both classes. Received: no spoof clip, in .*other, real"),
        (["real/a.txt", "fake/a.wav"], r"both classes. Received: no bonafide clip"),
        (["real/a.wav", "fake/b.wav"], r"at least 6 clips of each .*: 1 bonafide, 1 spoof\.$"),
    ],
)
def test_unusable_folders(tmp_path, names, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_folder(make(tmp_path, *names))
    assert str(raised.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(raised.value)


def test_a_path_that_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent: no such folder"):
        read_folder(tmp_path / "absent")
    (tmp_path / "a.csv").touch()
    with pytest.raises(NotADirectoryError, match=r"a\.csv: expected .* --data manifest:.*a\.csv"):
        read_folder(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"--data folder needs a PATH.*--data folder:/data/speech"):
        load_corpus("folder")


def test_an_unreadable_folder_is_named(tmp_path, monkeypatch):
    make(tmp_path, "real/a.wav", "fake/b.wav")
    scandir = os.scandir

    def refuse(path):  # root may read everything
        if str(path).endswith("fake"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(folder_corpus.os, "scandir", refuse)
    with pytest.raises(PermissionError, match=r"fake: the folder cannot be read"):
        read_folder(tmp_path)


def test_as_a_corpus_it_says_how_it_split(tmp_path, capsys):
    make(tmp_path, *many("real", "abcdef"), *many("fake", "abcdef"))
    clips = load_corpus(f"folder:{tmp_path}")
    assert isinstance(clips, pd.DataFrame)
    assert capsys.readouterr().err.startswith("folder: split by source recording, by the names: 6")


def test_no_split_where_none_is_wanted(tmp_path):
    clips, said = read_folder(speakers_tree(tmp_path, [f"S{n}" for n in range(20)]), split=False)
    assert set(clips["part"]) == {"-"}
    assert clips["speaker"].nunique() == 20
    assert said == []
