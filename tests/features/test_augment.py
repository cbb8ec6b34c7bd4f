import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.config import AugmentConfig
from tfpipeline.features.augment import add_noise, augment_waveforms, mixup, random_gain

SEED = tf.constant([7, 11], tf.int64)
ALL = AugmentConfig(gain_db=6, noise_probability=0.5, snr_db=(5, 20), mixup_alpha=0.4)
LABELS = tf.constant([0, 1, 0, 1, 0, 1], tf.float32)


def rms_db(x):
    return 20 * np.log10(np.sqrt(np.mean(np.square(x), axis=1)))


def test_gain_stays_in_its_range_and_changes_nothing_else(speech):
    louder = random_gain(tf.constant(speech), 6.0, SEED).numpy()
    gains = rms_db(louder) - rms_db(speech)
    assert np.all(np.abs(gains) <= 6.0)
    assert len(np.unique(np.round(gains, 3))) == len(speech)
    np.testing.assert_allclose(
        louder / louder.max(1)[:, None], speech / speech.max(1)[:, None], atol=1e-6
    )


def test_noise_has_the_ratio_that_was_asked_for(speech):
    noisy = add_noise(tf.constant(speech), 1.0, (12.0, 12.0), SEED).numpy()
    np.testing.assert_allclose(rms_db(speech) - rms_db(noisy - speech), 12.0, atol=0.01)


def test_noise_comes_to_the_share_that_was_asked_for(speech):
    many = tf.constant(np.tile(speech[:, :400], (200, 1)))
    noisy = add_noise(many, 0.3, (10.0, 20.0), SEED).numpy()
    touched = np.any(noisy != many.numpy(), axis=1).mean()
    assert abs(touched - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 1200)


def test_silence_stays_silent():
    assert not add_noise(tf.zeros([2, 100]), 1.0, (10.0, 10.0), SEED).numpy().any()


def test_mixup_mixes_waveform_and_label_by_one_weight(speech):
    mixed, label = mixup(tf.constant(speech), LABELS, 0.4, SEED)
    partner = np.roll(speech, 1, axis=0)
    # labels alternate, so the soft label tells the weight of the spoof of each pair
    weight = np.where(LABELS.numpy() == 1, label.numpy(), 1 - label.numpy())[:, None]
    np.testing.assert_allclose(mixed, weight * speech + (1 - weight) * partner, atol=1e-6)
    assert np.all(weight >= 0.5)
    assert np.all(weight <= 1)


def test_draws_follow_seed_and_step_and_nothing_else(speech):
    def run(step, seed):
        return augment_waveforms(tf.constant(step, tf.int64), speech, LABELS, ALL, seed)

    for one, other in zip(run(5, 1), run(5, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    for step, seed in ((6, 1), (5, 2)):
        assert not np.array_equal(run(5, 1)[0], run(step, seed)[0])


def test_labels_do_not_change_what_happens_to_the_audio(speech):
    config = AugmentConfig(gain_db=6, noise_probability=0.5, mixup_alpha=0.4)
    step = tf.constant(3, tf.int64)
    one, _ = augment_waveforms(step, tf.constant(speech), LABELS, config, 0)
    other, _ = augment_waveforms(step, tf.constant(speech), 1 - LABELS, config, 0)
    np.testing.assert_array_equal(one, other)


def test_everything_off_is_the_identity(speech):
    waveform, label = augment_waveforms(
        tf.constant(0, tf.int64), tf.constant(speech), LABELS, AugmentConfig(), 0
    )
    np.testing.assert_array_equal(waveform, speech)
    np.testing.assert_array_equal(label, LABELS)


@pytest.mark.parametrize("batch", [1, 2])
def test_small_batches(speech, batch):
    waveform, label = augment_waveforms(
        tf.constant(0, tf.int64), tf.constant(speech[:batch]), LABELS[:batch], ALL, 0
    )
    assert waveform.shape == (batch, 64_000)
    assert np.isfinite(waveform).all()
    assert np.isfinite(label).all()
