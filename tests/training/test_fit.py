import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import LABELS
from tfpipeline.models.detector import ClipScorer, build_detector
from tfpipeline.training.fit import (
    class_weights,
    device_settings,
    fit_network,
    training_stream,
)
from tfpipeline.training.selection import balanced_loss


@pytest.fixture(scope="module")
def clips(tiny_corpus):
    return hold_out_attacks(tiny_corpus, ["hifigan"])


@pytest.fixture(scope="module")
def config():
    """The shipped CNN, small and short."""
    whole = load_config(
        CONFIGS / "cnn.yaml",
        [
            "training.epochs=4",
            "training.batch_size=4",
            "data.crop_seconds=1",
            "training.tensorboard=false",
            "augment.distortions={noise: 0.3, reverb: 0.3, telephone: 0.3}",
            "augment.gain_db=3",
            "augment.time_masks=1",
            "augment.mixup_alpha=0.2",
        ],
    )
    return whole.replace({"model": {"name": "cnn", "channels": [4, 8], "head_dropout": 0.2}})


def fit(config, clips, folder):
    folder.mkdir(exist_ok=True)
    return fit_network(config, clips, open_audio(clips)[1], folder)[:2]


def losses(selection):
    return [row["loss"] for row in selection.history]


@pytest.fixture(scope="module")
def whole_run(config, clips, tmp_path_factory):
    return fit(config, clips, tmp_path_factory.mktemp("whole"))


def test_a_seed_repeats_a_run(config, clips, whole_run, tmp_path):
    _, selection = fit(config, clips, tmp_path / "again")
    np.testing.assert_allclose(losses(selection), losses(whole_run[1]), rtol=1e-4)
    other = config.replace({"seed": 1})
    assert losses(fit(other, clips, tmp_path / "other")[1]) != losses(selection)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    config, clips, whole_run, tmp_path, monkeypatch
):
    from tfpipeline.training.selection import Selection

    save = Selection.save

    def killed_after_two(self):
        save(self)
        if len(self.history) == 2:
            raise SystemExit  # Ctrl-C would complete the run

    with monkeypatch.context() as patched:
        patched.setattr(Selection, "save", killed_after_two)
        with pytest.raises(SystemExit):
            fit(config, clips, tmp_path / "run")
    detector, selection = fit(config, clips, tmp_path / "run")
    assert len(selection.history) == 4
    np.testing.assert_allclose(losses(selection), losses(whole_run[1]), rtol=1e-4)
    for one, other in zip(
        detector.model.get_weights(), whole_run[0].model.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_best_epochs_weights_are_kept(clips, whole_run):
    detector, selection = whole_run
    validation = clips[clips["part"] == "validation"].reset_index(drop=True)
    scorer = ClipScorer(detector.model, detector.window)
    scores = scorer.score_clips(open_audio(validation)[1])
    labels = validation["label"].map(LABELS).to_numpy()
    assert balanced_loss(labels, scores) == pytest.approx(selection.best["val_loss"], abs=1e-4)
    best = max(selection.history, key=lambda row: (row["val_auc"], -row["val_loss"]))
    assert selection.best == best
    assert selection.history_table()["best"].sum() == 1


def test_patience_stops_training(config, clips, tmp_path, monkeypatch):
    from tfpipeline.training import selection as module

    aucs = iter([0.6, 0.8, 0.7, 0.8, 0.7, 0.9])
    monkeypatch.setattr(module, "roc_auc", lambda labels, scores: next(aucs))
    monkeypatch.setattr(module, "balanced_loss", lambda labels, scores: 1.0)
    patient = config.replace({"training.epochs": 20, "training.patience": 3})
    _, selection = fit(patient, clips, tmp_path / "run")
    assert [row["best"] for row in selection.history] == [True, True, False, False, False]
    assert selection.best["epoch"] == 2


@pytest.mark.parametrize("place", ["model", "pipeline"])
def test_the_mel_stage_gives_the_same_in_either_place(place, config, clips):
    train = clips[clips["part"] == "train"].reset_index(drop=True)
    _, audio, _ = open_audio(train)
    detector = build_detector(config)
    here = config.replace({"mel.place": place})
    x, label, weight = next(iter(training_stream(here, detector, audio, train)))
    reference, *_ = next(iter(training_stream(config, detector, audio, train)))
    if place == "pipeline":
        assert x.shape[1:] == detector.body.input_shape[1:] or x.shape[2] == config.mel.n_mels
        np.testing.assert_allclose(x, detector.front_end(reference), atol=1e-4)
    else:
        np.testing.assert_array_equal(x, reference)
    assert label.shape == (4, 1)
    assert weight.shape == (4,)


def test_training_through_either_place_comes_to_the_same(config, clips, whole_run, tmp_path):
    placed = config.replace({"mel.place": "pipeline"})
    other = losses(fit(placed, clips, tmp_path / "pipeline")[1])
    # Roundings grow from epoch to epoch.
    np.testing.assert_allclose(losses(whole_run[1])[:2], other[:2], rtol=1e-3)


def test_class_weights_give_both_the_same_mass():
    table = pd.DataFrame({"label": ["spoof"] * 6 + ["bonafide"] * 2})
    bonafide, spoof = class_weights(table)
    assert 2 * bonafide == 6 * spoof == 4


def test_settings_follow_the_device_and_the_config(config):
    settings = device_settings(config.training)
    if not tf.config.list_physical_devices("GPU"):
        assert settings == {"device": "CPU", "precision": "float32", "jit": False}
    forced = config.replace({"training.precision": "mixed_bfloat16", "training.jit": "on"}).training
    assert device_settings(forced)["precision"] == "mixed_bfloat16"
    assert device_settings(forced)["jit"] is True


def test_mixed_precision_trains_and_comes_back_in_float32(config, clips, tmp_path):
    mixed = config.replace({"training.epochs": 1, "training.precision": "mixed_bfloat16"})
    detector, _ = fit(mixed, clips, tmp_path / "run")
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in detector.body.layers} == {"float32"}


def test_the_baseline_trains(clips, tmp_path):
    config = load_config(
        CONFIGS / "baseline_cnn.yaml", ["training.epochs=1", "training.tensorboard=false"]
    )
    assert np.isfinite(losses(fit(config, clips, tmp_path / "run")[1])).all()


@pytest.mark.parametrize(
    ("labels", "scores", "loss"), [([0, 1], [0, 0], np.log(2)), ([0, 0, 1], [-50, -50, 50], 0)]
)
def test_balanced_loss(labels, scores, loss):
    assert balanced_loss(np.array(labels), np.array(scores, float)) == pytest.approx(loss)
