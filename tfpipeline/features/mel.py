"""Log-mel spectrograms that equal librosa's, as a Keras layer of core TensorFlow ops.

Conventions: waveforms are (batch, samples) in [-1, 1]; spectrograms are time-major,
(batch, frames, n_mels), where librosa's are (n_mels, frames); levels are in dB. Parameters have
librosa's names and defaults, and a clip's result never depends on the rest of its batch.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from tfpipeline.features.decibels import power_to_db
from tfpipeline.features.filterbank import (
    filter_blocks,
    filter_product,
    mel_filters,
    padded_window,
)
from tfpipeline.features.waveforms import check_waveforms, in_groups

SETTINGS = (
    *("sample_rate", "n_fft", "hop_length", "win_length", "window", "center", "pad_mode", "power"),
    *("n_mels", "fmin", "fmax", "htk", "norm", "ref", "amin", "top_db", "precision"),
)
PRECISIONS = ("float32", "float64")
PAD_MODES = {"constant": "CONSTANT", "reflect": "REFLECT"}


@keras.saving.register_keras_serializable(package="tfpipeline")
class LogMel(keras.layers.Layer):
    """Log-mel spectrogram in dB: `librosa.power_to_db(librosa.feature.melspectrogram(…))`.

    `top_db` and `ref="max"` look at one example at a time; `keras.layers.MelSpectrogram` takes its
    maximum over the whole batch, so that there a clip's features depend on its batch-mates.

    The layer keeps to float32 or float64 whatever the global dtype policy: half precision spans
    too few dB. On Ampere GPUs and newer, TensorFlow multiplies float32 matrices in TF32: up to
    0.004 dB by its mantissa (not measured).
    `tf.config.experimental.enable_tensor_float_32_execution(False)` stops that.

    Args:
        sample_rate: of the waveform, in Hz.
        n_fft: length of a frame, in samples; need not be a power of two.
        hop_length: from one frame to the next, in samples.
        win_length: of the window, in samples; centred in the frame. None means n_fft.
        window: any name that `scipy.signal.get_window` knows.
        center: pads n_fft // 2 samples on both sides, so that frame t is centred on sample
            t · hop_length.
        pad_mode: "constant" (zeros) or "reflect".
        power: exponent of the magnitudes: 2 for power, 1 for amplitude.
        n_mels: number of mel bands.
        fmin: lower edge of the lowest band, in Hz.
        fmax: upper edge of the highest band, in Hz. None means sample_rate / 2.
        htk: HTK's mel scale in place of Slaney's.
        norm: "slaney" gives bands of equal area, None bands of peak 1.
        ref: what counts as 0 dB: a positive power, or "max" for each example's loudest cell.
        amin: the least power, below which a cell is held to it.
        top_db: floor of each example, in dB below its loudest cell; None for no floor.
        precision: of the STFT. "float32" is within 0.01 dB of librosa down to 80 dB below the
            peak, "float64" within 0.0001 dB at some 0.6 of the speed.
        dtype: of what follows the STFT, and of the result: "float32" or "float64".
        **kwargs: `name` and the like, for `keras.layers.Layer`.
    Raises:
        ValueError: a setting is out of range or unknown.
    Reference:
        librosa 0.11: `feature.melspectrogram`, `filters.mel`, `power_to_db`.

    Example:
        >>> mel = LogMel(sample_rate=16_000, n_fft=512, hop_length=160, n_mels=80)
        >>> mel(tf.zeros((2, 16_000))).shape
        TensorShape([2, 101, 80])
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        n_fft: int = 2048,
        hop_length: int = 512,
        win_length: int | None = None,
        window: str = "hann",
        center: bool = True,
        pad_mode: str = "constant",
        power: float = 2.0,
        n_mels: int = 128,
        fmin: float = 0.0,
        fmax: float | None = None,
        htk: bool = False,
        norm: str | None = "slaney",
        ref: float | str = 1.0,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        precision: str = "float32",
        dtype="float32",
        **kwargs,
    ):
        policy = keras.dtype_policies.get(dtype)
        if policy.compute_dtype not in PRECISIONS:
            raise ValueError(
                f"dtype must be one of {PRECISIONS}, for half precision spans too few dB. "
                f"Received: {policy.name!r}. Leave dtype out: the layers that follow cast for "
                "themselves."
            )
        super().__init__(dtype=policy, autocast=False, **kwargs)
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.win_length = win_length
        self.window = window
        self.center = center
        self.pad_mode = pad_mode
        self.power = power
        self.n_mels = n_mels
        self.fmin = fmin
        self.fmax = fmax
        self.htk = htk
        self.norm = norm
        self.ref = ref
        self.amin = amin
        self.top_db = top_db
        self.precision = precision
        _check_settings(self)
        self._taper = padded_window(window, win_length or n_fft, n_fft)
        filters = mel_filters(sample_rate, n_fft, n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm)
        self._blocks = filter_blocks(filters)

    def call(self, waveform):
        """Computes the spectrograms.

        Args:
            waveform: float (batch, samples) in [-1, 1].
        Returns:
            float (batch, frames, n_mels) in dB, of the layer's dtype.
        Raises:
            ValueError: not of rank 2, not float, or too short for one frame.
        """
        check_waveforms(waveform)
        samples = waveform.shape[1]
        if samples is None:
            samples = tf.shape(waveform)[1]
            tf.debugging.assert_greater_equal(
                samples, self._min_samples(), "waveform is too short for one frame."
            )
            frames = None
        else:
            frames = self.frame_count(samples)

        return in_groups(
            lambda clips: self.log_mel(self.power_spectrogram(clips)),
            waveform,
            (frames, self.n_mels),
            self.compute_dtype,
        )

    def frame_count(self, samples: int) -> int:
        """Number of frames of a clip.

        Args:
            samples: length of the clip.
        Returns:
            The number of frames, 1 or more.
        Raises:
            ValueError: the clip is too short for one frame.
        """
        if samples < self._min_samples():
            raise ValueError(
                f"a clip must have {self._min_samples()} samples or more with n_fft={self.n_fft}, "
                f"center={self.center}, pad_mode={self.pad_mode!r}. Received: {samples}. "
                "Repeat the clip to length, or take a smaller n_fft."
            )
        padding = 2 * (self.n_fft // 2) if self.center else 0
        return (samples + padding - self.n_fft) // self.hop_length + 1

    def compute_output_shape(self, input_shape):
        batch, samples = input_shape
        return batch, None if samples is None else self.frame_count(samples), self.n_mels

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in SETTINGS}}

    def _min_samples(self) -> int:
        if not self.center:
            return self.n_fft
        return self.n_fft // 2 + 1 if self.pad_mode == "reflect" else 1

    def power_spectrogram(self, waveform: tf.Tensor) -> tf.Tensor:
        """The first half of the layer, for a few clips: the STFT's magnitudes to `power`.

        Args:
            waveform: float (size, samples).
        Returns:
            float (size, frames, 1 + n_fft // 2), of the layer's dtype.
        """
        waveform = tf.cast(waveform, self.precision)
        if self.center:
            half = self.n_fft // 2
            waveform = tf.pad(waveform, [[0, 0], [half, half]], PAD_MODES[self.pad_mode])
        frames = tf.signal.frame(waveform, self.n_fft, self.hop_length)  # (size, frames, n_fft)
        spectrum = tf.signal.rfft(frames * self._taper.astype(self.precision))
        if self.power == 2.0:
            power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        else:
            power = tf.pow(tf.abs(spectrum), self.power)
        return tf.cast(power, self.compute_dtype)

    def log_mel(self, power: tf.Tensor) -> tf.Tensor:
        """The second half: (size, frames, 1 + n_fft // 2) → (size, frames, n_mels) in dB."""
        mel = filter_product(power, self._blocks)
        return power_to_db(mel, ref=self.ref, amin=self.amin, top_db=self.top_db)


