import numpy as np
import pandas as pd
import pytest

from tfpipeline.evaluation.bootstrap import (
    bootstrap,
    bootstrap_auc,
    interval,
    resampling_groups,
)
from tfpipeline.evaluation.metrics import equal_error_rate, roc_auc


def case(seed=0, n=120, groups=12, decimals=None):
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, n - 2)]
    scores = random.normal(size=n) + labels
    return labels, np.round(scores, 9 if decimals is None else decimals), np.arange(n) % groups


@pytest.mark.parametrize("decimals", [None, 0])
def test_a_round_equals_the_metrics_of_the_repeated_clips(decimals):
    labels, scores, groups = case(decimals=decimals)
    aucs, eers = bootstrap(labels, scores, groups, rounds=25, seed=3)
    random = np.random.default_rng(3)
    for auc, eer in zip(aucs, eers, strict=True):
        drawn = random.integers(0, 12, 12)
        rows = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        assert auc == pytest.approx(roc_auc(labels[rows], scores[rows]), abs=1e-12)
        assert eer == pytest.approx(equal_error_rate(labels[rows], scores[rows]), abs=1e-12)


def test_draws_do_not_hang_on_the_order_of_scores_so_models_are_paired():
    labels, scores, groups = case()
    one = bootstrap_auc(labels, scores, groups, rounds=50)
    np.testing.assert_allclose(one, bootstrap_auc(labels, np.exp(scores), groups, rounds=50))
    np.testing.assert_allclose(one, 1 - bootstrap_auc(labels, -scores, groups, rounds=50))


def test_a_round_with_one_class_is_left_out():
    labels, scores = np.array([0, 1, 1, 1]), np.arange(4.0)
    aucs = bootstrap_auc(labels, scores, np.arange(4), rounds=200)
    assert np.isnan(aucs).any()
    assert np.nanmin(aucs) == 1
    assert interval(np.array([np.nan, np.nan, 1.0])) is None


def test_clips_of_one_speaker_widen_the_interval():
    random = np.random.default_rng(1)
    speakers = np.repeat(np.arange(20), 30)
    labels = np.tile([0, 1], 300)
    scores = labels + random.normal(size=20)[speakers] * 2 + random.normal(size=600) * 0.1
    single = interval(bootstrap_auc(labels, scores, np.arange(600), rounds=300))
    whole = interval(bootstrap_auc(labels + 0, scores, speakers, rounds=300))
    # Within a speaker the classes are far apart; how speakers lie to each other is what varies.
    assert whole[1] - whole[0] > single[1] - single[0]


def test_the_interval_covers_the_truth_as_often_as_it_says():
    # AUC of two normals one deviation apart is Phi(1 / sqrt 2) = .7602.
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        labels = np.repeat([0, 1], 40)
        scores = random.normal(size=80) + labels
        draws = bootstrap_auc(labels, scores, np.arange(80), rounds=200)
        low, high = interval(draws, roc_auc(labels, scores))
        covered += low <= 0.7602 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_without_bias_the_correction_changes_little_and_mirrors():
    draws = np.random.default_rng(0).normal(0.7, 0.05, 4001)
    np.testing.assert_allclose(interval(draws, float(np.median(draws))), interval(draws), atol=2e-3)
    shifted = interval(draws, 0.65)
    assert shifted[0] < interval(draws)[0]
    assert interval(np.ones(100), 1.0) == (1.0, 1.0)


def test_groups_are_speakers_else_sources_else_clips():
    table = pd.DataFrame(
        {
            "clip_id": list("abcd"),
            "speaker": ["s", "-", "-", "s"],
            "source": ["x", "x", "-", "-"],
        }
    )
    names, noun = resampling_groups(table)
    assert names.tolist() == ["speaker s", "source x", "clip c", "speaker s"]
    assert noun == "sources"
    assert resampling_groups(table.assign(speaker="-", source="-"))[1] == "clips"
    assert resampling_groups(table.assign(speaker="-", source="x"))[1] == "clips"
    assert resampling_groups(table.assign(speaker="s"))[1] == "speakers"
