import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.config import DISTORTION_SETS, AugmentConfig
from tfpipeline.features.augment import augment_waveforms, mixup, random_gain

SEED = tf.constant([7, 11], tf.int64)
ALL = AugmentConfig(gain_db=6, distortions="strong", snr_db=(5, 20), mixup_alpha=0.4)
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
    step = tf.constant(3, tf.int64)
    one, _ = augment_waveforms(step, tf.constant(speech), LABELS, ALL, 0)
    other, _ = augment_waveforms(step, tf.constant(speech), 1 - LABELS, ALL, 0)
    np.testing.assert_array_equal(one, other)


def test_everything_off_is_the_identity(speech):
    waveform, label = augment_waveforms(
        tf.constant(0, tf.int64), tf.constant(speech), LABELS, AugmentConfig(), 0
    )
    np.testing.assert_array_equal(waveform, speech)
    np.testing.assert_array_equal(label, LABELS)


def test_each_distortion_has_its_own_draws(speech):
    def run(**shares):
        config = AugmentConfig(distortions=shares)
        step = tf.constant(2, tf.int64)
        return augment_waveforms(step, tf.constant(speech), LABELS, config, 0)[0].numpy()

    flipped = np.sign(np.sum(run(polarity=0.5) * speech, axis=1))
    assert set(flipped) == {-1, 1}
    both = run(polarity=0.5, noise=1.0)
    np.testing.assert_allclose(both, run(noise=1.0) * flipped[:, None], atol=1e-6)


def test_a_set_is_a_name_for_shares():
    light = AugmentConfig(distortions="light").distortions
    assert light.noise == DISTORTION_SETS["light"]["noise"] > 0
    assert AugmentConfig(distortions=DISTORTION_SETS["strong"]).distortions.noise > light.noise
    assert AugmentConfig(distortions="none") == AugmentConfig()


@pytest.mark.parametrize("batch", [1, 2])
def test_small_batches(speech, batch):
    waveform, label = augment_waveforms(
        tf.constant(0, tf.int64), tf.constant(speech[:batch]), LABELS[:batch], ALL, 0
    )
    assert waveform.shape == (batch, 64_000)
    assert np.isfinite(waveform).all()
    assert np.isfinite(label).all()
