import numpy as np
import pandas as pd
import pytest

from tfpipeline.data.clips import normalise_manifest
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.evaluation.figures import draw_learning_curve, draw_spectrograms
from tfpipeline.evaluation.scores import read_scores, score_table, write_scores
from tfpipeline.evaluation.summary import print_summary, summarise


def table(parts=("train", "validation", "test"), unseen=True):
    rows = [
        {"path": f"{part}/{speaker}{attack}", "part": part, "speaker": f"{part}{speaker}",
         "attack": attack, "label": "bonafide" if attack == "-" else "spoof"}
        for part in parts
        for speaker in range(4)
        for attack in ("-", "world", "griffin_lim")
    ]  # fmt: skip
    if unseen:
        rows += [
            {"path": f"u{i}", "part": "unseen", "speaker": f"test{i}", "attack": "hifigan",
             "label": "spoof"}
            for i in range(4)
        ]  # fmt: skip
    clips = normalise_manifest(pd.DataFrame(rows), "table")
    strength = clips["attack"].map({"-": 0.0, "world": 5.0, "griffin_lim": 0.6, "hifigan": -9.0})
    scores = strength + np.tile([0, 0.25, 0.5, 1.0], len(clips) // 4 + 1)[: len(clips)]
    return score_table(clips, scores.to_numpy(float), Calibration(1.0, 0.0))


def test_a_table_survives_its_file_to_the_last_digit(tmp_path):
    scores = table()
    scores["score"] += np.pi * 1e-9
    write_scores(tmp_path / "scores.csv", scores)
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), scores, check_exact=True)


def test_columns_are_checked(tmp_path):
    (tmp_path / "scores.csv").write_text("path,score\na,1\n")
    with pytest.raises(ValueError, match=r"scores\.csv: a score table has .* none named clip_id"):
        read_scores(tmp_path / "scores.csv")


def test_a_score_that_is_not_finite_names_its_clip():
    clips = normalise_manifest(table()[["path", "label"]], "table")
    scores = np.zeros(len(clips))
    scores[2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity for train/0griffin_lim"):
        score_table(clips, scores, Calibration(1, 0))


def test_summary_by_part_and_attack():
    metrics = summarise(table(), "run", "cnn", "demo", 10)
    test = metrics["parts"]["test"]
    assert (test["n_bonafide"], test["n_spoof"], test["n_speakers"]) == (4, 8, 4)
    assert metrics["groups"]["attack"]["world"]["test"]["auc"] == 1.0
    # unseen spoofs against the bonafide of test: all score below, so everything is the wrong way
    assert metrics["parts"]["unseen"] == metrics["groups"]["attack"]["hifigan"]["unseen"]
    assert metrics["parts"]["unseen"]["auc"] == 0.0
    assert metrics["parts"]["unseen"]["n_bonafide"] == 4
    assert metrics["threshold"]["part"] == "validation"
    assert metrics["notes"] == []


def test_a_part_with_one_class_says_what_cannot_be_said():
    scores = table(unseen=False)
    scores = scores[(scores["part"] != "test") | (scores["label"] == "spoof")]
    metrics = summarise(scores, "run", "cnn", "demo", 10)
    assert metrics["parts"]["test"]["auc"] is None
    assert "test: AUC and EER need both classes." in metrics["notes"]
    assert metrics["parts"]["train"]["auc"] is not None


def test_the_printed_table_names_parts_attacks_and_limits(capsys):
    print_summary(summarise(table(), "run", "cnn", "demo", 10))
    printed = capsys.readouterr().out
    for word in ("validation", "unseen", "hifigan", "0.0000", "100.00", "other fakes"):
        assert word in printed, word


def test_pictures_are_written(tmp_path):
    history = pd.DataFrame({
        "epoch": [1, 2], "loss": [0.7, 0.5], "val_auc": [0.6, 0.9], "val_eer": [0.4, 0.1],
        "best": [False, True],
    })  # fmt: skip
    draw_learning_curve(history, tmp_path / "figures" / "curve.png")
    mel = np.random.default_rng(0).normal(size=(50, 20))
    draw_spectrograms({"original": mel, "world": mel}, 0.01, tmp_path / "figures" / "mel.png")
    for name in ("curve.png", "mel.png"):
        assert (tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG")
