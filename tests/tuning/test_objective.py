"""Objectives on scores that are known, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tfpipeline.data.clips import normalize_manifest
from tfpipeline.tuning.objective import Objective, measure, parse_objective


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    label = np.array(["bonafide", "spoof", "spoof"] * 20)
    table = pd.DataFrame(
        {
            "path": [f"{i}.wav" for i in range(60)],
            "label": label,
            "attack": np.where(label == "bonafide", "-", np.tile(["x", "a", "b"], 20)),
            "language": rng.choice(["de", "en"], 60),
            "seconds": 2.0,
        }
    )
    return normalize_manifest(table, "test").assign(part="validation")


@pytest.fixture
def scores(clips):
    rng = np.random.default_rng(1)
    return rng.standard_normal(60) + (clips["label"] == "spoof") * np.where(
        clips["attack"] == "a", 2.0, 0.3
    )


def auc(clips, scores, rows):
    return roc_auc_score(clips["label"][rows] == "spoof", scores[rows])


def test_auc_and_its_mean_over_folds(clips, scores):
    objective = parse_objective("auc", clips)
    every = np.ones(60, bool)
    figures = measure(objective, [(clips, scores.to_numpy())])
    assert figures["auc"] == pytest.approx(auc(clips, scores, every), abs=1e-12)
    halves = [np.arange(60) < 30, np.arange(60) >= 30]
    folds = [(clips[rows], scores[rows].to_numpy()) for rows in halves]
    expected = np.mean([auc(clips, scores, rows) for rows in halves])
    assert measure(objective, folds)["auc"] == pytest.approx(expected, abs=1e-12)


def test_worst_group(clips, scores):
    bonafide = clips["label"] == "bonafide"
    expected = {
        "worst:attack": [bonafide | (clips["attack"] == own) for own in "ab"],
        "worst:language": [clips["language"] == own for own in ("de", "en")],
    }
    for name, rows in expected.items():
        objective = parse_objective(name, clips)
        assert objective.direction == "max"
        value = measure(objective, [(clips, scores.to_numpy())])[name]
        assert value == pytest.approx(min(auc(clips, scores, own) for own in rows), abs=1e-12)


def test_directions_and_ties():
    assert parse_objective("eer", pd.DataFrame()).better(0.1, 0.2)
    assert parse_objective("auc", pd.DataFrame()).better(0.9, 0.8)
    own = Objective("auc", "max")
    ordered = sorted(
        [{"auc": 0.9, "min_cllr": 0.3}, {"auc": 1.0, "min_cllr": 0.2}, {"auc": 1.0, "min_cllr": 0}],
        key=own.key,
    )
    assert [row["min_cllr"] for row in ordered] == [0, 0.2, 0.3]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("f1", r"the objective must be one of auc, .* or worst:COLUMN\. Received: 'f1'"),
        ("worst:colour", r"worst:COLUMN names a column of the clips: .*language"),
        ("worst:source", r"needs a source with clips of both classes"),
    ],
)
def test_objectives_that_cannot_be_computed_are_refused(clips, name, message):
    with pytest.raises(ValueError, match=message):
        parse_objective(name, clips)
