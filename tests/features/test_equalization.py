import numpy as np
import tensorflow as tf

from tfpipeline.features.augment import KNOTS, RandomEqualization

SPECTROGRAM = tf.constant(np.random.default_rng(0).normal(size=(5, 30, 41)), tf.float32)


def test_adds_one_smooth_bounded_curve_to_each_example():
    added = (RandomEqualization(6.0, seed=1)(SPECTROGRAM, training=True) - SPECTROGRAM).numpy()
    np.testing.assert_allclose(added, np.repeat(added[:, :1], 30, axis=1), atol=1e-5)
    curves = added[:, 0]
    assert np.abs(curves).max() <= 6.0 + 1e-5
    assert len(np.unique(np.round(curves[:, 0], 4))) == 5
    # linear between the knots, which fall on every eighth of the 41 bands
    for curve in curves:
        knots = curve[:: 40 // (KNOTS - 1)]
        np.testing.assert_allclose(
            curve, np.interp(np.arange(41), np.arange(0, 41, 8), knots), atol=1e-4
        )


def test_off_in_evaluation_and_at_zero():
    np.testing.assert_array_equal(RandomEqualization(6.0)(SPECTROGRAM), SPECTROGRAM)
    np.testing.assert_array_equal(RandomEqualization(6.0)(SPECTROGRAM, training=False), SPECTROGRAM)
    np.testing.assert_array_equal(RandomEqualization()(SPECTROGRAM, training=True), SPECTROGRAM)


def test_the_seed_decides_and_draws_go_on():
    layer = RandomEqualization(6.0, seed=3)
    copy = RandomEqualization.from_config(layer.get_config())
    first = layer(SPECTROGRAM, training=True)
    np.testing.assert_array_equal(first, copy(SPECTROGRAM, training=True))
    assert not np.array_equal(first, layer(SPECTROGRAM, training=True))
