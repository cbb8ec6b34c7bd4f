"""What each reader makes of its data set's lines and names, written out by hand."""

from pathlib import Path

import pytest
import replicas
from replicas import REPLICAS, write_lines

from tfpipeline.data.clips import check_parts
from tfpipeline.data.corpora import load_corpus
from tfpipeline.data.corpora.reading.dataset_layout import split_paths
from tfpipeline.data.corpora.reading.names import speaker_of_stem

COLUMNS = ["label", "speaker", "attack", "source", "part"]
BONAFIDE, SPOOF = "bonafide", "spoof"
# Clip → label, speaker, attack, source, part.
EXPECTED = {
    "asvspoof2019_la": {
        "LA_T_1000000": (SPOOF, "LA_0000", "A01", "-", "train"),
        "LA_D_1000001": (BONAFIDE, "LA_0010", "-", "-", "validation"),
        "LA_E_1000002": (SPOOF, "LA_0021", "A11", "-", "test"),
        "LA_E_1000003": (BONAFIDE, "LA_0021", "-", "-", "test"),
    },
    "asvspoof2021_la": {
        "LA_E_9332881": (SPOOF, "LA_0009", "A07", "-", "test"),
        "LA_E_1000001": (BONAFIDE, "LA_0009", "-", "-", "test"),
        "LA_E_1000002": (BONAFIDE, "LA_0010", "-", "-", "test"),
        "LA_E_1000005": (SPOOF, "LA_0010", "A08", "-", "test"),
    },
    "asvspoof2021_df": {
        "DF_E_2000013": (SPOOF, "LA_0043", "A09", "-", "test"),
        "DF_E_2000026": (SPOOF, "TEF2", "Task1-team20", "-", "test"),
        "DF_E_2000027": (BONAFIDE, "LA_0047", "-", "-", "test"),
    },
    "asvspoof5": {
        "T_0000000000": (SPOOF, "T_4850", "A05", "-", "train"),
        "T_0000000001": (BONAFIDE, "T_4851", "-", "-", "train"),
        "D_0000000169": (SPOOF, "D_4461", "A14", "-", "validation"),
        "D_0000000170": (BONAFIDE, "D_4462", "-", "-", "validation"),
        "E_0000000001": (SPOOF, "E_0001", "A19", "E_0000000001", "test"),
        "E_0000000002": (BONAFIDE, "E_0002", "-", "E_0000000002", "test"),
        "E_0000000003": (BONAFIDE, "E_0002", "-", "E_0000000002", "test"),
        "E_0000000004": (SPOOF, "E_0001", "A19", "E_0000000001", "test"),
    },
    "add2022": {
        "ADD_T_00000000": (BONAFIDE, "-", "-", "-", "train"),
        "ADD_D_00000001": (SPOOF, "-", "unknown", "-", "validation"),
        "ADD_E1_00000000": (BONAFIDE, "-", "-", "-", "test"),
        "R1/ADD_E3_00000002": (SPOOF, "-", "unknown", "-", "test"),
        "R2/ADD_E3_00000000": (BONAFIDE, "-", "-", "-", "test"),
        "R2/ADD_E3_00000002": (SPOOF, "-", "fake-5", "-", "test"),
    },
    "add2023": {
        "ADD2023_T1.2_T_00000003": (BONAFIDE, "-", "-", "-", "train"),
        "ADD2023_T1.2_D_00000004": (SPOOF, "-", "unknown", "-", "validation"),
        "ADD2023_T1.2R1_E_00000003": (BONAFIDE, "-", "-", "-", "test"),
        "ADD2023_T1.2R2_E_00000005": (SPOOF, "-", "unknown", "-", "test"),
    },
    "spoofceleb": {
        "train/a00/id10000/0G8n-00001": (BONAFIDE, "id10000", "-", "-", "train"),
        "train/a11/id10000/0G8n-00001": (SPOOF, "id10000", "a11", "-", "train"),
        "validation/a02/id10001/0G8n-00001": (SPOOF, "id10001", "a02", "-", "validation"),
        "test/a00/id10002/0G8n-00001": (BONAFIDE, "id10002", "-", "-", "test"),
    },
    "codecfake": {
        "train/SSB13650058": (BONAFIDE, "SSB1365", "-", "SSB13650058", "train"),
        "train/F01_SSB13650058": (SPOOF, "SSB1365", "F01", "SSB13650058", "train"),
        "dev/F02_p226_001": (SPOOF, "p226", "F02", "p226_001", "validation"),
        "C1/SSB00050001": (BONAFIDE, "SSB0005", "-", "SSB00050001", "test"),
        "A1/F01_p300_002": (SPOOF, "p300", "F01", "p300_002", "test"),
    },
    "cfad": {
        "train_clean/real_clean/aishell3/SSB00050001.wav": (
            BONAFIDE,
            "SSB0005",
            "-",
            "SSB00050001",
            "train",
        ),
        "dev_clean/fake_clean/gl/SSB03540002_gl.wav": (
            SPOOF,
            "SSB0354",
            "gl",
            "SSB03540002",
            "validation",
        ),
        "test_seen_clean/fake_clean/gl/SSB07100001_gl.wav": (
            SPOOF,
            "SSB0710",
            "gl",
            "SSB07100001",
            "test",
        ),
        "test_unseen_clean/fake_clean/world/SSB09660001_world.wav": (
            SPOOF,
            "SSB0966",
            "world",
            "SSB09660001",
            "unseen",
        ),
    },
    "dfadd": {
        "DATASET_VCTK_BONAFIDE/test/p228_001.wav": (BONAFIDE, "p228", "-", "p228_001", "test"),
        "DATASET_GradTTS/valid/p227_002_GradTTS.flac": (
            SPOOF,
            "p227",
            "GradTTS",
            "p227_002",
            "validation",
        ),
        "DATASET_PflowTTS/train/p226_001_pflow.wav": (
            SPOOF,
            "p226",
            "PflowTTS",
            "p226_001",
            "train",
        ),
    },
    # Its parts share readers, so that none stands in `speaker`.
    "librisevoc": {
        "gt/40_222_000007_000000.wav": (BONAFIDE, "-", "-", "40_222_000007_000000", "train"),
        "wavernn/32_4137_000026_000002_gen.wav": (
            SPOOF,
            "-",
            "wavernn",
            "32_4137_000026_000002",
            "test",
        ),
    },
    "sonar": {
        "real_samples/10.wav": (BONAFIDE, "-", "-", "-", "test"),
        "VALLE/101.wav": (SPOOF, "-", "VALLE", "-", "test"),
        "seedtts_files/10.wav": (SPOOF, "-", "SeedTTS", "-", "test"),
    },
    "fake_or_real": {
        "training/real/file0.wav_16k.wav_norm.wav_mono.wav_silence.wav": (
            BONAFIDE,
            "-",
            "-",
            "training/real/file0",
            "train",
        ),
        "testing/fake/file1.wav_16k.wav_norm.wav_mono.wav_silence.WAV": (
            SPOOF,
            "-",
            "tts",
            "testing/fake/file1",
            "test",
        ),
    },
}
# The same of data sets that have no parts of their own.
UNSPLIT = {
    "in_the_wild": {
        "0": (SPOOF, "Alec Guinness", "unknown", "-"),
        "1": (BONAFIDE, "Alec Guinness", "-", "-"),
        "7": (BONAFIDE, "Queen, The", "-", "-"),
    },
    "wavefake": {
        "LJ/LJ001-0001.wav": (BONAFIDE, "LJ", "-", "LJ001-0001"),
        "ljspeech_melgan/LJ001-0001_gen.wav": (SPOOF, "LJ", "ljspeech_melgan", "LJ001-0001"),
        "ljspeech_waveglow/LJ001-0002.wav": (SPOOF, "LJ", "ljspeech_waveglow", "LJ001-0002"),
        "ljspeech_hifiGAN/LJ001-0001_generated.wav": (
            SPOOF,
            "LJ",
            "ljspeech_hifiGAN",
            "LJ001-0001",
        ),
        "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech/gen_0.wav": (
            SPOOF,
            "LJ",
            "common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech",
            "-",
        ),
    },
    "mlaad": {
        "de/vits/eva_k_f0.wav": (
            SPOOF,
            "-",
            "tts_models/de/vits",
            "de_DE/by_book/female/eva_k/buch/wavs/eva_k_f0",
        ),
        "bonafide/de_DE/by_book/female/eva_k/buch/wavs/eva_k_f0.wav": (
            BONAFIDE,
            "eva_k",
            "-",
            "de_DE/by_book/female/eva_k/buch/wavs/eva_k_f0",
        ),
    },
    "deep_voice": {
        "REAL/biden-original.wav": (BONAFIDE, "biden", "-", "biden"),
        "FAKE/biden-to-linus.wav": (SPOOF, "linus", "rvc", "biden"),
    },
    "indictts": {
        "ASM_F_ANGER_00000": (BONAFIDE, "ASM_F", "-", "-"),
        "ASM_F_WIKI_00001": (SPOOF, "ASM_F", "tts", "-"),
        "TAM_M_WIKI_00073": (SPOOF, "TAM_M", "tts", "-"),
    },
}
SIZES = {
    "asvspoof2019_la": 12,
    "asvspoof2021_la": 4,
    "asvspoof2021_df": 3,
    "asvspoof5": 8,
    "add2022": 15,
    "add2023": 12,
    "spoofceleb": 9,
    "codecfake": 12,
    "cfad": 16,
    "dfadd": 18,
    "librisevoc": 15,
    "sonar": 8,
    "fake_or_real": 14,
    "in_the_wild": 24,
    "wavefake": 26,
    "mlaad": 30,
    "deep_voice": 36,
    "indictts": 32,
}


