import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.config import CONFIGS, Config, ModelConfig, load_config
from tfpipeline.models.detector import ClipScorer, build_detector, window_samples
from tfpipeline.models.layers import AttentiveStatisticsPooling


def score(model, waveform):
    return model(tf.constant(waveform), training=False).numpy()[:, 0]


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    return build_detector(load_config(CONFIGS / "cnn.yaml"))


@pytest.mark.parametrize("name", ["cnn", "baseline_cnn"])
def test_the_whole_is_its_parts_and_each_clip_for_itself(name, speech):
    detector = build_detector(load_config(CONFIGS / f"{name}.yaml"))
    waveform = np.pad(speech, ((0, 0), (0, 2000)), mode="wrap")[:, : detector.window]
    whole = score(detector.model, waveform)
    parts = detector.body(detector.front_end(tf.constant(waveform)), training=False)[:, 0]
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    alone = np.concatenate([score(detector.model, row[None]) for row in waveform])
    # Scores of a fresh network are some 20, where float32 itself is no finer than 2e-6.
    np.testing.assert_allclose(whole, alone, atol=1e-4, rtol=1e-5)
    assert len(np.unique(whole)) == len(whole)


def test_the_cnn_has_under_a_million_parameters(detector):
    assert detector.model.count_params() < 1_000_000


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 16_000, 64_000, 100_001])
def test_the_cnn_takes_any_length(detector, speech, samples):
    long = np.tile(speech[:1], (1, 2))[:, :samples]
    assert np.isfinite(score(detector.model, long)).all()


def test_the_baseline_sees_the_square_it_was_made_for():
    config = load_config(CONFIGS / "baseline_cnn.yaml")
    assert build_detector(config).body.input_shape == (None, 128, 128)


def test_options_are_the_builders_own_and_typed():
    def build(**options):
        build_detector(Config().replace({"model": {"name": "cnn", **options}}))

    build(channels=[8, 8])
    with pytest.raises(ValueError, match=r"unknown key model\.depth\. Known .*channels, block"):
        build(depth=3)
    with pytest.raises(ValueError, match=r"model\.channels must be a list, each an int.* 8\.5"):
        build(channels=[8, 8.5])
    with pytest.raises(ValueError, match=r"model.name must be one of cnn, baseline_cnn"):
        build_detector(Config(model=ModelConfig(name="transformer")))


# The mantissas have 8 and 11 bits, and a dozen layers add up their rounding.
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_bfloat16", 0.05), ("mixed_float16", 0.01)]
)
def test_mixed_precision_scores_nearly_the_same(policy, tolerance, detector, speech):
    keras.config.set_dtype_policy(policy)
    try:
        mixed = build_detector(load_config(CONFIGS / "cnn.yaml"))
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.model.set_weights(detector.model.get_weights())
    received = score(mixed.model, speech)
    assert received.dtype == np.float32
    np.testing.assert_allclose(received, score(detector.model, speech), rtol=tolerance)


def test_pooling_is_the_weighted_mean_and_deviation(speech):
    x = np.random.default_rng(0).normal(size=(3, 50, 6)).astype(np.float32)
    layer = AttentiveStatisticsPooling(4)
    layer(x)
    layer.attention.set_weights([np.zeros_like(w) for w in layer.attention.get_weights()])
    expected = np.concatenate([x.mean(axis=1), x.std(axis=1)], axis=-1)  # even attention
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)
    copy = AttentiveStatisticsPooling.from_config(layer.get_config())
    assert copy.units == 4
    assert layer.compute_output_shape((None, None, 6)) == (None, 12)


def test_a_clip_scores_the_mean_of_its_windows(detector, speech):
    scorer = ClipScorer(detector.model, detector.window)
    clip = np.concatenate([speech[0], speech[1], speech[2, :1000]])
    windows = [clip[:64_000], clip[64_000:128_000], clip[-64_000:]]
    expected = np.mean(score(detector.model, np.stack(windows)).astype(np.float64))
    assert scorer.score_waveform(clip) == pytest.approx(expected, abs=1e-4)
    short = speech[0, 8000:20_000]
    expected = score(detector.model, np.resize(short, 64_000)[None])[0]
    assert scorer.score_waveform(short) == pytest.approx(expected, abs=1e-4)


def test_window_lengths():
    config = load_config(CONFIGS / "baseline_cnn.yaml")
    assert window_samples(config) == 65_024
    wider = config.replace({"data.window_seconds": 1.0})
    assert window_samples(wider) == 16_000
