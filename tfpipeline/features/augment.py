"""Augmentation in training: what happens to the waveforms of a batch, seeded, and blind to labels.

Every draw is a pure function of (seed, step), so that a run repeats itself and a resumed one goes
on as if it had not stopped.

Random equalization of log-mel spectrograms, in training only: another microphone each time.

Time and frequency masking of spectrograms, in training only.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from tfpipeline.config import AugmentConfig
from tfpipeline.features import distortions, rawboost
from tfpipeline.features.recorded_noise import add_recorded_noise, noise_recordings

# Streams of draws a seed has; the numbers in use are stable, see `augment_waveforms`.
STREAMS = 64
FIRST_DISTORTION = 8


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
        return tf.stack([tf.constant(seed, tf.int64) * STREAMS + number, step])

    if config.mixup_alpha > 0:
        waveform, label = mixup(waveform, label, config.mixup_alpha, stream(1))
    for number, (name, distort) in enumerate(distortion_functions(config).items()):
        share = getattr(config.distortions, name)
        if share > 0:
            waveform = distortions.to_share(
                waveform, distort, share, stream(FIRST_DISTORTION + number)
            )
    if config.gain_db > 0:
        waveform = random_gain(waveform, config.gain_db, stream(3))
    return waveform, label


def distortion_functions(config: AugmentConfig) -> dict[str, distortions.Distort]:
    """Name in `augment.distortions` → function of waveforms and a seed, in their order.

    All but `codec`, which whole clips go through (`tfpipeline.data.codec_bank`).
    """
    return {
        "reverb": lambda x, seed: distortions.reverberate(x, config.reverb_seconds, seed),
        "noise": lambda x, seed: distortions.add_colored_noise(
            x, config.snr_db, config.noise_color, seed
        ),
        "recorded_noise": lambda x, seed: add_recorded_noise(
            x, noise_recordings(config.noise_folder), config.snr_db, seed
        ),
        "convolutive": rawboost.convolutive_noise,
        "impulsive": rawboost.impulsive_noise,
        "stationary": rawboost.stationary_noise,
        "clipping": lambda x, seed: distortions.clip(x, config.clip_db, seed),
        "band": lambda x, seed: distortions.limit_band(
            x, config.lowpass_hz, config.highpass_hz, seed
        ),
        "resampling": lambda x, seed: distortions.resample_chain(x, config.resample_hz, seed),
        "telephone": distortions.telephone,
        "offset": distortions.offset,
        "polarity": lambda x, seed: -x,
    }


def random_gain(waveform: tf.Tensor, gain_db: float, seed: tf.Tensor) -> tf.Tensor:
    """Scales each waveform (batch, samples) by a gain uniform in ±gain_db."""
    drawn = tf.random.stateless_uniform([tf.shape(waveform)[0], 1], seed, -gain_db, gain_db)
    return waveform * 10.0 ** (drawn / 20.0)


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


KNOTS = 6


@keras.saving.register_keras_serializable("tfpipeline")
class RandomEqualization(keras.layers.Layer):
    """Adds to each spectrogram a smooth curve over frequency, the same in all its frames.

    In dB a linear filter is such a curve. It is linear between `KNOTS` draws, evenly spread over
    the mel bands; each example has its own.

    Args:
        eq_db: the draws lie in [-eq_db, eq_db]; 0 is off.
        seed: of the draws.
    """

    def __init__(self, eq_db: float = 0.0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.eq_db = eq_db
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, spectrogram: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Equalizes (batch, frames, n_mels) in dB in training; else returns it as it is."""
        if not training or not self.eq_db:
            return spectrogram
        batch, bands = tf.shape(spectrogram)[0], spectrogram.shape[2]
        knots = keras.random.uniform(
            [batch, KNOTS], -self.eq_db, self.eq_db, seed=self.seed_generator
        )
        # The weight of knot k at band b falls off linearly from 1 to 0 at its neighbours.
        places = tf.linspace(0.0, KNOTS - 1.0, bands)  # (n_mels,)
        weights = tf.maximum(0.0, 1 - tf.abs(places[None, :] - tf.range(float(KNOTS))[:, None]))
        curve = knots @ weights  # (batch, n_mels)
        return spectrogram + curve[:, None, :]

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {**super().get_config(), "eq_db": self.eq_db, "seed": self.seed}


@keras.saving.register_keras_serializable("tfpipeline")
class SpectrogramMasking(keras.layers.Layer):
    """SpecAugment's masks: bands of time and of frequency replaced by the spectrogram's mean.

    The mean of the example itself is the filling, so that a mask is neither loud nor silent
    whatever the scale. A mask's width is uniform in 0 … the widest; each example draws its own.

    Reference: Park et al. (2019), "SpecAugment: a simple data augmentation method for automatic
    speech recognition".

    Args:
        time_masks: masks along time a spectrogram.
        time_mask_frames: the widest, in frames.
        frequency_masks: masks along frequency a spectrogram.
        frequency_mask_bins: the widest, in mel bands.
        seed: of the draws.
    """

    def __init__(
        self,
        time_masks: int = 0,
        time_mask_frames: int = 40,
        frequency_masks: int = 0,
        frequency_mask_bins: int = 12,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.time_masks = time_masks
        self.time_mask_frames = time_mask_frames
        self.frequency_masks = frequency_masks
        self.frequency_mask_bins = frequency_mask_bins
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, spectrogram: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Masks (batch, frames, n_mels) in training; returns it as it is otherwise."""
        if not training:
            return spectrogram
        frames, bins = tf.shape(spectrogram)[1], tf.shape(spectrogram)[2]
        keep = self._keep(spectrogram, frames, self.time_masks, self.time_mask_frames)[:, :, None]
        keep &= self._keep(spectrogram, bins, self.frequency_masks, self.frequency_mask_bins)[
            :, None, :
        ]  # (batch, frames, n_mels)
        filling = tf.reduce_mean(spectrogram, axis=[1, 2], keepdims=True)
        return tf.where(keep, spectrogram, filling)

    def _keep(self, like: tf.Tensor, length: tf.Tensor, masks: int, widest: int) -> tf.Tensor:
        """bool (batch, length): False under a mask."""
        batch = tf.shape(like)[0]
        if not masks:
            return tf.ones([batch, length], bool)
        drawn = keras.random.uniform([2, batch, masks], seed=self.seed_generator)
        size = tf.cast(length, tf.float32)
        width = tf.minimum(tf.floor(drawn[0] * (widest + 1)), size)  # (batch, masks)
        begin = tf.floor(drawn[1] * (size - width + 1))
        places = tf.range(size)[None, None, :]
        inside = (places >= begin[..., None]) & (places < (begin + width)[..., None])
        return ~tf.reduce_any(inside, axis=1)  # (batch, length)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "time_masks": self.time_masks,
            "time_mask_frames": self.time_mask_frames,
            "frequency_masks": self.frequency_masks,
            "frequency_mask_bins": self.frequency_mask_bins,
            "seed": self.seed,
        }
