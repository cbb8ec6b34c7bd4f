"""Mean and pooled EER, as Speech DF Arena reports them."""

import numpy as np
import pandas as pd
import pytest
from organizers import slow_eer

from tfpipeline.evaluation.metrics import equal_error_rate
from tfpipeline.evaluation.pooled import pooled_report


def data_set(seed, n_bonafide, n_spoof, shift):
    random = np.random.default_rng(seed)
    scores = random.normal(size=n_bonafide + n_spoof) + shift
    labels = ["bonafide"] * n_bonafide + ["spoof"] * n_spoof
    return pd.DataFrame(
        {"label": labels, "score": scores + np.repeat([0, 1], [n_bonafide, n_spoof])}
    )


def of(table, label):
    """Scores of a class as the Arena has them: high = bonafide."""
    return (-table.loc[table["label"] == label, "score"]).tolist()


def test_each_mean_and_pooled():
    tables = {f"d{n}": data_set(n, 20 + 7 * n, 50 - 9 * n, 1.5 * n) for n in range(4)}
    report = pooled_report(tables)
    each = [slow_eer(of(table, "bonafide"), of(table, "spoof")) for table in tables.values()]
    assert [row["eer"] for row in report["data_sets"]] == each
    assert report["mean"] == {"n_data_sets": 4, "eer": pytest.approx(np.mean(each), abs=1e-15)}
    together = pd.concat(tables.values())
    pooled = report["pooled"]
    assert pooled["eer"] == slow_eer(of(together, "bonafide"), of(together, "spoof"))
    assert pooled["eer"] > report["mean"]["eer"] + 0.05  # the scores lie elsewhere on each
    for row, table in zip(report["data_sets"], tables.values(), strict=True):
        called = table["score"] >= pooled["threshold"]
        spoof = table["label"] == "spoof"
        assert row["miss_rate"] == 1 - called[spoof].mean()
        assert row["false_alarm_rate"] == pytest.approx(called[~spoof].mean(), abs=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_of_equally_good_thresholds_the_organizers_one(seed):
    """With few clips two thresholds are often equally good, and their means differ."""
    table = data_set(seed, 3 + seed % 3, 5 + seed % 4, 0)
    labels = (table["label"] == "spoof").astype(int).to_numpy()
    expected = slow_eer(of(table, "bonafide"), of(table, "spoof"))
    assert equal_error_rate(labels, table["score"].to_numpy()) == expected


def test_an_eer_by_hand():
    # Upwards, high = bonafide: FRR, FAR are 0, 1; 0, 1/2; 1/3, 1/2; 1/3, 0. The third is the best.
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([3.0, 2.5, 2.0, 1.0, 0.5])
    expected = slow_eer([-2.5, -1.0, -0.5], [-3.0, -2.0])
    assert expected == pytest.approx(5 / 12, abs=1e-15)
    assert equal_error_rate(labels, scores) == expected


def test_a_data_set_of_one_class():
    tables = {"both": data_set(1, 9, 9, 0), "fakes": data_set(2, 0, 9, 0)}
    report = pooled_report(tables)
    assert report["data_sets"][1]["eer"] is None
    assert report["data_sets"][1]["false_alarm_rate"] is None
    assert report["mean"] == {"n_data_sets": 1, "eer": report["data_sets"][0]["eer"]}
    assert report["pooled"]["n_spoof"] == 18
    assert report["notes"] == [
        "fakes: spoof clips only, so no EER; it counts in the pooled one alone"
    ]
    alone = pooled_report({"fakes": tables["fakes"]})
    assert alone["pooled"] == {"n_bonafide": 0, "n_spoof": 9, "eer": None, "threshold": None}
    assert alone["mean"]["eer"] is None
