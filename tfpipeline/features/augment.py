"""Waveform augmentation in training: gain, noise, mixup; seeded, and blind to the label.

Every draw is a pure function of (seed, step), so that a run repeats itself and a resumed one goes
on as if it had not stopped.
"""

from __future__ import annotations

import tensorflow as tf

from tfpipeline.config import AugmentConfig


def augment_waveforms(
    step: tf.Tensor, waveform: tf.Tensor, label: tf.Tensor, config: AugmentConfig, seed: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies the configured augmentations to one batch.

    Args:
        step: int64 (), the number of the batch.
        waveform: float32 (batch, samples).
        label: float32 (batch,), 1 = spoof.
        config: what to apply; an augmentation that is off costs nothing.
        seed: of the run.
    Returns:
        The augmented waveform, and the label, soft after mixup.
    """

    # One independent stream an augmentation: switching one on leaves the others' draws alone.
    def stream(number: int) -> tf.Tensor:
        return tf.stack([tf.constant(seed, tf.int64) * 8 + number, step])

    if config.mixup_alpha > 0:
        waveform, label = mixup(waveform, label, config.mixup_alpha, stream(1))
    if config.noise_probability > 0:
        waveform = add_noise(waveform, config.noise_probability, config.snr_db, stream(2))
    if config.gain_db > 0:
        waveform = random_gain(waveform, config.gain_db, stream(3))
    return waveform, label


def random_gain(waveform: tf.Tensor, gain_db: float, seed: tf.Tensor) -> tf.Tensor:
    """Scales each waveform (batch, samples) by a gain uniform in ±gain_db."""
    drawn = tf.random.stateless_uniform([tf.shape(waveform)[0], 1], seed, -gain_db, gain_db)
    return waveform * 10.0 ** (drawn / 20.0)


def add_noise(
    waveform: tf.Tensor, probability: float, snr_db: tuple[float, float], seed: tf.Tensor
) -> tf.Tensor:
    """Adds white noise to a share of the waveforms, at a ratio uniform in `snr_db`.

    The ratio is that of the mean powers of waveform and noise over the window; a silent waveform
    stays silent.
    """
    batch = tf.shape(waveform)[0]
    seeds = tf.random.split(seed, 3)
    chosen = tf.random.stateless_uniform([batch, 1], seeds[0]) < probability
    ratio_db = tf.random.stateless_uniform([batch, 1], seeds[1], *snr_db)
    noise = tf.random.stateless_normal(tf.shape(waveform), seeds[2])
    speech_rms = tf.sqrt(tf.reduce_mean(waveform**2, axis=1, keepdims=True))
    noise_rms = tf.sqrt(tf.reduce_mean(noise**2, axis=1, keepdims=True))
    scale = speech_rms / noise_rms * 10.0 ** (-ratio_db / 20.0)
    return tf.where(chosen, waveform + scale * noise, waveform)


def mixup(
    waveform: tf.Tensor, label: tf.Tensor, alpha: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each waveform and label with those of its neighbour in the batch.

    The weight is drawn from Beta(alpha, alpha), as a ratio of Gamma draws. The batch is in random
    order already, so the neighbour is a random partner.

    Reference: Zhang et al. (2018), "mixup: beyond empirical risk minimization".
    """
    batch = tf.shape(waveform)[0]
    first, second = tf.unstack(tf.random.stateless_gamma([2, batch], seed, alpha))
    # With a small alpha both draws can underflow to 0; such a pair is left unmixed.
    weight = tf.where(first + second > 0, first / tf.maximum(first + second, 1e-30), 1.0)
    weight = tf.maximum(weight, 1.0 - weight)  # the label stays with the louder of the two
    mixed = weight[:, None] * waveform + (1 - weight[:, None]) * tf.roll(waveform, 1, axis=0)
    return mixed, weight * label + (1 - weight) * tf.roll(label, 1, axis=0)
