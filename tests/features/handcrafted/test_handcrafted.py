"""The layer of hand-made features: its baseline against librosa, and its properties."""

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.features.conditioning import Conditioning
from tfpipeline.features.handcrafted.layer import FEATURE_SETS, HandcraftedFeatures

SETS = tuple(FEATURE_SETS)
# Where a graph of all features takes long, and the others' show the same.
QUICK_SETS = [
    pytest.param(name, marks=pytest.mark.slow if name == "everything" else ()) for name in SETS
]


@pytest.fixture(scope="module")
def layers():
    return {name: HandcraftedFeatures(name) for name in SETS}


def librosa_baseline(clip):
    """The 132 features as the published notebook computes them, one clip a call."""
    decibels = librosa.power_to_db(librosa.feature.melspectrogram(y=clip, sr=16_000), ref=np.max)
    return np.concatenate(
        [[clip.mean(), clip.std(), clip.min(), clip.max()], decibels.mean(axis=1)]
    )


@pytest.mark.parametrize("samples", [2048, 2049, 16_001, 64_000])
def test_the_baseline_equals_librosa(layers, speech, samples):
    clips = speech[:, :samples]
    features = layers["baseline"](clips).numpy()
    expected = np.stack([librosa_baseline(clip) for clip in clips])
    assert features.shape == expected.shape == (6, 132)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:, :4], expected[:, :4], rtol=1e-5, atol=1e-7)
    # dB; the mean over time of cells that are within 0.01 dB
    np.testing.assert_allclose(features[:, 4:], expected[:, 4:], rtol=0, atol=1e-3)


def test_columns_are_named_in_order(layers):
    names = layers["baseline"].names
    assert names[:5] == (
        *("waveform_mean", "waveform_std", "waveform_min", "waveform_max"),
        "mel_000_mean",
    )
    assert names[-1] == "mel_127_mean"
    for layer in layers.values():
        assert len(set(layer.names)) == len(layer.names) == layer.compute_output_shape((3, 9))[1]


@pytest.mark.parametrize("feature_set", SETS)
def test_a_clip_does_not_depend_on_its_batch_mates(layers, speech, feature_set):
    layer = layers[feature_set]
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    clips = np.concatenate([speech, speech * 0.01, np.zeros((1, 64_000), "float32")])
    together = call(clips).numpy()
    assert together.shape == (13, len(layer.names))
    tolerance = {"rtol": 1e-4, "atol": 1e-4}
    for i, size in [(0, 1), (6, 1), (12, 1), (2, 9)]:
        np.testing.assert_allclose(call(clips[i : i + size]), together[i : i + size], **tolerance)
    np.testing.assert_allclose(layer(clips), together, **tolerance)


@pytest.mark.parametrize("feature_set", SETS)
@pytest.mark.parametrize("samples", [None, 64_000])
def test_silent_and_constant_clips_are_finite(layers, feature_set, samples):
    layer = layers[feature_set]
    samples = samples or layer.min_samples
    impulse = np.zeros(samples, "float32")
    impulse[samples // 2] = 1
    clips = [np.full(samples, level, "float32") for level in (0, 0.5, -1, 1e-20, 1e-6)]
    assert np.isfinite(layer(np.stack([*clips, impulse]))).all()
    assert layer(np.zeros((0, samples), "float32")).shape == (0, len(layer.names))


@pytest.mark.parametrize("feature_set", SETS)
def test_a_clip_that_is_too_short_is_refused(layers, feature_set):
    layer = layers[feature_set]
    least = layer.min_samples
    assert layer(np.ones((1, least), "float32")).shape == (1, len(layer.names))
    with pytest.raises(ValueError, match=rf"{least} samples or more .* Received: {least - 1}\."):
        layer(np.ones((1, least - 1), "float32"))
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{least} samples or more"):
        call(np.ones((1, least - 1), "float32"))


def test_other_waveforms_are_refused(layers):
    with pytest.raises(ValueError, match=r"shape \(batch, samples\)"):
        layers["baseline"](np.zeros(64_000, "float32"))
    with pytest.raises(ValueError, match="divided by 32768"):
        layers["baseline"](np.zeros((1, 64_000), "int16"))
    with pytest.raises(ValueError, match="feature_set must be one of baseline"):
        HandcraftedFeatures("mfcc")


@pytest.mark.parametrize("feature_set", QUICK_SETS)
def test_the_saved_model_gives_the_same_from_core_ops_alone(layers, speech, feature_set, tmp_path):
    from tensorflow.core.protobuf import saved_model_pb2

    layer = HandcraftedFeatures.from_config(layers[feature_set].get_config())
    assert layer.names == layers[feature_set].names
    waveform = keras.Input((None,), name="waveform")
    model = keras.Model(waveform, {"features": layer(waveform)})
    assert model.output["features"].shape == (None, len(layer.names))
    model.export(str(tmp_path / "export"), verbose=False)

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "export" / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    for node in [*graph.node, *(n for f in graph.library.function for n in f.node_def)]:
        assert not node.op.startswith(("IO>", "PyFunc", "EagerPyFunc", "NumpyFunction"))

    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    clips = speech[:5, :12_345]
    np.testing.assert_allclose(
        served(tf.constant(clips))["features"], layers[feature_set](clips), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("feature_set", SETS)
def test_the_global_dtype_policy_changes_nothing(layers, speech, feature_set):
    expected = layers[feature_set](speech[:2]).numpy()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        features = HandcraftedFeatures(feature_set)(speech[:2])
    finally:
        keras.config.set_dtype_policy(before)
    assert features.dtype == tf.float32
    np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("name", QUICK_SETS)
def test_conditioning_comes_first_and_is_each_clips_own(name, speech):
    layer = HandcraftedFeatures(name, highpass_hz=60.0, level_dbfs=-26.0)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.float32)])
    together = graph(speech).numpy()
    expected = HandcraftedFeatures(name)(Conditioning()(speech)).numpy()
    np.testing.assert_allclose(together, expected, rtol=1e-3, atol=1e-3)
    for row in (0, 5):
        # The trees' thresholds do not forgive a last digit.
        np.testing.assert_array_equal(graph(speech[row : row + 1])[0], together[row])
    copy = HandcraftedFeatures.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