def read(case, tmp_path, pieces, **options):
    path = REPLICAS[case](tmp_path / "set", pieces)
    return load_corpus(f"{case}:{path}", **options).set_index("clip_id")


@pytest.mark.parametrize("case", EXPECTED)
def test_clips_with_official_parts(case, tmp_path, pieces):
    clips = read(case, tmp_path, pieces)
    assert len(clips) == SIZES[case]
    found = clips.loc[list(EXPECTED[case]), COLUMNS]
    assert (
        dict(zip(found.index, found.itertuples(index=False, name=None), strict=True))
        == (EXPECTED[case])
    )


@pytest.mark.parametrize("case", UNSPLIT)
def test_clips_without_parts(case, tmp_path, pieces):
    clips = read(case, tmp_path, pieces, split=False)
    assert len(clips) == SIZES[case]
    assert set(clips["part"]) == {"-"}
    found = clips.loc[list(UNSPLIT[case]), COLUMNS[:-1]]
    assert (
        dict(zip(found.index, found.itertuples(index=False, name=None), strict=True))
        == (UNSPLIT[case])
    )


def test_other_columns_are_kept(tmp_path, pieces):
    clips = read("asvspoof5", tmp_path, pieces)
    assert clips.loc["E_0000000003", ["codec", "codec_quality", "sex"]].tolist() == [
        "C05",
        "2",
        "M",
    ]
    assert clips.loc["E_0000000002", "codec"] == "none"
    assert clips.loc["D_0000000169", ["attack_tag", "language"]].tolist() == ["AC1", "en"]


