"""Protocols and tables that are not what they should be: one line says what, where, how many."""

from pathlib import Path

import pytest
from replicas import LINES_5, LINES_2021, REPLICAS, write_lines

from tfpipeline.data.corpora import load_corpus

TRAIN_2019 = "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt"
KEYS_LA = "keys/LA/CM/trial_metadata.txt"


def replica(case, tmp_path, pieces):
    return REPLICAS[case](tmp_path / "set", pieces)


def refused(case, path, message):
    with pytest.raises(ValueError, match=message) as raised:
        load_corpus(f"{case}:{path}")
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("lines", "other"),
    [
        (LINES_2021["LA"], r"Received: 8: .* That is the form of asvspoof2021_la\."),
        (LINES_2021["DF"], r"Received: 13: .* That is the form of asvspoof2021_df\."),
        (LINES_5["train"], r"Received: 10: .* That is the form of asvspoof5\."),
        (["LA_T_1000000 spoof"], r"Received: 2: .* Is it the protocol of this edition\?"),
        (["LA_0 LA_E_1000000 - A07 spoof"], r"named LA_T_…\. Received: LA_E_.* 2019 or 2021 LA"),
        (["PA_0 PA_T_1000000 aaa - bonafide"], r"Received: PA_T_.* That is a PA track\."),
        (["x y - - bonafide"], r"Received: y, one of 1 such\. Is it the right protocol\?"),
    ],
)
def test_protocols_of_another_edition(lines, other, tmp_path, pieces):
    path = replica("asvspoof2019_la", tmp_path, pieces)
    write_lines(path / TRAIN_2019, lines)
    refused("asvspoof2019_la", path, other)


def test_the_keys_of_the_other_track(tmp_path, pieces):
    path = replica("asvspoof2021_la", tmp_path, pieces)
    write_lines(path / KEYS_LA, LINES_2021["DF"])
    refused("asvspoof2021_la", path, r"expected 8 fields .*That is the form of asvspoof2021_df")
    write_lines(path / KEYS_LA, ["LA_0039 LA_E_2834763 - A11 spoof"])
    refused("asvspoof2021_la", path, r"That is the form of asvspoof2019_la")


def test_one_edition_named_as_another(tmp_path, pieces):
    path = replica("asvspoof2021_la", tmp_path, pieces)
    refused(
        "asvspoof2019_la",
        path,
        r"expected ASVspoof2019_LA_cm_protocols/ and .*Received: no .*: "
        r"ASVspoof2021_LA_eval/, keys/\. That looks like asvspoof2021_la: --data asvspoof2021_la:",
    )


@pytest.mark.parametrize("edition", ["hidden", "progress"])
def test_keys_without_the_subset_that_counts(edition, tmp_path, pieces):
    path = replica("asvspoof2021_la", tmp_path, pieces)
    line = LINES_2021["LA"][0].replace("eval", edition)
    write_lines(path / KEYS_LA, [line])
    refused("asvspoof2021_la", path, rf"expected clips of the subset eval\. Received: {edition} 1")


@pytest.mark.parametrize(
    ("case", "table", "old", "new", "message"),
    [
        (
            "asvspoof2019_la",
            TRAIN_2019,
            "spoof",
            "fake",
            r"trn\.txt:1: a label .* bonafide, spoof\."
            r" Received: 'fake' in 'LA_0000 LA_T_1000000 - A01 fake', one of 2 such lines",
        ),
        ("asvspoof2021_la", KEYS_LA, "spoof", "1", r":1: .* Received: '1' in .* of 4 such"),
        ("asvspoof5", "ASVspoof5.train.tsv", "spoof", "Spooof", r":1: .* Received: 'Spooof'"),
        ("in_the_wild", "meta.csv", "spoof", "fake", r"csv:2: .* 'fake' in '0\.wav,.* 12 such"),
        ("add2022", "eval_track1/label.txt", "fake", "1", r"one of genuine, .*Received: '1' in"),
        ("add2023", "dev/label.txt", "fake", "spoof", r"one of genuine, fake\. Received: 'spoof'"),
        ("spoofceleb", "metadata/train.csv", ",a01", ",a99", r"csv:3: .*'a99'.* one of 1 such"),
        ("codecfake", "label/dev.txt", "real", "bonafide", r"one of real, fake\. .*'bonafide'"),
    ],
)
def test_labels_in_other_words(case, table, old, new, message, tmp_path, pieces):
    path = replica(case, tmp_path, pieces)
    text = (path / table).read_text()
    (path / table).write_text(text.replace(old, new))
    refused(case, path, message)


