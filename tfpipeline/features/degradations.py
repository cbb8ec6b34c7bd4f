"""Degradations at fixed strengths, to be judged one by one: what `evaluate --robustness` asks.

The same signal processing as in training (`distortions`) and the same codecs, with one strength in
place of a range, on whole clips. What is drawn, such as noise, depends on the clip and the kind
alone, so that a clip has the same noise at each ratio, and the same in each run. The result is what
a file of 16 bits would hold.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE, STEPS
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.codecs import CODECS, through_codec
from tfpipeline.data.clip_audio import Audio
from tfpipeline.features import distortions
from tfpipeline.features.distortions import Distort

CLEAN = "clean"
CLIPPED = ("gain", "clipping", "offset")  # beyond full scale, their samples are cut off
STEEP = 8.0  # order of the low-pass, 48 dB an octave


@dataclass(frozen=True)
class Degradation:
    """One cell of the table.

    Attributes:
        kind: such as `noise`.
        strength: in words, such as `20 dB`.
        change: channels float32 (channels, samples) and a seed → (channels, samples), or (0, 0)
            where a codec leaves nothing.
        codec: of `CODECS`; None where none is used.
    """

    kind: str
    strength: str
    change: Distort
    codec: str | None = None

    @property
    def name(self) -> str:
        """`kind strength`."""
        return f"{self.kind} {self.strength}".rstrip()


def _codec(kind: str, strength: str, codec: str) -> Degradation:
    def code(waveform: np.ndarray) -> np.ndarray:
        try:
            return np.stack([through_codec(channel, codec) for channel in waveform])
        except UnusableError:
            return np.zeros((0, 0), np.float32)

    def change(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(code, [waveform], tf.float32), [None, None])

    return Degradation(kind, strength, change, codec)


def _noise(snr_db: float) -> Degradation:
    bounds = snr_db, snr_db
    return Degradation(
        "noise",
        f"{snr_db:g} dB",
        lambda x, seed: distortions.add_colored_noise(x, bounds, (0.0, 0.0), seed),
    )


def _reverb(seconds: float) -> Degradation:
    bounds = seconds, seconds
    return Degradation(
        "reverb", f"{seconds:g} s", lambda x, seed: distortions.reverberate(x, bounds, seed)
    )


def _low_pass(hz: float) -> Degradation:
    def change(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        cutoff = tf.constant([[math.log(hz)]])
        return distortions.filtered(
            waveform, lambda frequency: distortions.low_pass_gain(frequency, cutoff, STEEP)
        )

    return Degradation("lowpass", f"{hz / 1000:g} kHz", change)


def _gain(db: float) -> Degradation:
    return Degradation("gain", f"{db:+g} dB", lambda x, seed: x * 10 ** (db / 20))


def _clip(db: float) -> Degradation:
    return Degradation("clipping", f"{db:g} dB", lambda x, s: distortions.clip(x, (db, db), s))


def _trim(seconds: float) -> Degradation:
    def change(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        samples = tf.shape(waveform)[1]
        cut = tf.minimum(round(seconds * SAMPLE_RATE), samples // 4)
        return waveform[:, cut : samples - cut]

    return Degradation("trim", f"{seconds:g} s", change)


def _resample(hz: float, strength: str, function: Callable) -> Degradation:
    return Degradation("resampling", strength, lambda x, seed: function(x, tf.constant([[hz]])))


BIT_RATES = [name.split("_") for name in CODECS if name.rpartition("_")[2].isdigit()]
# Of each kind from mild to strong.
DEGRADATIONS = (
    Degradation(CLEAN, "", lambda x, seed: x),
    *(_codec(kind, f"{rate} kbit/s", f"{kind}_{rate}") for kind, rate in BIT_RATES),
    _codec("telephone", "A-law", "a_law"),
    _codec("telephone", "µ-law", "mu_law"),
    _codec("telephone", "GSM", "gsm"),
    _codec("telephone", "AMR", "amr_nb"),
    *map(_noise, (30.0, 20.0, 15.0, 10.0, 5.0)),
    *map(_reverb, (0.2, 0.5, 1.0)),
    *map(_low_pass, (6000.0, 4000.0)),
    _resample(11_025.0, "11 kHz", distortions.resample_well),
    _resample(8000.0, "8 kHz", distortions.resample_well),
    _resample(8000.0, "8 kHz, linear", distortions.resample_badly),
    *map(_gain, (-20.0, 12.0)),
    *map(_clip, (6.0, 12.0)),
    Degradation("offset", "0.05", lambda x, seed: x + 0.05),
    *map(_trim, (0.1, 0.5)),
)
KINDS = tuple(dict.fromkeys(own.kind for own in DEGRADATIONS))


def choose_degradations(kinds: Sequence[str]) -> list[Degradation]:
    """The degradations of some kinds, `clean` before them; of none, all.

    Raises:
        ValueError: an unknown kind; the message names the known ones.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(
                f"--robustness takes kinds of degradation, with commas: {', '.join(KINDS[1:])}. "
                f"Received: {kind!r}"
            )
    return [own for own in DEGRADATIONS if not kinds or own.kind in (CLEAN, *kinds)]


def degraded(audio: Audio, clip_ids: Sequence[str], degradation: Degradation) -> Audio:
    """The audio of the same clips after a degradation; of `clean`, as it is.

    Args:
        audio: of the clips.
        clip_ids: of the same clips; the draws follow from them.
        degradation: one of `DEGRADATIONS`.
    """
    if degradation.kind == CLEAN:
        return audio
    seeds = tf.constant([_number(own) for own in clip_ids], tf.int64)
    kind = tf.constant(_number(degradation.kind), tf.int64)
    channels = None if audio.channels is None else tf.constant(audio.channels, tf.int32)

    def waveform(index: tf.Tensor) -> tf.Tensor:
        given = audio.waveform(index)
        number = 1 if channels is None else channels[index]

        def changed() -> tf.Tensor:
            own = tf.reshape(given, [number, -1])
            result = degradation.change(own, tf.stack([seeds[index], kind]))
            if degradation.kind not in CLIPPED:
                result /= tf.maximum(1.0, tf.reduce_max(tf.pad(tf.abs(result), [[0, 1], [0, 1]])))
            return tf.reshape(_as_16_bits(result), [-1])

        # A clip that was lost is empty, and stays so.
        return tf.ensure_shape(tf.cond(tf.size(given) > 0, changed, lambda: given), [None])

    return replace(audio, waveform=waveform)


def _as_16_bits(waveform: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.round(waveform * STEPS), -STEPS, STEPS - 1) / STEPS


def _number(text: str) -> int:
    """An int64 that stands for a text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