def test_codecs_and_vocoders_of_2021(tmp_path, pieces):
    clips = read("asvspoof2021_la", tmp_path, pieces)
    told = clips.loc["LA_E_9332881", ["codec", "transmission", "trim"]]
    assert told.tolist() == ["alaw", "ita_tx", "notrim"]
    clips = read("asvspoof2021_df", tmp_path / "df", pieces)
    told = clips.loc["DF_E_2000026", ["codec", "origin", "vocoder", "team", "language_pair"]]
    assert told.tolist() == [
        "mp3m4a",
        "vcc2020",
        "neural_vocoder_nonautoregressive",
        "team20",
        "E",
    ]


def test_only_the_subset_eval_of_2021(tmp_path, pieces, capsys):
    clips = read("asvspoof2021_la", tmp_path, pieces)
    assert set(clips["subset"]) == {"eval"}
    assert "only the subset eval is read, as published figures are; not progress 1, hidden 1" in (
        capsys.readouterr().err
    )


def test_a_test_set_cannot_be_trained_on(tmp_path, pieces):
    clips = read("asvspoof2021_la", tmp_path, pieces).reset_index()
    with pytest.raises(ValueError, match=r"All of it is a test set: train on another"):
        check_parts(clips, "asvspoof2021_la")


def test_rounds_and_conditions(tmp_path, pieces):
    clips = read("add2023", tmp_path / "add", pieces)
    assert clips.loc["ADD2023_T1.2R2_E_00000003", "round"] == "R2"
    assert clips.loc["ADD2023_T1.2_T_00000003", "round"] == "-"
    clips = read("codecfake", tmp_path / "codecfake", pieces)
    assert clips.loc["C1/SSB00050001", ["condition", "language"]].tolist() == ["C1", "zh"]
    assert clips.loc["dev/p226_001", ["condition", "language"]].tolist() == ["-", "en"]