@pytest.mark.parametrize(
    "case",
    [
        "asvspoof2019_la",
        "asvspoof2021_la",
        "asvspoof5",
        "in_the_wild",
        "add2022",
        "add2023",
        "spoofceleb",
        "codecfake",
    ],
)
def test_a_clip_that_stands_there_twice(case, tmp_path, pieces, capsys):
    path = replica(case, tmp_path, pieces)
    before = load_corpus(f"{case}:{path}")
    first = before["clip_id"].iloc[0].rpartition("/")[2]
    tables = [f for f in (tmp_path / "set").rglob("*") if f.suffix in (".txt", ".csv", ".tsv")]
    table = next(f for f in tables if f"{first}." in f.read_text() or f" {first} " in f.read_text())
    lines = table.read_text().splitlines()
    line = next(own for own in lines if f"{first}." in own or f" {first} " in own)
    write_lines(table, [*lines, line])
    capsys.readouterr()
    assert load_corpus(f"{case}:{path}").equals(before)
    assert f"1 lines of {table} name a clip again, such as " in capsys.readouterr().err
    # The same clip with the other label.
    other = {
        "spoof": "bonafide",
        "bonafide": "spoof",
        "bona-fide": "spoof",
        "fake": "genuine",
        "genuine": "fake",
        "a00": "a01",
        "a01": "a00",
        "real": "fake",
    }
    if case == "codecfake":
        other["fake"] = "real"
    separator = "," if table.suffix == ".csv" else " "
    cells = line.split(separator)
    label = max(at for at, cell in enumerate(cells) if cell in other)
    cells[label] = other[cells[label]]
    write_lines(table, [*lines, separator.join(cells)])
    message = refused(case, path, r"each clip has one label\. Received: 1 clips with both: \S+")
    assert message.startswith(f"{table}: ")


def test_a_few_absent_clips_are_left_out_and_told(tmp_path, pieces, capsys):
    path = replica("in_the_wild", tmp_path, pieces)
    before = load_corpus(f"in_the_wild:{path}", split=False)
    (path / "3.wav").unlink()
    capsys.readouterr()
    clips = load_corpus(f"in_the_wild:{path}", split=False)
    assert clips.equals(before[before["clip_id"] != "3"].reset_index(drop=True))
    assert f"1 of 24 clips of {path}/meta.csv have no audio and are left out: 3.wav" in (
        capsys.readouterr().err
    )
    (path / "4.wav").unlink()
    refused("in_the_wild", path, r"Received: 2 of 24 absent: 3\.wav, 4\.wav\. Is it unpacked")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["LA_0 LA_T_1 - - bonafide", "LA_0 LA_T_2 - bonafide"], r":2: expected 5 fields: .*of 1 "),
        (["LA_0 LA_T_1 - - bonafide", "LA_0 LA_T_2 - - x bonafide"], r":2: expected 5 fields: "),
        (
            ["LA_0 LA_T_1 - - bonafide", "", "a b c d e f g h i"],
            r":3: every line has as many fields as the first\. Received: 9",
        ),
        ([], r"expected a line for each clip\. Received: an empty file"),
        (["", " "], r"expected a line for each clip\. Received: an empty file"),
    ],
)
def test_lines_that_do_not_fit(lines, message, tmp_path, pieces):
    path = replica("asvspoof2019_la", tmp_path, pieces)
    write_lines(path / TRAIN_2019, lines)
    assert str(path / TRAIN_2019) in refused("asvspoof2019_la", path, message)


