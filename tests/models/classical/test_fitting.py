"""Nine classifiers as arrays and graphs, against their libraries; on real features."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.features.mel import LogMel
from tfpipeline.models.classical.arrays import (
    DenseModel,
    TreeEnsemble,
    load_arrays,
    save_arrays,
)
from tfpipeline.models.classical.convert import to_arrays
from tfpipeline.models.classical.fitting import CLASSIFIERS, fit_classifier
from tfpipeline.models.classical.graph import SURE, FittedScore, log_odds, probability

OPTIONS = {
    "histgb": {"max_iter": 40},
    "lightgbm": {"n_estimators": 40},
    "catboost": {"iterations": 40},
    "random_forest": {"n_estimators": 25},
    "extra_trees": {"n_estimators": 25},
    "gradient_boosting": {"n_estimators": 40},
}
ROUNDED = {"random_forest", "extra_trees", "gradient_boosting", "catboost"}  # to float32
TAKES_NAN = {"histgb", "lightgbm", "catboost", "random_forest", "extra_trees"}


@pytest.fixture(scope="module")
def data(speech):
    """Log-mel frames of real speech as rows; the label is the speaker's, with some mistaken."""
    frames = LogMel(n_fft=512, hop_length=160, n_mels=24)(speech).numpy().astype(np.float64)
    rows = frames.reshape(-1, 24)
    labels = np.repeat(np.arange(len(speech)) % 2, frames.shape[1])
    random = np.random.default_rng(0)
    labels = np.where(random.random(len(labels)) < 0.1, 1 - labels, labels)
    order = random.permutation(len(rows))
    return rows[order], labels[order]


@pytest.fixture(scope="module", params=CLASSIFIERS)
def fitted(request, data):
    rows, labels = data
    model = CLASSIFIERS[request.param](0, **OPTIONS.get(request.param, {}))
    train, validation = (rows[:900], labels[:900]), (rows[900:1300], labels[900:1300])
    fit_classifier(model, train, validation)
    return request.param, model, to_arrays(model, rows.shape[1])


def awkward_rows(name, arrays, data):
    """Ten thousand rows: real ones, and such with values on thresholds and one ulp beside them."""
    random = np.random.default_rng(1)
    rows = data[0][random.integers(0, len(data[0]), 10_000)].copy()
    if isinstance(arrays, TreeEnsemble):
        inner = np.flatnonzero(arrays.left != np.arange(len(arrays.left)))
        kind = np.float32 if name in ROUNDED else np.float64
        for row in range(0, 6_000):
            node = inner[random.integers(len(inner))]
            value = kind(arrays.threshold[node])
            step = row % 3
            if step:
                value = np.nextafter(value, kind(np.inf if step == 1 else -np.inf))
            rows[row, arrays.feature[node]] = value
    return rows


def test_the_graph_equals_the_library(fitted, data):
    name, model, arrays = fitted
    rows = awkward_rows(name, arrays, data)
    own = model.predict_proba(rows)[:, 1]
    np.testing.assert_allclose(probability(arrays, rows).numpy(), own, atol=1e-6)
    raw = log_odds(arrays, rows).numpy()
    assert raw.dtype == np.float64
    kept = np.clip(own, SURE, 1 - SURE) if name in ("random_forest", "extra_trees") else own
    inside = (kept > 1e-9) & (kept < 1 - 1e-9)
    expected = np.log(kept[inside]) - np.log1p(-kept[inside])
    np.testing.assert_allclose(raw[inside], expected, atol=1e-5)


def test_one_row_no_row_and_missing_values(fitted, data):
    name, model, arrays = fitted
    assert probability(arrays, data[0][:0]).shape == (0,)
    one = data[0][:1]
    assert probability(arrays, one).numpy()[0] == pytest.approx(
        model.predict_proba(one)[0, 1], abs=1e-6
    )
    if name in TAKES_NAN:
        rows = data[0][:2_000].copy()
        rows[np.random.default_rng(2).random(rows.shape) < 0.3] = np.nan
        own = model.predict_proba(rows)[:, 1]
        np.testing.assert_allclose(probability(arrays, rows).numpy(), own, atol=1e-6)


@pytest.mark.parametrize("name", ["histgb", "lightgbm", "catboost"])
def test_missing_values_in_training_too(name, data):
    rows, labels = data[0][:1_300].copy(), data[1]
    rows[np.random.default_rng(3).random(rows.shape) < 0.2] = np.nan
    model = CLASSIFIERS[name](0, **OPTIONS[name])
    model.fit(rows[:900], labels[:900])
    arrays = to_arrays(model, rows.shape[1])
    assert isinstance(arrays, TreeEnsemble)
    own = model.predict_proba(rows)[:, 1]
    np.testing.assert_allclose(probability(arrays, rows).numpy(), own, atol=1e-6)


def test_arrays_survive_their_file(fitted, data, tmp_path):
    _, _, arrays = fitted
    save_arrays(tmp_path / "trees.npz", arrays)
    read = load_arrays(tmp_path / "trees.npz")
    for field in dataclasses.fields(arrays):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(arrays, field.name))
    rows = data[0][:50]
    np.testing.assert_array_equal(log_odds(read, rows), log_odds(arrays, rows))