def _check_settings(layer: LogMel) -> None:
    """Refuses settings that librosa refuses, or that give nonsense."""
    for name in ("sample_rate", "n_fft", "hop_length", "n_mels"):
        value = getattr(layer, name)
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"{name} must be a positive whole number. Received: {value!r}.")
    for name in ("power", "amin"):
        value = getattr(layer, name)
        if not value > 0:
            raise ValueError(f"{name} must be positive. Received: {value!r}.")
    for name, value, known in (
        ("pad_mode", layer.pad_mode, tuple(PAD_MODES)),
        ("norm", layer.norm, ("slaney", None)),
        ("precision", layer.precision, PRECISIONS),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {known}. Received: {value!r}.")
    if layer.win_length is not None and not 0 < layer.win_length <= layer.n_fft:
        raise ValueError(
            f"win_length must lie in 1 … n_fft ({layer.n_fft}), in samples. "
            f"Received: {layer.win_length!r}. Is it in milliseconds, or n_fft too small?"
        )
    nyquist = layer.sample_rate / 2
    fmax = nyquist if layer.fmax is None else layer.fmax
    if not 0 <= layer.fmin < fmax <= nyquist:
        raise ValueError(
            f"0 <= fmin < fmax <= sample_rate / 2 ({nyquist:g} Hz) must hold. "
            f"Received: fmin={layer.fmin!r}, fmax={layer.fmax!r}. Are they in kHz, or meant for "
            "another sample_rate?"
        )
    if layer.ref != "max" and (isinstance(layer.ref, str) or not layer.ref > 0):
        raise ValueError(f'ref must be a positive power or "max". Received: {layer.ref!r}.')
    if layer.top_db is not None and not layer.top_db >= 0:
        raise ValueError(
            f"top_db must be None or 0 or more. Received: {layer.top_db!r}. "
            "It counts down from the peak: 80, not -80."
        )