@pytest.mark.parametrize("case", ["in_the_wild", "mlaad", "indictts"])
def test_the_split_keeps_speakers_and_sources_apart(case, tmp_path, pieces):
    clips = read(case, tmp_path, pieces)
    for column in ("speaker", "source"):
        known = clips[clips[column] != "-"]
        assert (known.groupby(column)["part"].nunique() == 1).all()
    assert (clips["speaker"] != "-").any()


@pytest.mark.parametrize("case", ["wavefake", "deep_voice"])
def test_where_voices_are_shared_recordings_are_kept_apart(case, tmp_path, pieces, capsys):
    clips = read(case, tmp_path, pieces)
    known = clips[clips["source"] != "-"]
    assert (known.groupby("source")["part"].nunique() == 1).all()
    assert "the figures say little of new speakers" in capsys.readouterr().err


def test_ids_of_indictts_tell_sex_emotion_and_sentence(tmp_path, pieces):
    clips = read("indictts", tmp_path, pieces)
    told = clips.loc["ASM_F_ANGER_00000", ["sex", "emotion", "number", "language", "sentence"]]
    assert told.tolist() == ["F", "anger", "00000", "Assamese", "एक वाक्य"]
    assert clips["sentence"].nunique() == 2


def test_wavefake_with_its_originals_elsewhere(tmp_path, pieces):
    path = REPLICAS["wavefake"](tmp_path / "set", pieces)
    before = load_corpus(f"wavefake:{path}", split=False)
    (path / "LJSpeech-1.1").rename(tmp_path / "readings")
    named = load_corpus(f"wavefake:{path}+{tmp_path / 'readings'}", split=False)
    assert named["clip_id"].tolist() == before["clip_id"].tolist()
    direct = load_corpus(f"wavefake:{path}+{tmp_path / 'readings' / 'wavs'}", split=False)
    assert direct["clip_id"].tolist() == before["clip_id"].tolist()


def test_jsut_is_read_where_it_is(tmp_path, pieces):
    path = REPLICAS["wavefake"](tmp_path / "set", pieces)
    pieces.write(path / "jsut_ver1.1/basic5000/wav/BASIC5000_0001.wav")
    clips = load_corpus(f"wavefake:{path}", split=False).set_index("clip_id")
    assert clips.loc["JSUT/BASIC5000_0001.wav", "label"] == "bonafide"
    fake = clips.loc["jsut_parallel_wavegan/BASIC5000_0001_gen.wav"]
    assert fake[["label", "source", "language"]].tolist() == ["spoof", "BASIC5000_0001", "ja"]