def test_tabs_are_as_good_as_spaces(tmp_path, pieces):
    path = replica("asvspoof5", tmp_path, pieces)
    before = load_corpus(f"asvspoof5:{path}")
    for table in path.glob("*.tsv"):
        table.write_text(table.read_text().replace(" ", "\t"))
    assert load_corpus(f"asvspoof5:{path}").equals(before)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("0.wav,A,spoof\n".encode("utf-16"), r"expected text in UTF-8\. Received: binary data"),
        (b"file,speaker,label\n0.wav,M\xfcller,spoof\n", r"Received: byte 0xfc"),
        (
            b"file,name,label\n0.wav,A,spoof\n",
            r"expected a header with file,speaker,label\.",
        ),
        (b"0.wav,A,spoof\n", r"'0\.wav,A,spoof'; no file, no speaker, no label"),
        (b"file,speaker,label\n,A,spoof\n", r"meta\.csv:2: expected a file\. Received: ',A,spoof'"),
        (b"file,speaker,label\n0.wav,A,spoof,x,y\n", r"expected a table of text\. Received: "),
    ],
)
def test_tables_that_are_none(contents, message, tmp_path, pieces):
    path = replica("in_the_wild", tmp_path, pieces)
    (path / "meta.csv").write_bytes(contents)
    refused("in_the_wild", path, message)


@pytest.mark.parametrize("word", ["bona-fide", "bonafide", "Bona-Fide", "bona_fide", "BONAFIDE"])
def test_real_speech_however_it_is_spelt(word, tmp_path, pieces):
    path = replica("in_the_wild", tmp_path, pieces)
    before = load_corpus(f"in_the_wild:{path}")
    table = path / "meta.csv"
    table.write_text(table.read_text().replace("bona-fide", word))
    assert load_corpus(f"in_the_wild:{path}").equals(before)


def test_label_files_of_another_challenge(tmp_path, pieces):
    path = replica("add2023", tmp_path, pieces)
    write_lines(path / "testR1/label.txt", ["x_00000003.wav genuine"])
    refused("add2023", path, r"label\.txt:1: a clip is named as ADD2023_T1\.2R2_E_0.*'x_0")
    path = REPLICAS["add2022"](tmp_path / "2022", pieces)
    write_lines(path / "eval_track1/label.txt", ["ADD_E2_00000003.wav genuine"])
    refused("add2022", path, r"label\.txt:1: a clip .*'ADD_E2_0.* only tracks 1 and 3\.2 are read")


def test_label_files_that_belong_to_nothing(tmp_path, pieces, capsys):
    path = replica("codecfake", tmp_path, pieces)
    write_lines(path / "label/readme.txt", ["hello there you"])
    write_lines(path / "label/C2.txt", ["p1.wav real 0"])
    before = len(load_corpus(f"codecfake:{path}"))
    said = capsys.readouterr().err
    assert before == 12
    assert "readme.txt is no label file of a known part: left out" in said
    assert f"no C2: {path}/C2 is not there" in said


def test_files_that_tell_no_label(tmp_path, pieces, capsys):
    path = replica("fake_or_real", tmp_path, pieces)
    before = load_corpus(f"fake_or_real:{path}")
    pieces.write(path / "training/unsure/x.wav")
    assert load_corpus(f"fake_or_real:{path}").equals(before)
    assert "1 files tell no part or label: training/unsure" in capsys.readouterr().err


def test_no_file_is_asked_for_one_by_one(tmp_path, pieces, monkeypatch):
    """A folder is listed once, however many clips are in it."""
    path = replica("asvspoof5", tmp_path, pieces)
    asked = []
    stat = Path.stat

    def watched(self, **options):
        asked.append(self)
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", watched)
    monkeypatch.setattr("os.path.exists", lambda own: asked.append(Path(own)) or True)
    monkeypatch.setattr("os.path.isfile", lambda own: asked.append(Path(own)) or True)
    clips = load_corpus(f"asvspoof5:{path}")
    assert len(clips) == 8
    assert not [own for own in asked if own.suffix == ".flac"]
