"""Heads on speech encoders, and the configs that name them."""

import keras
import numpy as np
import pytest

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.features.mel import LogMel
from tfpipeline.models.attribution import evidence_cells, explain_window
from tfpipeline.models.detector import build_detector
from tfpipeline.models.families import find_family
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_network import StatisticsPooling, WeightedStates


def detector_of(*overrides):
    keras.utils.set_random_seed(1)
    more = ["model.weights=none", "model.layers=1", *overrides]
    return build_detector(load_config(CONFIGS / "whisper_tiny.yaml", more))


@pytest.mark.parametrize("name", ["xlsr_300m", "wavlm_base", "mhubert_147"])
def test_configs_for_a_gpu_score_with_random_weights(name, speech):
    config = load_config(CONFIGS / f"{name}.yaml", ["model.layers=2", "data.window_seconds=1"])
    detector = build_detector(config)
    scores = detector.model(speech[:2, :16_000], training=False).numpy()
    assert scores.shape == (2, 1)
    assert np.isfinite(scores).all()
    layers = SPEECH_ENCODERS[name].settings.count_layers(None)
    assert load_config(CONFIGS / f"{name}.yaml").model.options["layers"] <= layers


def test_weights_of_layers_sum_to_one_whatever_their_scale():
    random = np.random.default_rng(0)
    states = random.standard_normal((2, 7, 3, 16)).astype(np.float32)
    layer = WeightedStates()
    layer.build(states.shape)
    layer.logits.assign([1.0, -2.0, 0.5])
    received = layer(states * [[1], [100], [0.1]]).numpy()
    weights = np.exp([1, -2, 0.5]) / np.exp([1, -2, 0.5]).sum()
    centred = states - states.mean(axis=-1, keepdims=True)
    expected = (centred / states.std(axis=-1, keepdims=True) * weights[:, None]).sum(axis=2)
    np.testing.assert_allclose(received, expected, atol=5e-3)  # the epsilon of the variance


def test_statistics_are_numpys():
    x = np.random.default_rng(0).standard_normal((3, 11, 5)).astype(np.float32)
    expected = np.concatenate([x.mean(axis=1), x.std(axis=1)], axis=1)
    np.testing.assert_allclose(StatisticsPooling()(x).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["statistics", "attentive"])
def test_a_score_depends_on_its_own_window_alone(pooling, speech):
    detector = detector_of(f"model.pooling={pooling}")
    together = detector.model(speech[:3], training=False).numpy()
    alone = np.concatenate(
        [detector.model(row[None], training=False).numpy() for row in speech[:3]]
    )
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.ptp(together) > 1e-3


def test_evidence_lies_where_the_sound_was_changed(speech):
    detector = detector_of("model.layers=0")
    changed = speech[:1].copy()
    changed[:, 48_000:] = speech[1:2, 48_000:]
    one, other = (
        evidence_cells(detector, detector.front_end(x)).numpy()[0, :, 0]
        for x in (speech[:1], changed)
    )
    assert one.shape == (200,)
    difference = np.abs(one - other)
    assert difference[155:].mean() > 4 * difference[:145].mean()
    found = explain_window(detector, speech[0], 0.0, LogMel(n_mels=40, hop_length=160))
    assert found.evidence.shape == found.spectrogram.shape == (401, 40)


def test_bad_options():
    with pytest.raises(ValueError, match=r"layers must be in 0 … 4.*Received: 5"):
        detector_of("model.layers=5")
    with pytest.raises(ValueError, match=r"model\.pooling must be"):
        detector_of("model.pooling=max")
    assert find_family("whisper_tiny").is_pretrained