@pytest.mark.parametrize(("case", "fix"), [("wavefake", "LJSpeech-1.1"), ("mlaad", "M-AILABS")])
def test_fakes_alone_can_be_scored_but_not_trained_on(case, fix, tmp_path, pieces, capsys):
    path = str(REPLICAS[case](tmp_path / "set", pieces)).partition("+")[0]
    if case == "wavefake":
        (tmp_path / "set" / "LJSpeech-1.1").rename(tmp_path / "elsewhere")
    clips = load_corpus(f"{case}:{path}", split=False)
    assert set(clips["label"]) == {"spoof"}
    assert "no bonafide clip" in capsys.readouterr().err
    with pytest.raises(ValueError, match=rf"no bonafide clip\. .*{fix}: --data {case}:PATH\+PATH2"):
        load_corpus(f"{case}:{path}")


def test_any_folder_is_bona_fide_speech_for_mlaad(tmp_path, pieces):
    path = str(REPLICAS["mlaad"](tmp_path / "set", pieces)).partition("+")[0]
    for number in range(8):
        pieces.write(tmp_path / f"mine/p{225 + number}_001.wav")
    clips = load_corpus(f"mlaad:{path}+{tmp_path / 'mine'}", split=False).set_index("clip_id")
    own = clips.loc["bonafide/p225_001.wav"]
    assert own[["label", "speaker", "source"]].tolist() == ["bonafide", "p225", "-"]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"the second path holds bona fide .*: no audio in .*noth"):
        load_corpus(f"mlaad:{path}+{tmp_path / 'nothing'}")


@pytest.mark.parametrize("separator", [";", ","])
def test_versions_of_mlaad_with_other_separators(separator, tmp_path, pieces):
    path = str(REPLICAS["mlaad"](tmp_path / "set", pieces)).partition("+")[0]
    before = load_corpus(f"mlaad:{path}", split=False)
    for meta in Path(path).glob("fake/*/*/meta.csv"):
        text = meta.read_text().replace('"', "").replace("|", separator)
        meta.write_text(text)
    after = load_corpus(f"mlaad:{path}", split=False)
    assert after.drop(columns="sentence").equals(before.drop(columns="sentence"))


def test_other_versions_of_cfad(tmp_path, pieces, capsys):
    path = REPLICAS["cfad"](tmp_path / "set", pieces)
    load_corpus(f"cfad:{path}")
    assert "clean_version is read; not noisy_version" in capsys.readouterr().err
    clips = load_corpus(f"cfad:{path / 'noisy_version'}").set_index("clip_id")
    assert set(clips["version"]) == {"noisy"}
    fake = clips.loc["dev_noise/fake_noise/gl/A7_191_gl.wav"]
    assert fake[["speaker", "source", "part"]].tolist() == ["thchs30-A7", "A7_191", "validation"]


def test_versions_of_fake_or_real_are_told_apart(tmp_path, pieces):
    path = REPLICAS["fake_or_real"](tmp_path / "set", pieces)
    (tmp_path / "set" / "for-rerec").mkdir()
    path.rename(tmp_path / "set" / "for-rerec" / "for-rerecorded")
    pieces.write(tmp_path / "set" / "for-2sec" / "training" / "real" / "file1.wav")
    clips = load_corpus(f"fake_or_real:{tmp_path / 'set/for-rerec/for-rerecorded'}")
    assert set(clips["version"]) == {"rerec"}
    with pytest.raises(ValueError, match=r"too high\. Name fake_or_real:.*for-2sec"):
        load_corpus(f"fake_or_real:{tmp_path / 'set'}")


def test_a_part_that_was_not_fetched_is_left_out(tmp_path, pieces, capsys):
    path = REPLICAS["asvspoof2019_la"](tmp_path / "set", pieces)
    (path / "ASVspoof2019_LA_eval").rename(tmp_path / "eval")
    clips = load_corpus(f"asvspoof2019_la:{path}")
    assert set(clips["part"]) == {"train", "validation"}
    assert f"no test: {path}/ASVspoof2019_LA_eval/flac is not there" in capsys.readouterr().err