def test_a_saved_graph_of_core_ops_gives_the_same(fitted, data, tmp_path):
    _, _, arrays = fitted
    layer = FittedScore(arrays)
    module = tf.Module()
    module.score = tf.function(
        lambda rows: layer(rows), input_signature=[tf.TensorSpec([None, 24], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "m"))
    rows = data[0][:33].astype(np.float32)
    loaded = tf.saved_model.load(str(tmp_path / "m")).score(rows)
    np.testing.assert_allclose(loaded.numpy()[:, 0], log_odds(arrays, rows).numpy(), rtol=1e-6)


STUMP = TreeEnsemble(
    2,
    np.array([1, 0, 0], np.int32),
    np.array([0.5, 0, 0]),
    np.array([1, 1, 2], np.int32),
    np.array([2, 1, 2], np.int32),
    np.array([True, False, False]),
    np.array([0, -1.0, 2.0]),
    np.array([0], np.int32),
    0.25,
    "sum",
    "float64",
    1,
)


def test_a_stump_and_a_lone_leaf():
    rows = np.array([[9, 0.5], [9, np.nextafter(0.5, 1)], [9, np.nan]])
    np.testing.assert_array_equal(log_odds(STUMP, rows), [-0.75, 2.25, -0.75])
    leaf = TreeEnsemble(
        1,
        np.zeros(1, np.int32),
        np.zeros(1),
        np.zeros(1, np.int32),
        np.zeros(1, np.int32),
        np.zeros(1, bool),
        np.array([3.0]),
        np.zeros(1, np.int32),
        0.0,
        "sum",
        "float32",
        0,
    )
    np.testing.assert_array_equal(log_odds(leaf, np.array([[1.0], [np.nan]])), [3, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature": np.array([2, 0, 0], np.int32)}, "features that are columns"),
        ({"left": np.array([3, 1, 2], np.int32)}, "behind their parents|nodes"),
        ({"left": np.array([1, 0, 2], np.int32)}, "leaves without children"),
        ({"roots": np.array([7], np.int32)}, "roots that are nodes"),
        ({"roots": np.array([], np.int32)}, "a root a tree"),
        ({"value": np.array([0, np.nan, 1.0])}, "finite values"),
        ({"threshold": np.array([np.nan, 0, 0])}, "finite values"),
        ({"threshold": np.zeros(2)}, "one entry a node"),
        ({"depth": 2}, "the depth it says"),
        ({"link": "exec"}, "a known link"),
        ({"link": "mean_probability"}, "probabilities in its leaves"),
        ({"feature": np.array([1.0, 0, 0])}, "feature of type"),
    ],
)
def test_tampered_files_are_refused(tmp_path, change, message):
    content = {f.name: getattr(STUMP, f.name) for f in dataclasses.fields(STUMP)}
    np.savez(
        tmp_path / "t.npz", format="tfpipeline-classifier-1", form="trees", **{**content, **change}
    )
    with pytest.raises(ValueError, match=f"expected the arrays of a fitted model.*({message})"):
        load_arrays(tmp_path / "t.npz")


def test_foreign_and_truncated_files_are_refused(tmp_path):
    save_arrays(tmp_path / "t.npz", STUMP)
    whole = (tmp_path / "t.npz").read_bytes()
    np.savez(tmp_path / "pickled.npz", a=np.array([{"a": 1}], object))
    contents = {"cut.npz": whole[: len(whole) // 2], "text.npz": b"hello", "empty.npz": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "pickled.npz"):
        with pytest.raises(ValueError, match="expected the arrays of a fitted model"):
            load_arrays(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_arrays(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="scales above 0"):
        DenseModel("linear", np.zeros(2), np.zeros(2), np.ones((1, 2)), np.ones((1, 2)), 0.0)


def test_balance_gives_both_classes_the_same_mass(fitted, data):
    """Twice the spoofs in training: a balanced model is no more inclined to call a row spoof."""
    name = fitted[0]
    rows, labels = data[0][:900], data[1][:900]
    rows, labels = (np.concatenate([own, own[labels == 1]]) for own in (rows, labels))
    validation = data[0][900:], data[1][900:]
    means = {}
    for balance in (True, False):
        model = CLASSIFIERS[name](0, **OPTIONS.get(name, {}))
        fit_classifier(model, (rows, labels), validation, balance)
        means[balance] = model.predict_proba(validation[0])[:, 1].mean()
    assert abs(means[True] - validation[1].mean()) < 0.1
    if name not in ("random_forest", "extra_trees"):  # their leaves are pure, whatever the weights
        assert means[False] > means[True]


def test_what_cannot_be_fitted_is_named(data, capsys):
    rows, labels = data[0][:100].copy(), data[1][:100]
    with pytest.raises(ValueError, match=r"training part needs rows of both classes.*0 spoof"):
        fit_classifier(CLASSIFIERS["gaussian_nb"](0), (rows, labels * 0), (rows, labels))
    rows[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"features must be finite.*nan in row 4, column 5,"):
        fit_classifier(CLASSIFIERS["histgb"](0), (rows, labels), (data[0][:100], labels))
    names = [f"band_{column}" for column in range(24)]
    with pytest.raises(ValueError, match=r"nan in row 4, band_4, of the training part"):
        fit_classifier(
            CLASSIFIERS["histgb"](0), (rows, labels), (data[0][:100], labels), names=names
        )
    same = np.ones_like(rows)
    with pytest.raises(ValueError, match=r"some feature must differ.*100 rows, all the same"):
        fit_classifier(CLASSIFIERS["histgb"](0), (same, labels), (same, labels))
    some = data[0][:100].copy()
    some[:, 3] = 1
    fit_classifier(CLASSIFIERS["gaussian_nb"](0), (some, labels), (some, labels), names=names)
    assert "constant in training, and so of no use: band_3" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"a model must be one of .*Received: dict"):
        to_arrays({}, 3)
