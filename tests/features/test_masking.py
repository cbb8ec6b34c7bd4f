import numpy as np
import tensorflow as tf

from tfpipeline.features.augment import SpectrogramMasking


def spectrogram(batch=8, frames=120, bins=40):
    return tf.constant(np.random.default_rng(0).normal(size=(batch, frames, bins)), tf.float32)


def test_masks_are_bands_no_wider_than_asked_and_filled_with_the_mean():
    x = spectrogram()
    layer = SpectrogramMasking(2, 30, 1, 6, seed=1)
    y = layer(x, training=True).numpy()
    changed = y != x.numpy()
    assert changed.any()
    for row in changed:
        rows, columns = row.all(axis=1), row.all(axis=0)
        # nothing but whole bands of time and of frequency
        np.testing.assert_array_equal(row, rows[:, None] | columns[None, :])
        assert rows.sum() <= 60
        assert columns.sum() <= 6
    means = x.numpy().mean(axis=(1, 2))
    for index in range(len(y)):
        np.testing.assert_allclose(y[index][changed[index]], means[index], atol=1e-6)


def test_off_in_evaluation_and_when_there_are_no_masks():
    x = spectrogram()
    np.testing.assert_array_equal(SpectrogramMasking(2, 30, 1, 6)(x, training=False), x)
    np.testing.assert_array_equal(SpectrogramMasking(2, 30, 1, 6)(x), x)
    np.testing.assert_array_equal(SpectrogramMasking()(x, training=True), x)


def test_the_seed_decides_and_draws_go_on():
    x = spectrogram()
    one, other = (SpectrogramMasking(2, 30, 1, 6, seed=4) for _ in range(2))
    first = one(x, training=True)
    np.testing.assert_array_equal(first, other(x, training=True))
    assert not np.array_equal(first, one(x, training=True))


def test_a_mask_wider_than_the_spectrogram():
    y = SpectrogramMasking(1, 500, 1, 500, seed=0)(spectrogram(2, 5, 3), training=True)
    assert np.isfinite(y).all()


def test_config_round_trip():
    layer = SpectrogramMasking(2, 30, 1, 6, seed=4)
    copy = SpectrogramMasking.from_config(layer.get_config())
    np.testing.assert_array_equal(
        layer(spectrogram(), training=True), copy(spectrogram(), training=True)
    )
