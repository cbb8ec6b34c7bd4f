"""Permutation importance against scikit-learn's, and its groups."""

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance as reference
from sklearn.linear_model import LogisticRegression

from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.training import fit_classical as importance
from tfpipeline.training.fit_classical import feature_group, permutation_importance

NAMES = ["useful", "mfcc_00_std", "mfcc_01_std", "noise"]


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    rows = random.standard_normal((400, 4))
    rows[:, 2] = rows[:, 1]  # each can stand in for the other
    labels = (rows[:, 0] + rows[:, 1] + 0.3 * random.standard_normal(400) > 0).astype(int)
    return rows, labels, LogisticRegression().fit(rows, labels)


def test_it_equals_scikit_learns_on_the_average(data):
    rows, labels, model = data
    own = permutation_importance(model.decision_function, rows, labels, NAMES, repeats=60)
    own = own[own["kind"] == "feature"].set_index("name")
    expected = reference(model, rows, labels, scoring="roc_auc", n_repeats=60, random_state=1)
    for place, name in enumerate(NAMES):
        error = np.hypot(own["std"][name], expected.importances_std[place]) / np.sqrt(60)
        assert own["auc_drop"][name] == pytest.approx(
            expected.importances_mean[place], abs=4 * error + 1e-6
        )
    assert own.index[0] == "useful"


def test_a_group_is_worth_more_than_its_features(data):
    rows, labels, model = data
    table = permutation_importance(model.decision_function, rows, labels, NAMES)
    groups = table[table["kind"] == "group"]
    assert list(groups["name"]) == ["mfcc"]
    assert list(groups["columns"]) == [2]
    single = table[table["name"].str.startswith("mfcc_")]["auc_drop"]
    assert groups["auc_drop"].iloc[0] > single.sum()


def test_seeded_and_on_some_rows_of_many(data, monkeypatch):
    rows, labels, model = data
    first, again = (
        permutation_importance(model.decision_function, rows, labels, NAMES, seed=3)
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)
    monkeypatch.setattr(importance, "MOST_ROWS", 100)
    seen = []

    def score(own):
        seen.append(len(own))
        return model.decision_function(own)

    permutation_importance(score, rows, labels, NAMES)
    assert set(seen) == {100, 100 * importance.REPEATS}


def test_groups_of_the_real_names():
    groups = {feature_group(name) for name in HandcraftedFeatures("all").names}
    assert {"mfcc", "mfcc_delta", "lfcc_delta2", "log_mel", "contrast", "flux"} <= groups
    assert feature_group("mel_017_mean") == "mel"
    assert feature_group("waveform_max") == feature_group("waveform_skew") == "waveform"
    assert feature_group("centroid_q10") == "centroid"
    assert len(groups) < 40, sorted(groups)
