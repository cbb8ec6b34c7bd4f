"""Keys and subsets: the trials that count are those of the organizers' packages."""

from pathlib import Path

import numpy as np
import pytest
from organizers import official_eer, slow_eer

from tfpipeline.data.clips import LABELS
from tfpipeline.data.corpora import asvspoof2021_df, asvspoof2021_la
from tfpipeline.evaluation.metrics import equal_error_rate
from tfpipeline.evaluation.score_files import read_score_file
from tfpipeline.evaluation.score_keys import read_key

CASES = Path(__file__).parents[3] / "shared" / "cases"
SUBSETS = ("eval", "progress", "hidden")
COLUMNS = {"LA": asvspoof2021_la.COLUMNS, "DF": asvspoof2021_df.COLUMNS}


def eer(read):
    return equal_error_rate(read.table["label"].map(LABELS).to_numpy(), read.table["score"])


def key_line(track, number, label, subset):
    attack = label if label == "bonafide" else "A07"
    line = f"LA_{number % 7:04} {track}_E_{number} alaw ita_tx {attack} {label} notrim {subset}"
    vocoder = label if label == "bonafide" else "neural_vocoder_autoregressive"
    return f"{line} {vocoder} - - - -" if track == "DF" else line


def write_case(folder, track, first, n=90):
    """A score file and a key of all subsets, of which the first line is bona fide or spoofed."""
    random = np.random.default_rng(n)
    labels = np.where(random.random(n) < 0.4, "bonafide", "spoof")
    labels[:6] = [first, *("bonafide", "spoof", "bonafide", "spoof", "spoof")]
    lines = [key_line(track, i, label, SUBSETS[i % 3]) for i, label in enumerate(labels)]
    (folder / "trial_metadata.txt").write_text("\n".join(lines) + "\n")
    scores = (labels == "bonafide") + random.normal(size=n)
    rows = [f"{track}_E_{i} {score!r}" for i, score in enumerate(scores.tolist())]
    (folder / "score.txt").write_text("\n".join(random.permutation(rows)) + "\n")
    return folder / "score.txt", folder / "trial_metadata.txt"


@pytest.mark.skipif(not CASES.exists(), reason="the given score files are not here")
@pytest.mark.parametrize("key", ["key2021.txt", "key2021_spooffirst.txt"])
@pytest.mark.parametrize(("subset", "clips"), [(None, 48), ("eval", 48), ("progress", 12)])
def test_the_given_case(key, subset, clips):
    read = read_score_file(CASES / "two.txt", CASES / key, subset=subset)
    assert (len(read.table), read.unscored) == (clips, 0)
    official = official_eer(CASES / "two.txt", CASES / key, subset or "eval", COLUMNS["LA"])
    assert eer(read) == official
    if subset is None:
        assert eer(read) == 0.078125


@pytest.mark.parametrize("track", ["LA", "DF"])
@pytest.mark.parametrize("first", ["bonafide", "spoof"])
def test_2021_joins_as_the_organizers_do(tmp_path, track, first):
    scores, key = write_case(tmp_path, track, first)
    for subset in SUBSETS:
        read = read_score_file(scores, key, subset=subset)
        assert len(read.table) == 30
        assert eer(read) == official_eer(scores, key, subset, COLUMNS[track])
    read = read_score_file(scores, key)
    assert set(read.table["subset"]) == {"eval"}
    assert "subset eval: 30 of the 90 trials" in read.notes[0]
    assert set(read.table.loc[read.table["label"] == "bonafide", "attack"]) == {"-"}
    assert len(read_score_file(scores, key, subset="all").table) == 90
    # The organizers' first package had another name for it.
    assert len(read_score_file(scores, key, subset="hidden_track").table) == 30
    with pytest.raises(ValueError, match="Subsets of this key: eval, hidden, progress; or all"):
        read_score_file(scores, key, subset="dev")


@pytest.mark.parametrize("label", ["bonafide", "spoof"])
def test_a_key_of_one_class(tmp_path, label):
    lines = [key_line("DF", number, label, "eval") for number in range(3)]
    (tmp_path / "key.txt").write_text("\n".join(lines))
    assert read_key(tmp_path / "key.txt")["label"].tolist() == [label] * 3


@pytest.mark.parametrize(
    ("line", "attack"),
    [
        ("PA_0079 PA_T_0000001 aaa - bonafide", "-"),
        ("PA_0010 PA_E_1000001 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval", None),
        ("D_0062 D_0000000001 F - A09 spoof", "A09"),
        ("D_4461 D_0000000169 F - - - AC1 A14 spoof -", "A14"),
        ("one two three A3 more spoof less", None),  # of nobody: by the word alone
    ],
)
def test_protocols_of_other_editions(tmp_path, line, attack):
    (tmp_path / "key.txt").write_text(line)
    key = read_key(tmp_path / "key.txt")
    assert key["clip_id"][0] == line.split()[1]
    assert key["label"][0] == ("spoof" if "spoof" in line else "bonafide")
    assert attack is None or key["attack"][0] == attack


def test_asvspoof5_full_key_and_lines_of_two_cells(tmp_path):
    header = "tar_spk_anon trial_anon asv-label cm-label attack_anon codec"
    (tmp_path / "full.tsv").write_text(f"{header}\nE_1 E_7 spoof spoof A17 C02\n")
    (tmp_path / "add.txt").write_text("E_7.wav genuine\nE_8.wav fake\n")
    read = read_key(tmp_path / "full.tsv")
    assert read.loc[0, ["clip_id", "label", "attack"]].tolist() == ["E_7", "spoof", "A17"]
    assert read_key(tmp_path / "add.txt")["label"].tolist() == ["bonafide", "spoof"]


