"""SpectrogramNormalization: statistics by example or by band, never over the batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.features.normalize import SpectrogramNormalization


@pytest.fixture
def spectrograms():
    rng = np.random.default_rng(0)
    levels = np.array([-60.0, -20.0, 5.0])[:, None, None]
    return (levels + 12.0 * rng.standard_normal((3, 50, 40))).astype("float32")


@pytest.mark.parametrize(("normalize", "axes"), [("example", (1, 2)), ("bin", (1,))])
def test_mean_zero_and_deviation_one(spectrograms, normalize, axes):
    result = SpectrogramNormalization(normalize)(spectrograms).numpy()
    mean, deviation = (f(spectrograms, axes, keepdims=True) for f in (np.mean, np.std))
    np.testing.assert_allclose(result, (spectrograms - mean) / deviation, atol=1e-4)


def test_none_leaves_all_as_it_is(spectrograms):
    result = SpectrogramNormalization("none")(spectrograms)
    np.testing.assert_array_equal(result, spectrograms)


@pytest.mark.parametrize("normalize", ["example", "bin"])
def test_independent_of_batch_mates(spectrograms, normalize):
    layer = SpectrogramNormalization(normalize)
    together = layer(spectrograms).numpy()
    for i in range(3):
        np.testing.assert_allclose(layer(spectrograms[i : i + 1])[0], together[i], atol=1e-5)


@pytest.mark.parametrize("normalize", ["example", "bin"])
def test_silence_becomes_zero_with_a_finite_gradient(normalize):
    silence = tf.fill((1, 401, 80), -99.9)
    with tf.GradientTape() as tape:
        tape.watch(silence)
        result = SpectrogramNormalization(normalize)(silence)
    np.testing.assert_allclose(result, 0.0, atol=0.1)
    assert np.isfinite(tape.gradient(result, silence)).all()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_global_dtype_policy_changes_nothing(spectrograms, policy):
    expected = SpectrogramNormalization("bin")(spectrograms).numpy()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        result = SpectrogramNormalization("bin")(spectrograms)
    finally:
        keras.config.set_dtype_policy(before)
    assert result.dtype == tf.float32
    np.testing.assert_array_equal(result, expected)


def test_config_and_saved_model_give_the_same_layer(spectrograms, tmp_path):
    layer = SpectrogramNormalization("bin")
    assert SpectrogramNormalization.from_config(layer.get_config()).normalize == "bin"
    mel = keras.Input((None, 40), name="mel")
    model = keras.Model(mel, layer(mel))
    assert model.output_shape == (None, None, 40)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(spectrograms), model(spectrograms))


def test_refuses():
    with pytest.raises(ValueError, match=r"normalize must be one of .* Received: 'batch'"):
        SpectrogramNormalization("batch")
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        SpectrogramNormalization(dtype="mixed_float16")
    with pytest.raises(ValueError, match=r"shape \(batch, frames, n_mels\)"):
        SpectrogramNormalization()(np.zeros((2, 50, 40, 1), "float32"))
