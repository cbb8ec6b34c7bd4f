"""Forms of score files: each is recognized, named, and points the right way."""

import codecs

import pytest

from tfpipeline.evaluation.score_files import read_score_file

KEY = "file_name,label\nE_1,bonafide\nE_2,spoof\nE_3,spoof\n"
# What each file below says of the three clips, high = spoof.
SPOOF_HIGH = {"E_1": -2.5, "E_2": 1.25, "E_3": -0.5}
LABELS = {"E_1": "bonafide", "E_2": "spoof", "E_3": "spoof"}


def read(folder, content, key=KEY, **options):
    (folder / "scores.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    if key:
        (folder / "key.csv").write_text(key)
    return read_score_file(folder / "scores.txt", key and folder / "key.csv", **options)


def found(read):
    table = read.table.set_index("clip_id")
    return table["score"].to_dict(), table["label"].to_dict()


@pytest.mark.parametrize(
    ("content", "form", "labelled"),
    [
        ("E_1 2.5\nE_2 -1.25\nE_3 .5\n", "asvspoof2021", False),
        ("E_1.flac 2.5\nE_2.flac -1.25\nE_3.flac 5e-1\n", "asvspoof2021", False),
        ("E_1,2.5\nE_2,-1.25\nE_3,0.5\n", "asvspoof2021", False),
        ("filename,cm-score\nE_1,2.5\nE_2,-1.25\nE_3,0.5\n", "asvspoof5", False),
        ("filename\tcm-score\nE_1\t2.5\nE_2\t-1.25\nE_3\t0.5\n", "asvspoof5", False),
        ("file_name cm_score\nE_1 2.5\nE_2 -1.25\nE_3 0.5\n", "asvspoof5", False),
        ("E_1 bonafide 2.5\nE_2 spoof -1.25\nE_3 spoof 0.5\n", "labelled", True),
        ("E_1 2.5 bonafide\nE_2 -1.25 spoof\nE_3 0.5 spoof\n", "labelled", True),
        ("E_1 - bonafide 2.5\nE_2 A07 spoof -1.25\nE_3 A08 spoof .5\n", "asvspoof2019", True),
        ("E_1 bonafide bonafide 2.5\nE_2 A7 spoof -1.25\nE_3 A8 spoof .5\n", "asvspoof2019", True),
        ("s E_1 2.5 bonafide\ns E_2 -1.25 spoof\ns E_3 .5 spoof\n", "asvspoof5_aasist", True),
        ("E_1 -1.5 1\nE_2 1.0 -.25\nE_3 0.25 .75\n", "logits", False),
        ("E_1 bonafide -1.5 1\nE_2 spoof 1.0 -.25\nE_3 spoof 0.25 .75\n", "logits", True),
        ("id,bonafide_logit,spoof_logit\nE_1,1,-1.5\nE_2,-.25,1\nE_3,.75,.25\n", "logits", False),
        ("file,score\nE_1,-2.5\nE_2,1.25\nE_3,-0.5\n", "table", False),
        ('file,score\n"E_1","-2,5"\n"E_2","1,25"\n"E_3","-0,5"\n', "table", False),
        (
            "clip_id;label;score\nE_1;bonafide;-2,5\nE_2;spoof;1,25\nE_3;spoof;-,5\n",
            "tfpipeline",
            1,
        ),
    ],
)
def test_every_form(tmp_path, content, form, labelled):
    told = read(tmp_path, content)
    assert told.form == form
    assert told.polarity == ("spoof" if form in ("logits", "table", "tfpipeline") else "bonafide")
    assert found(told) == (SPOOF_HIGH, LABELS)
    if labelled:
        assert found(read(tmp_path, content, key=None)) == (SPOOF_HIGH, LABELS)
    else:
        with pytest.raises(ValueError, match="so a key is needed"):
            read(tmp_path, content, key=None)


@pytest.mark.parametrize(
    ("mark", "encoding", "words"),
    [
        (b"", "utf-8", "spaces"),
        (codecs.BOM_UTF8, "utf-8", "spaces, byte-order mark"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "spaces, UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "spaces, UTF-16"),
    ],
)
def test_marks_and_ends_of_lines(tmp_path, mark, encoding, words):
    text = "E_1 2.5\nE_2 -1.25\n\nE_3 .5"
    for end, more in (("\n", ""), ("\r\n", ", CRLF"), ("\r", "")):
        told = read(tmp_path, mark + text.replace("\n", end).encode(encoding))
        assert found(told)[0] == SPOOF_HIGH
        assert told.layout == f"lines `id score`; {words}{more}"


@pytest.mark.parametrize(
    ("separator", "word"), [(" ", "spaces"), ("\t", "tabs"), (";", "semicolons")]
)
def test_decimal_commas(tmp_path, separator, word):
    content = "E_1 2,5\nE_2 -1,25\nE_3 ,5\n".replace(" ", separator)
    told = read(tmp_path, content)
    assert found(told)[0] == SPOOF_HIGH
    assert told.layout == f"lines `id score`; {word}, decimal commas"


def test_the_order_of_two_logits_is_named_and_turned(tmp_path):
    content = "E_1 1 -1.5\nE_2 -.25 1\nE_3 .75 .25\n"
    turned = read(tmp_path, content, logits="bonafide-spoof")
    assert found(turned)[0] == SPOOF_HIGH
    assert "`id logit 1 logit 2`, taken as bonafide-spoof logits" in turned.layout
    taken = read(tmp_path, content)
    assert found(taken)[0] == {clip: -score for clip, score in SPOOF_HIGH.items()}
    assert "taken as spoof-bonafide logits" in taken.layout


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("E_1 0 2.5\nE_2 1 -1.25\n", {}, "0 and 1 only. If it is a label, write the word"),
        ("E_1 2.5 1\nE_2 -1.25 0\n", {}, "0 and 1 only"),
        ("E_1,2,5\nE_2,-1,25\n", {}, "may be one score with a decimal comma"),
        ("file,score\nE_1,2,5\n", {}, "row 1: expected 2 cells.*Decimal commas need another"),
        ("E_1 2,5\nE_2 1.234\n", {}, "either decimal commas or decimal points.*2,5 and 1.234"),
        ("E_1 a b\n", {}, "or lines `clip_id score`, "),
        ("E_1 bonafide 1\nE_2 2 2\nE_3 spoof 1\n", {}, "row 2: a label is bonafide or spoof"),
        ("E_1 spoof 1\nE_2 spoof 2\n", {}, "row 1: a label is that of the key.*spoof here"),
        ("E_1 1 2.5\nE_2 x 3.5\nE_3 2 4.5\n", {}, "row 2: a score is a finite number"),
        ("E_1 1.5 2.5\n", {"polarity": "spoof"}, "Name the order instead: --logits"),
        ("E_1 1\n", {"logits": "bonafide-spoof"}, "about files with two logits a clip"),
        ("id,spoof_logit,bonafide_logit\nE_1,1,2\n", {"logits": "spoof-bonafide"}, "say themselv"),
        ("E_1 1\n", {"logits": "both"}, "logits must be spoof-bonafide or"),
        (b"\xff\x00E_1", {}, "expected text in UTF-8"),
    ],
)
def test_doubtful_files_are_refused(tmp_path, content, options, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content, **options)
