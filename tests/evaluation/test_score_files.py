import numpy as np
import pytest

from tfpipeline.evaluation.metrics import roc_auc
from tfpipeline.evaluation.score_files import read_key, read_score_file, write_asvspoof5
from tfpipeline.evaluation.scores import read_scores, write_scores

ASVSPOOF5 = "filename\tcm-score\nE_1\t3.5\nE_2\t-1.25\n"
KEY5 = "filename\tcm-label\nE_1\tbonafide\nE_2\tspoof\n"
# Lines of the published protocols.
LA2019 = "LA_0069 LA_D_1047731 - - bonafide\nLA_0039 LA_E_2834763 - A11 spoof\n"
LA2021 = (
    "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval\n"
    "LA_0020 LA_E_6866159 alaw ita_tx bonafide bonafide notrim eval\n"
    "LA_0020 LA_E_1000001 alaw ita_tx bonafide bonafide notrim progress\n"
)
TSV5 = "D_4461 D_0000000169 F - - - AC1 A14 spoof -\nD_4462 D_0000000170 M - - - - - bonafide -\n"


def write(folder, text, name="scores.txt"):
    (folder / name).write_text(text)
    return folder / name


def by_id(read):
    table = read.table.set_index("clip_id")
    return table["score"].to_dict(), table["label"].to_dict()


def test_asvspoof5(tmp_path):
    key = write(tmp_path, KEY5, "key.tsv")
    read = read_score_file(write(tmp_path, ASVSPOOF5), key)
    assert (read.form, read.polarity) == ("asvspoof5", "bonafide")
    assert by_id(read) == ({"E_1": -3.5, "E_2": 1.25}, {"E_1": "bonafide", "E_2": "spoof"})
    # A protocol does as well, and tells speakers and attacks besides.
    protocol = write(tmp_path, TSV5, "ASVspoof5.dev.tsv")
    scores = write(
        tmp_path, ASVSPOOF5.replace("E_1", "D_0000000169").replace("E_2", "D_0000000170")
    )
    table = read_score_file(scores, protocol).table
    assert table["attack"].tolist() == ["A14", "-"]
    assert table["speaker"].tolist() == ["D_4461", "D_4462"]


def test_what_is_written_for_asvspoof5_comes_back(tmp_path, table):
    table = table.assign(score=table["score"] + np.pi * 1e-9)
    write_asvspoof5(tmp_path / "s.tsv", table)
    first = (tmp_path / "s.tsv").read_text().splitlines()
    assert first[0] == "filename\tcm-score"
    assert float(first[1].split("\t")[1]) == -table["score"][0]
    write_scores(tmp_path / "key.csv", table)
    read = read_score_file(tmp_path / "s.tsv", tmp_path / "key.csv")
    np.testing.assert_array_equal(read.table["score"], table["score"])
    assert read.table["part"].tolist() == table["part"].tolist()


def test_two_columns_of_2019_and_2021(tmp_path):
    scores = write(tmp_path, "LA_E_9332881 -2.0\nLA_E_6866159 1.5\n")
    read = read_score_file(scores, write(tmp_path, LA2021, "trial_metadata.txt"))
    assert (read.form, read.unscored) == ("asvspoof2021", 0)  # `progress` is not asked for
    assert by_id(read)[0] == {"LA_E_9332881": 2.0, "LA_E_6866159": -1.5}
    assert read.table["codec"].tolist() == ["alaw", "alaw"]
    scores = write(tmp_path, "LA_E_2834763 -2.0\n")
    read = read_score_file(scores, write(tmp_path, LA2019, "cm.trl.txt"))
    assert read.unscored == 1
    assert read.table["attack"].tolist() == ["A11"]


def test_four_columns_of_2019_hold_their_own_key(tmp_path):
    text = "LA_E_1 - bonafide 2.5\nLA_E_2 A11 spoof -3.25\n"
    read = read_score_file(write(tmp_path, text))
    assert read.form == "asvspoof2019"
    assert by_id(read) == (
        {"LA_E_1": -2.5, "LA_E_2": 3.25},
        {"LA_E_1": "bonafide", "LA_E_2": "spoof"},
    )
    assert read.table["attack"].tolist() == ["-", "A11"]


def test_file_and_score(tmp_path):
    key = write(tmp_path, "file,speaker,label\n0.wav,Alec,spoof\n1.wav,Ann,bona-fide\n", "meta.csv")
    scores = write(tmp_path, "file,score\n1.wav,-2\n0.wav,3\n", "s.csv")
    read = read_score_file(scores, key)
    assert (read.form, read.polarity) == ("table", "spoof")
    assert by_id(read) == ({"0.wav": 3, "1.wav": -2}, {"0.wav": "spoof", "1.wav": "bonafide"})
    turned = read_score_file(scores, key, polarity="bonafide")
    assert by_id(turned)[0] == {"0.wav": -3, "1.wav": 2}
    # Names with and without the file's ending are one.
    scores = write(tmp_path, "file,score\n1,-2\n0,3\n", "s.csv")
    assert read_score_file(scores, key).table["label"].tolist() == ["bonafide", "spoof"]


def test_our_own_tables_pass_through(tmp_path, table):
    for name in ("s.csv", "s.parquet"):
        write_scores(tmp_path / name, table)
        read = read_score_file(tmp_path / name)
        assert (read.form, read.polarity) == ("tfpipeline", "spoof")
        np.testing.assert_array_equal(read.table["score"], read_scores(tmp_path / name)["score"])
    turned = read_score_file(tmp_path / "s.csv", polarity="bonafide").table
    labels = (table["label"] == "spoof").astype(int)
    assert roc_auc(labels, turned["score"]) == pytest.approx(1 - roc_auc(labels, table["score"]))
    assert turned["llr"].isna().all()


@pytest.mark.parametrize(
    ("scores", "key", "message"),
    [
        (ASVSPOOF5, None, "so a key is needed.*--key"),
        (ASVSPOOF5 + "E_3\t1\n", KEY5, r"row 3: every scored clip stands in the key.*E_3"),
        (ASVSPOOF5 + "E_1\t1\n", KEY5, r"row 3: each clip has one score.*E_1 again"),
        (ASVSPOOF5 + "E_2\n", KEY5, r"row 3: expected 2 cells"),
        (ASVSPOOF5.replace("3.5", "nan"), KEY5, r"row 1: a score is a finite number.*nan"),
        (ASVSPOOF5, KEY5 + "E_1\tspoof\n", "a key names each clip once.*E_1 twice"),
        (ASVSPOOF5, KEY5.replace("spoof", "1"), r"row 2: a label is bonafide or spoof.*'1'"),
        (ASVSPOOF5, "a b c\n", "or a protocol line that holds bonafide or spoof"),
        (ASVSPOOF5, LA2019 + "LA_1 LA_2\n", r"row 3: expected bonafide or spoof as cell 5"),
        ("filename\tcm-score\n", KEY5, "0 rows"),
        ("", KEY5, "0 rows"),
        ("x,score\n1,2\n", KEY5, "has a column of ids"),
        ("one two three\n", KEY5, "expected a header with score or cm-score, or lines"),
    ],
)
def test_bad_files_name_the_row_and_the_mend(tmp_path, scores, key, message):
    key = key and write(tmp_path, key, "key.txt")
    with pytest.raises(ValueError, match=message):
        read_score_file(write(tmp_path, scores), key)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_score_file(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_key(tmp_path / "none")
    with pytest.raises(ValueError, match="polarity must be"):
        read_score_file(tmp_path / "none", polarity="high")
