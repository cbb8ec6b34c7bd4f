"""What every front end does first: removes what lies below speech, and sets the level.

A constant offset, rumble, mains hum and the gain of a recording say nothing about who speaks, yet a
network that never met them moves by them. As the first layer of the graph, this one works the same
in training, in scoring and in serving.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfpipeline.config import AS_RECORDED, FrontEndConfig
from tfpipeline.features.waveforms import check_waveforms
from tfpipeline.files.strict import check

TRANSITION_HZ = 35.0  # from what is removed to what is left as it is
LOW_RATE = 500  # Hz; what is to be removed is estimated at this rate, at which it costs little
BLOCK = 4  # samples at the low rate that are computed at once: the fastest of 1, 4, 8 and 16
REMOVAL_DB = 60.0  # of the filter at the low rate
IMAGES_DB = 75.0  # of the filters between the two rates: aliases and images lie as far below
# Quieter than the rounding of 16 bits with dither: silence, that must not be blown up to a level.
SILENCE_DBFS = -80.0


@keras.saving.register_keras_serializable(package="tfpipeline")
class Conditioning(keras.layers.Layer):
    """High-pass of linear phase and no delay, then a fixed level; each example by itself.

    The high-pass takes away a low-pass of the waveform: the waveform goes down to 500 Hz, through a
    Kaiser filter, up again, and is subtracted. What is at or below `highpass_hz` leaves at least 55
    dB lower, a constant offset as rounding alone; what is `TRANSITION_HZ` above it or more stays as
    it was, to 0.02 dB. Beyond its ends a waveform is continued as its mirror image, so that any
    length will do; the outer 70 ms therefore keep part of a hum.

    Computed in float32 whatever the global dtype policy; no weights. On Ampere GPUs and newer
    TensorFlow multiplies float32 matrices in TF32, with which removal ends at about 66 dB by its
    mantissa (not measured).

    Args:
        highpass_hz: the highest frequency that is removed. None: no high-pass.
        level_dbfs: RMS that every example gets, in dB below 1.0; one that is below `SILENCE_DBFS`
            gets the gain of one that is not. None: levels stay.
        sample_rate: of the waveform, in Hz.
        **kwargs: `name` and the like, for `keras.layers.Layer`.
    Raises:
        ValueError: `highpass_hz` or `level_dbfs` is out of range.
    Reference:
        Crochiere & Rabiner (1983), "Multirate digital signal processing", chapter 4: narrow-band
        filters by decimation and interpolation.
    """

    def __init__(
        self,
        highpass_hz: float | None = 60.0,
        level_dbfs: float | None = -26.0,
        *,
        sample_rate: int = 16_000,
        **kwargs,
    ):
        settings = {"highpass_hz": highpass_hz, "level_dbfs": level_dbfs}
        check(FrontEndConfig, settings, type(self).__name__)
        kwargs.pop("dtype", None)
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.highpass_hz = highpass_hz
        self.level_dbfs = level_dbfs
        self.sample_rate = sample_rate
        self._lowpass = None if highpass_hz is None else _Lowpass(highpass_hz, sample_rate)

    def call(self, waveform):
        """Conditions waveforms.

        Args:
            waveform: float (batch, samples) in [-1, 1]; both may be unknown in a graph.
        Returns:
            float32 (batch, samples), not bounded by 1.
        Raises:
            ValueError: not of rank 2, or not float.
        """
        check_waveforms(waveform)
        waveform = tf.cast(waveform, "float32")
        if self._lowpass is not None:
            waveform -= self._lowpass(waveform)
        if self.level_dbfs is not None:
            power = tf.reduce_mean(tf.square(waveform), axis=1, keepdims=True)
            # The floor stands inside the root, whose gradient at 0 is infinite.
            power = tf.maximum(power, 10.0 ** (SILENCE_DBFS / 10.0))
            waveform *= 10.0 ** (self.level_dbfs / 20.0) * tf.math.rsqrt(power)
        return waveform

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "highpass_hz": self.highpass_hz,
            "level_dbfs": self.level_dbfs,
            "sample_rate": self.sample_rate,
        }


def conditioning_layer(config: FrontEndConfig, sample_rate: int = 16_000) -> Conditioning | None:
    """The configured layer; None where nothing is to be done."""
    if config == AS_RECORDED:
        return None
    return Conditioning(**config.model_dump(), sample_rate=sample_rate, name="conditioning")


class _Lowpass:
    """What lies at `edge_hz` or below: float32 (batch, samples) → the same shape.

    Three convolutions over blocks: `BLOCK` samples at the low rate and those of the waveform that
    span the same time are the channels, so that each is a product of matrices.
    """

    def __init__(self, edge_hz: float, sample_rate: int):
        from scipy import signal

        step = sample_rate // LOW_RATE
        low_rate = sample_rate / step
        upper = edge_hz + TRANSITION_HZ
        taps, beta = signal.kaiserord(IMAGES_DB, (low_rate - 2 * upper) / (sample_rate / 2))
        between = signal.firwin(
            taps | 1, low_rate / 2, window=("kaiser", beta), scale=False, fs=sample_rate
        )
        taps, beta = signal.kaiserord(REMOVAL_DB, TRANSITION_HZ / (low_rate / 2))
        narrow = signal.firwin(
            taps | 1, (edge_hz + upper) / 2, window=("kaiser", beta), fs=low_rate
        )
        self._block = BLOCK * step
        kernels = [
            _block_kernel(between, step, 1),
            _block_kernel(narrow, 1, 1),
            _block_kernel(between, 1, step),
        ]
        # Each output sums its inputs to 1, so that a constant comes out as it went in.
        self._kernels = [
            (kernel / kernel.sum(axis=(0, 1))).astype(np.float32) for kernel in kernels
        ]
        # A kernel reaches as far back as ahead.
        self._reach = sum(len(kernel) // 2 for kernel in kernels)

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        samples = waveform.shape[1]
        samples = tf.shape(waveform)[1] if samples is None else samples
        blocks = -(-samples // self._block)
        margin = self._reach * self._block
        end = blocks * self._block + margin
        extended = tf.concat(
            [
                _mirrored(waveform, samples, tf.range(-margin, 0)),
                waveform,
                _mirrored(waveform, samples, tf.range(samples, end)),
            ],
            axis=1,
        )
        low = tf.reshape(extended, [-1, blocks + 2 * self._reach, self._block])
        for kernel in self._kernels:
            low = tf.nn.conv1d(low, kernel, 1, "VALID")
        low = tf.reshape(low, [-1, blocks * self._block])
        return low[:, :samples]


def _block_kernel(taps: np.ndarray, step_in: int, step_out: int) -> np.ndarray:
    """A filter as a convolution over blocks of `BLOCK` samples at the low rate.

    Args:
        taps: odd in number, centred; at the higher of both rates.
        step_in, step_out: samples of the input, of the output, to one at the low rate.
    Returns:
        float64 (2 · reach + 1 blocks, BLOCK · step_in, BLOCK · step_out), as `tf.nn.conv1d` has it.
    """
    half = len(taps) // 2
    size_in, size_out = BLOCK * step_in, BLOCK * step_out
    # Times are told in samples of the higher rate.
    unit_in, unit_out = max(step_out // step_in, 1), max(step_in // step_out, 1)
    length = size_in * unit_in
    reach = -(-half // length)
    block, sample, output = np.ogrid[-reach : reach + 1, :size_in, :size_out]
    place = half + block * length + sample * unit_in - output * unit_out
    inside = (place >= 0) & (place < len(taps))
    return np.where(inside, taps[np.clip(place, 0, len(taps) - 1)], 0.0)


def _mirrored(waveform: tf.Tensor, samples: int | tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Samples at places outside the waveform, which there runs to and fro."""
    places = tf.math.floormod(places, 2 * samples)
    return tf.gather(waveform, tf.minimum(places, 2 * samples - 1 - places), axis=1)
