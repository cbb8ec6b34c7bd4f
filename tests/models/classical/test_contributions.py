"""Contributions sum to the score, and equal the libraries' own."""

import numpy as np
import pytest
from lightgbm import Booster

from tfpipeline.features.mel import LogMel
from tfpipeline.models.classical.contributions import (
    EXPLAINED,
    check_own_file,
    contributions,
    save_own_file,
)
from tfpipeline.models.classical.convert import to_arrays
from tfpipeline.models.classical.fitting import CLASSIFIERS, fit_classifier
from tfpipeline.models.classical.graph import log_odds

OPTIONS = {"lightgbm": {"n_estimators": 20}, "catboost": {"iterations": 20}}


@pytest.fixture(scope="module")
def data(speech):
    frames = LogMel(n_fft=512, hop_length=160, n_mels=12)(speech).numpy().astype(np.float64)
    rows = frames.reshape(-1, 12)
    labels = np.repeat(np.arange(len(speech)) % 2, frames.shape[1])
    order = np.random.default_rng(0).permutation(len(rows))[:800]
    return rows[order], labels[order]


def fit(name, data, folder):
    model = CLASSIFIERS[name](0, **OPTIONS.get(name, {}))
    fit_classifier(model, (data[0][:600], data[1][:600]), (data[0][600:], data[1][600:]))
    kept = save_own_file(model, folder)
    return model, to_arrays(model, data[0].shape[1]), kept


@pytest.mark.parametrize("name", EXPLAINED)
def test_they_sum_to_the_score(name, data, tmp_path):
    model, fitted, kept = fit(name, data, tmp_path)
    own_file = tmp_path / kept["file"] if kept else None
    assert bool(kept) == (name in OPTIONS)
    for rows in (data[0][600:], data[0][:1]):
        parts = contributions(fitted, rows, own_file)
        assert parts.shape == (len(rows), 13)
        np.testing.assert_allclose(parts.sum(axis=1), log_odds(fitted, rows), atol=1e-4)
        own = model.predict_proba(rows)[:, 1]
        np.testing.assert_allclose(1 / (1 + np.exp(-parts.sum(axis=1))), own, atol=1e-5)


def test_linear_parts_are_weight_times_standardized_feature(data, tmp_path):
    model, fitted, _ = fit("logistic_regression", data, tmp_path)
    scaler, linear = model[0], model[-1]
    expected = scaler.transform(data[0][:5]) * linear.coef_[0]
    np.testing.assert_allclose(contributions(fitted, data[0][:5])[:, :-1], expected, rtol=1e-10)


def test_lightgbms_are_its_own(data, tmp_path):
    model, fitted, kept = fit("lightgbm", data, tmp_path)
    expected = model.booster_.predict(data[0][:5], pred_contrib=True)
    received = contributions(fitted, data[0][:5], tmp_path / kept["file"])
    np.testing.assert_allclose(received, expected, atol=1e-12)
    assert isinstance(Booster(model_file=str(tmp_path / kept["file"])), Booster)


def test_another_file_is_refused(data, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    _, fitted, kept = fit("lightgbm", data, tmp_path / "a")
    other = data[0][::-1].copy(), data[1]
    _, _, others = fit("lightgbm", other, tmp_path / "b")
    path = tmp_path / "a" / kept["file"]
    check_own_file(path, kept["sha256"])
    with pytest.raises(ValueError, match="contributions must sum to the score"):
        contributions(fitted, data[0], tmp_path / "b" / others["file"])
    with pytest.raises(ValueError, match=r"expected the model file.*Received: another file"):
        check_own_file(tmp_path / "b" / others["file"], kept["sha256"])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"expected the model file.*Received: another file"):
        check_own_file(path, kept["sha256"])
    path.unlink()
    with pytest.raises(ValueError, match=r"expected the model file.*Received: none"):
        check_own_file(path, kept["sha256"])


def test_other_trees_have_none(data, tmp_path):
    model = CLASSIFIERS["histgb"](0, max_iter=5).fit(*data)
    assert save_own_file(model, tmp_path) == {}
    with pytest.raises(ValueError, match=r"contributions are known of lightgbm.*another tree"):
        contributions(to_arrays(model, 12), data[0])
