"""Evidence maps: what they sum to, where they lie, and that they are the weights' doing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.features.mel import LogMel
from tfpipeline.models.attribution import evidence_cells, evidence_map, explain_window
from tfpipeline.models.detector import build_detector
from tfpipeline.prediction import explanation
from tfpipeline.prediction.explanation import draw_explanation


def detector_of(name, seed=0, **options):
    keras.utils.set_random_seed(seed)
    config = load_config(CONFIGS / "cnn.yaml", ["mel.n_mels=64"])
    return build_detector(config.replace({"model": {"name": name, **options}}))


@pytest.fixture(scope="module")
def resnet18():
    return detector_of("resnet18", weights="none")


def test_behind_average_pooling_the_cells_sum_to_the_score(resnet18, speech):
    spectrograms = resnet18.front_end(speech[:2])
    scores = resnet18.body(spectrograms, training=False).numpy()[:, 0]
    network = next(layer for layer in resnet18.body.layers if isinstance(layer, keras.Model))
    bias = network.get_layer("score").bias.numpy()[0]
    sums = evidence_cells(resnet18, spectrograms).numpy().sum(axis=(1, 2))
    np.testing.assert_allclose(sums, scores - bias, rtol=1e-4, atol=1e-5)


def test_a_map_has_the_spectrograms_axes(resnet18, speech):
    """What is changed late in a clip changes the map late, not high."""
    spectrograms = resnet18.front_end(speech[:1]).numpy()
    changed = spectrograms.copy()
    changed[:, 220:] = changed.min()
    one, other = (evidence_map(resnet18, tf.constant(s))[0] for s in (spectrograms, changed))
    assert one.shape == spectrograms.shape[1:]
    difference = np.abs(one - other).sum(axis=1)
    assert difference[180:].mean() > 4 * difference[:90].mean()


def test_other_weights_give_another_map(speech):
    """The sanity check of Adebayo et al. (2018): an edge detector would fail it."""
    for name, options in (("cnn", {}), ("resnet18", {"weights": "none"})):
        maps = [
            evidence_map(own, own.front_end(speech[:1]))[0].ravel()
            for own in (detector_of(name, seed, **options) for seed in (0, 1))
        ]
        assert abs(spearmanr(*maps).statistic) < 0.5


@pytest.mark.parametrize("samples", [16_000, 64_000, 150_000])
def test_the_window_furthest_on_the_scores_side_is_shown(resnet18, speech, samples):
    waveform = np.tile(speech[:3].ravel(), 1)[:samples]
    found = explain_window(resnet18, waveform, threshold=0.0, mel=LogMel())
    assert found.evidence.shape == found.spectrogram.shape == (251, 64)
    assert 0 <= found.start <= max(0, samples - 64_000)
    if samples > 64_000:
        scores = [
            float(resnet18.model(waveform[None, start : start + 64_000])[0, 0])
            for start in (0, 64_000, samples - 64_000)
        ]
        side = max if np.mean(scores) > 0 else min
        assert found.score == pytest.approx(side(scores), rel=1e-4)


def test_the_window_is_on_the_side_of_the_verdict(resnet18, speech, tmp_path, monkeypatch):
    """A run's threshold is its own: scores above 0 may be bonafide, and below 0 spoof."""
    waveform = speech[:3].ravel()
    scores = [float(resnet18.model(own[None])[0, 0]) for own in speech[:3]]
    assert len(set(np.round(scores, 4))) == 3
    titles = []
    monkeypatch.setattr(explanation, "draw_evidence", lambda *own: titles.append(own[4]))
    config = load_config(CONFIGS / "cnn.yaml", ["mel.n_mels=64"])
    for threshold, side, word in (
        (np.mean(scores) - 1e-3, max, "fake"),
        (np.mean(scores) + 1e-3, min, "human"),
    ):
        found = explain_window(resnet18, waveform, threshold, LogMel())
        assert found.score == pytest.approx(side(scores), rel=1e-4)
        draw_explanation(config, resnet18, waveform, threshold, "clip", tmp_path / "a.png")
        assert f"towards {word}" in titles[-1]
