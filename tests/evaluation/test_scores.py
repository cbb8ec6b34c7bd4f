import numpy as np
import pandas as pd
import pytest
from nasty_names import NAMES

from tfpipeline.data.clips import normalize_manifest
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.evaluation.scores import read_scores, score_table, write_scores


def test_a_table_survives_its_file_to_the_last_digit(tmp_path, table):
    scores = table.copy()
    scores["score"] += np.pi * 1e-9
    write_scores(tmp_path / "scores.csv", scores)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), scores, check_exact=True)


def test_any_id_survives_its_file(tmp_path):
    clips = normalize_manifest(pd.DataFrame({"path": NAMES, "label": "spoof"}), "here")
    scores = score_table(clips, np.arange(len(NAMES)) / 3, None)
    write_scores(tmp_path / "scores.csv", scores)
    read = read_scores(tmp_path / "scores.csv")
    assert read["clip_id"].tolist() == read["path"].tolist() == list(NAMES)
    assert read["score"].tolist() == scores["score"].tolist()
    assert read["llr"].isna().all()


def test_parquet_is_the_same_table(tmp_path, table):
    scores = table
    write_scores(tmp_path / "scores.parquet", scores)
    read = read_scores(tmp_path / "scores.parquet")
    write_scores(tmp_path / "scores.csv", scores)
    assert list(read) == list(scores)
    np.testing.assert_array_equal(read["score"], scores["score"])
    assert read["attack"].tolist() == read_scores(tmp_path / "scores.csv")["attack"].tolist()


def test_missing_columns_are_filled_in_and_others_kept(tmp_path):
    (tmp_path / "s.csv").write_text("clip_id,label,score,room\na,spoof,1,hall\n")
    read = read_scores(tmp_path / "s.csv")
    assert read.loc[0, "speaker"] == read.loc[0, "part"] == "-"
    assert np.isnan(read.loc[0, "llr"])
    assert read.loc[0, "room"] == "hall"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,score\na,1\n", r"must be there\. Received: none named clip_id, label"),
        ("clip_id,label,score\n", "expected a row a clip. Received: 0 rows"),
        (
            "clip_id,label,score\na,spoof,1\na,spoof,2\n",
            r"row 2: each clip has one score.* a again",
        ),
        ("clip_id,label,score\na,fake,1\n", r"row 1: label must be bonafide or spoof.*'fake'"),
        (
            "clip_id,label,score\na,spoof,1\nb,spoof,nan\n",
            r"row 2: a score is a finite number.*nan",
        ),
        ("clip_id,label,score\na,spoof,inf\n", r"row 1: a score is a finite number.*inf"),
        ("clip_id,label,score\na,spoof,high\n", r"row 1: a score is a finite number.*high"),
        ("", "expected a score table"),
    ],
)
def test_bad_tables_name_the_row(tmp_path, text, message):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path / "scores.csv")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_scores(tmp_path / "none.csv")


def test_a_score_that_is_not_finite_names_its_clip(table):
    clips = normalize_manifest(table[["path", "label"]], "table")
    scores = np.zeros(len(clips))
    scores[2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity for train/0griffin_lim"):
        score_table(clips, scores, Calibration(1, 0))
