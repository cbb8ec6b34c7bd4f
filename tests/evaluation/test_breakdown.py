import numpy as np
import pandas as pd
import pytest

from tfpipeline.evaluation.breakdown import break_down, duration_bands
from tfpipeline.evaluation.comparison import common_part, compare, compare_runs, other_clips
from tfpipeline.evaluation.metrics import equal_error_rate, roc_auc
from tfpipeline.reporting.tables import print_leaderboard, print_summary

THRESHOLD = {"value": 1.1, "rule": "equal error rate", "part": "validation"}


def judge(table, **changes):
    settings = {"threshold": THRESHOLD, "rounds": 50, **changes}
    return break_down(table, "run", "cnn", "demo", 10, **settings)


def test_parts_and_attacks(table):
    metrics = judge(table)
    rows = table[table["part"] == "test"]
    labels = (rows["label"] == "spoof").astype(int)
    test = metrics["parts"]["test"]
    assert (test["n_bonafide"], test["n_spoof"], test["n_speakers"]) == (4, 8, 4)
    assert test["auc"] == roc_auc(labels, rows["score"])
    assert test["eer"] == equal_error_rate(labels, rows["score"])
    assert metrics["groups"]["attack"]["world"]["test"]["auc"] == 1.0
    # unseen spoofs against the bonafide of test: all score below, so everything is the wrong way
    unseen, group = metrics["parts"]["unseen"], metrics["groups"]["attack"]["hifigan"]["unseen"]
    assert unseen["auc"] == group["auc"] == 0.0
    assert unseen["n_bonafide"] == 4
    assert unseen["miss_rate"] == 1.0
    assert metrics["macro"]["attack"]["test"]["n_values"] == 2
    mean = np.mean(
        [metrics["groups"]["attack"][a]["test"]["auc"] for a in ("world", "griffin_lim")]
    )
    assert metrics["macro"]["attack"]["test"]["auc"] == pytest.approx(mean)


def test_the_threshold_is_carried_over_unchanged(table):
    test = judge(table)["parts"]["test"]
    rows = table[table["part"] == "test"]
    spoof = rows["label"] == "spoof"
    assert test["miss_rate"] == (rows["score"][spoof] < 1.1).mean()
    assert test["false_alarm_rate"] == (rows["score"][~spoof] >= 1.1).mean()
    assert test["hter"] == (test["miss_rate"] + test["false_alarm_rate"]) / 2
    assert judge(table, threshold=None)["parts"]["test"]["hter"] is None


def test_groups_are_languages_bands_and_what_is_asked_for(table):
    metrics = judge(table.assign(room=["a", "b"] * 20), by=["room", "speaker"])
    assert list(metrics["groups"]) == ["attack", "speaker", "language", "duration", "room"]
    assert set(metrics["groups"]["duration"]) == {"under 1 s", "1 to 2 s", "2 to 4 s"}
    assert metrics["groups"]["language"]["de"]["test"]["n_bonafide"] == 2
    # one speaker alone says nothing of others
    assert metrics["groups"]["speaker"]["test0"]["test"]["auc_low"] is None
    with pytest.raises(ValueError, match=r"--by names columns.*Received: 'rom'"):
        judge(table, by=["rom"])


def test_a_part_with_one_class_says_what_cannot_be_said(table):
    spoofs = table[(table["part"] != "test") | (table["label"] == "spoof")]
    metrics = judge(spoofs)
    assert metrics["parts"]["test"]["auc"] is None
    assert metrics["parts"]["test"]["miss_rate"] is not None
    assert metrics["parts"]["test"]["false_alarm_rate"] is None
    assert any(note.startswith("test: spoof clips only") for note in metrics["notes"])
    assert metrics["parts"]["train"]["auc"] is not None


def test_without_calibration_what_needs_it_is_left_out(table):
    test = judge(table.assign(llr=np.nan, probability=np.nan))["parts"]["test"]
    assert test["cllr"] is test["brier"] is test["act_dcf"] is None
    assert test["min_cllr"] is not None


def test_a_table_without_parts_is_judged_as_one(table):
    metrics = judge(table.assign(part="-"))
    assert list(metrics["parts"]) == ["all"]
    assert metrics["parts"]["all"]["n_spoof"] == 28


@pytest.mark.parametrize(
    ("seconds", "band"),
    [
        (0.99, "under 1 s"),
        (1.0, "under 1 s"),
        (1.01, "1 to 2 s"),
        (4.0, "2 to 4 s"),
        (4.01, "4 to 8 s"),
        (16.01, "over 16 s"),
        (np.nan, "-"),
    ],
)
def test_duration_bands(seconds, band):
    assert duration_bands(pd.Series([seconds])).tolist() == [band]


def test_duration_bands_belong_to_their_rows(table):
    seconds = pd.Series([0.5, 3.0], index=[7, 3])
    assert duration_bands(seconds).to_dict() == {7: "under 1 s", 3: "2 to 4 s"}
    some = table[table["part"] == "test"]  # its rows are not numbered from 0
    counts = judge(some)["groups"]["duration"]
    expected = duration_bands(some["seconds"].reset_index(drop=True)).value_counts()
    assert {
        band: own["test"]["n_bonafide"] + own["test"]["n_spoof"] for band, own in counts.items()
    } == expected.to_dict()


def test_the_best_model_is_compared_with_the_others_on_the_same_clips(table):
    worse = table.assign(score=-table["score"])
    assert common_part({"one": table, "two": worse}) == "test"
    compared = compare_runs({"two": worse, "one": table}, "test")
    own = {row["run"]: row for row in compared}
    assert own["one"]["low"] is None
    rows = table[table["part"] == "test"]
    labels = (rows["label"] == "spoof").astype(int)
    expected = roc_auc(labels, rows["score"]) - roc_auc(labels, -rows["score"])
    assert own["two"]["difference"] == pytest.approx(expected)
    same = compare(table, table)
    assert (same["difference"], same["low"], same["high"]) == (0, 0, 0)
    assert other_clips({"one": table, "two": worse}, "test") is None
    fewer = table[table["attack"] != "world"]
    assert "(8 are shared by all)" in other_clips({"one": table, "two": fewer}, "test")
    with pytest.raises(ValueError, match="as bonafide and as spoof"):
        compare(table, table.assign(label=table["label"].iloc[::-1].to_numpy()))
    with pytest.raises(ValueError, match="without a common one"):
        common_part({"one": table[table["part"] == "test"], "two": table.assign(part="eval")})


def test_the_printed_tables_name_parts_attacks_and_limits(table, capsys):
    metrics = judge(table)
    print_summary(metrics)
    printed = capsys.readouterr().out
    for word in ("validation", "unseen", "hifigan", "0.000", "100.00", "other generators", "1.100"):
        assert word in printed, word
    other = {**metrics, "run": "[b]x"}
    print_leaderboard([metrics, other], "test", compare_runs({"run": table, "[b]x": table}, "test"))
    assert "[b]x" in capsys.readouterr().out