def test_protocols_of_asvspoof5_in_their_own_folder(tmp_path, pieces):
    path = REPLICAS["asvspoof5"](tmp_path / "set", pieces)
    before = load_corpus(f"asvspoof5:{path}")
    (path / "ASVspoof5_protocols").mkdir()
    for protocol in path.glob("*.tsv"):
        protocol.rename(path / "ASVspoof5_protocols" / protocol.name)
    assert load_corpus(f"asvspoof5:{path}").equals(before)


def test_archives_whose_parts_were_unpacked_apart(tmp_path, pieces, capsys):
    path = REPLICAS["asvspoof5"](tmp_path / "five", pieces)
    before = load_corpus(f"asvspoof5:{path}")
    files = sorted((path / "flac_E_eval").iterdir())
    for number, file in enumerate(files):
        folder = path / f"flac_E_a{'ab'[number % 2]}" / "flac_E_eval"
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
    (path / "flac_E_eval").rmdir()
    capsys.readouterr()
    after = load_corpus(f"asvspoof5:{path}")
    assert after.drop(columns="path").equals(before.drop(columns="path"))
    assert after["path"].map(lambda file: Path(file).is_file()).all()
    assert "not name" not in capsys.readouterr().err
    path = REPLICAS["asvspoof2021_df"](tmp_path / "df", pieces)
    before = load_corpus(f"asvspoof2021_df:{path}")
    for number, file in enumerate(sorted((path / "ASVspoof2021_DF_eval/flac").iterdir())):
        folder = path / f"ASVspoof2021_DF_eval_part0{number}/ASVspoof2021_DF_eval/flac"
        folder.mkdir(parents=True)
        file.rename(folder / file.name)
    (path / "ASVspoof2021_DF_eval/flac").rmdir()
    (path / "ASVspoof2021_DF_eval").rmdir()
    after = load_corpus(f"asvspoof2021_df:{path}")
    assert after.drop(columns="path").equals(before.drop(columns="path"))
    (path / "ASVspoof2021_DF_eval_part03").rename(path / "lost")
    with pytest.raises(ValueError, match=r"flac and 2 folders like it\. Received: 1 of 3 absent"):
        load_corpus(f"asvspoof2021_df:{path}")


def test_speakers_that_official_parts_share_are_set_aside(tmp_path, pieces, capsys):
    path = REPLICAS["codecfake"](tmp_path / "set", pieces)
    pieces.write(path / "dev/SSB13650059.wav")
    table = path / "label/dev.txt"
    write_lines(table, [*table.read_text().splitlines(), "SSB13650059.wav real 0"])
    clips = load_corpus(f"codecfake:{path}").set_index("clip_id")
    assert set(clips["speaker"]) == {"-"}
    assert clips.loc["dev/SSB13650059", "shared_speaker"] == "SSB1365"
    assert clips.loc["dev/SSB13650059", "part"] == "validation"
    assert "official parts share 1 of 4 speakers, such as SSB1365" in capsys.readouterr().err


def test_two_paths(tmp_path):
    (tmp_path / "a+b").mkdir()
    (tmp_path / "c").mkdir()
    one, two = str(tmp_path / "a+b"), str(tmp_path / "c")
    assert split_paths(one) == [one]
    assert split_paths(f"{one}+{two}") == [one, two]
    assert split_paths("absent+gone") == ["absent", "gone"]


def test_speakers_of_mandarin_corpora():
    stems = ("SSB13650058", "BAC009S0764W0123", "SSB1365005", "BAC009S0764")
    assert [speaker_of_stem(stem) for stem in stems] == ["SSB1365", "S0764", "-", "-"]


def test_replicas_are_as_awkward_as_they_say(tmp_path):
    written = write_lines(tmp_path / "t.txt", ["a b", "c d"], awkward=True).read_bytes()
    assert written == b"\xef\xbb\xbfa b  \r\n\r\nc d  \r\n\r\n\r\n  \r\n"
    assert len(replicas.REPLICAS) == 18