def test_a_list_of_trials_is_a_subset(tmp_path):
    """ASVspoof 5's progress phase is a list of ids; its key has no column of subsets."""
    ids = [f"E_{number:010}" for number in range(8)]
    score = dict(zip(ids, [3.0, -1.0, 2.0, 1.0, -2.0, 0.5, -3.0, 0.0], strict=True))
    labels = dict(zip(ids, ["bonafide", "spoof"] * 4, strict=True))
    for name, column, of in (("s.tsv", "cm-score", score), ("k.tsv", "cm-label", labels)):
        rows = [f"{trial}\t{of[trial]}" for trial in ids]
        (tmp_path / name).write_text("\n".join([f"filename\t{column}", *rows]))
    chosen = ids[1:7]
    (tmp_path / "progress.trial.txt").write_text("\n".join(chosen))
    read = read_score_file(
        tmp_path / "s.tsv", tmp_path / "k.tsv", subset=str(tmp_path / "progress.trial.txt")
    )
    assert read.table["clip_id"].tolist() == chosen
    groups = {name: [score[i] for i in chosen if labels[i] == name] for name in LABELS}
    assert eer(read) == slow_eer(groups["bonafide"], groups["spoof"])
    with pytest.raises(ValueError, match=r"Received: 'progress'. Subsets of this key: none"):
        read_score_file(tmp_path / "s.tsv", tmp_path / "k.tsv", subset="progress")


def test_a_column_of_phases_and_a_part(tmp_path):
    rows = "E_1,bonafide,progress,train\nE_2,spoof,eval,test\nE_3,bonafide,eval,test\n"
    (tmp_path / "key.csv").write_text(f"filename,cm-label,phase,part\n{rows}")
    (tmp_path / "manifest.csv").write_text(f"filename,cm-label,what,part\n{rows}")
    (tmp_path / "s.csv").write_text("filename,cm-score\nE_1,1\nE_2,2\nE_3,3\n")

    def found(key, subset):
        return read_score_file(tmp_path / "s.csv", tmp_path / key, subset=subset).table["clip_id"]

    assert found("key.csv", None).tolist() == ["E_2", "E_3"]
    assert found("key.csv", "progress").tolist() == ["E_1"]
    assert found("manifest.csv", None).tolist() == ["E_1", "E_2", "E_3"]
    assert found("manifest.csv", "test").tolist() == ["E_2", "E_3"]


def test_missing_extra_and_repeated_trials(tmp_path):
    scores, key = write_case(tmp_path, "LA", "bonafide")
    lines = scores.read_text().splitlines()
    evaluated = {line.split()[1] for line in key.read_text().splitlines() if "eval" in line}
    place = next(n for n, line in enumerate(lines) if line.split()[0] in evaluated)
    other = next(n for n, line in enumerate(lines) if line.split()[0] not in evaluated)

    def read(changed):
        scores.write_text("\n".join(changed))
        return read_score_file(scores, key)

    assert read(lines[:place] + lines[place + 1 :]).unscored == 1
    assert read(lines[:other] + lines[other + 1 :]).unscored == 0  # not a trial that counts
    with pytest.raises(ValueError, match=r"row 91: every scored clip stands in the key.*LA_E_900"):
        read([*lines, "LA_E_900 1.0"])
    with pytest.raises(ValueError, match=r"row 91: each clip has one score.*append.*twice"):
        read([*lines, lines[other]])
    with pytest.raises(ValueError, match=rf"row {place + 1}: a score is a finite number.*nan"):
        read([*lines[:place], f"{lines[place].split()[0]} nan", *lines[place + 1 :]])
    assert len(read([*lines[:other], f"{lines[other].split()[0]} nan", *lines[other + 1 :]]).table)


def test_names_in_folders(tmp_path):
    """Speech DF Arena's protocol of Fake-or-Real: one file name in two folders, two labels."""
    key = tmp_path / "for.csv"
    rows = [f"/data/for-norm/testing/{w}/file1.wav_16k.wav," for w in ("real", "fake")]
    key.write_text(f"file_name,label\n{rows[0]}bonafide\n{rows[1]}spoof\n/data/x/2.wav,spoof\n")

    def labels(*names):
        (tmp_path / "s.txt").write_text("".join(f"{name} 1.5\n" for name in names))
        read = read_score_file(tmp_path / "s.txt", key)
        return dict(zip(read.table["clip_id"], read.table["label"], strict=True)), read

    mine = "/my/disk/for-norm/testing"
    found, read = labels(f"{mine}/fake/file1.wav_16k.wav", f"{mine}/real/file1.wav_16k.flac")
    assert found == {rows[1][:-1]: "spoof", rows[0][:-1]: "bonafide"}
    assert "2 clips lie in other folders" in read.notes[0]
    assert labels("2")[0] == labels("C:\\y\\2.flac")[0] == {"/data/x/2.wav": "spoof"}
    with pytest.raises(ValueError, match=r"row 1: .* is one clip of the key.*Write more"):
        labels("file1.wav_16k.wav")
    with pytest.raises(ValueError, match="stands in the key"):
        labels("/elsewhere/real/2.wav", "/elsewhere/genuine/fake/file1.wav")
    key.write_text("file_name,label\n/a/fake/3.wav,spoof\n")
    with pytest.raises(ValueError, match="stands in the key"):
        labels("/b/real/3.wav")


def test_a_key_of_speaker_verification_is_refused(tmp_path):
    (tmp_path / "key.txt").write_text("LA_1 LA_E_1 alaw ita_tx bonafide target notrim eval\n")
    with pytest.raises(ValueError, match=r"row 1: expected bonafide or spoof.*take CM/trial_meta"):
        read_key(tmp_path / "key.txt")
