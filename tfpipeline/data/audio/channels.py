"""Which channels of a recording are judged: together where they hold the same, apart where not.

Channels that sound within 30 dB of the loudest count. Those that correlate with the first of them
by .5 or more, or by -.5 or less, hold the same source: they are averaged, those in opposite phase
with their sign turned, since they would cancel. Every other one, such as the far side of a call, is
judged by itself, and the recording by what looks most like spoof.

`mix_weights` and `mix_in_graph` are one rule, for blocks in NumPy and for the exported graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

QUIETEST_SHARE = 1e-3  # of the loudest channel's power
ALIKE = 0.5


@dataclass(frozen=True)
class Mix:
    """What becomes of a file's channels.

    Attributes:
        weights: float32 (n, channels): each row gives one waveform that is judged.
        names: of the rows; `""` where there is one.
        remark: what a listener should know; None where there is nothing.
    """

    weights: np.ndarray
    names: tuple[str, ...] = ("",)
    remark: str | None = None


class ChannelStatistics:
    """Sums over blocks of float32 (frames, channels), up to the first sample that is not finite."""

    def __init__(self, channels: int):
        self.frames, self.peak = 0, 0.0
        self.total = np.zeros(channels)
        self.products = np.zeros((channels, channels))

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples."""
        self.frames += len(block)
        with np.errstate(invalid="ignore"):
            self.peak = float(np.maximum(self.peak, np.maximum(block.max(), -block.min())))
        if not np.isfinite(self.peak):
            return  # no sum of them means anything
        self.total += block.sum(axis=0, dtype=np.float64)
        # In float64, since float samples may be on the scale of integers.
        for begin in range(0, len(block), 2**16):
            part = block[begin : begin + 2**16].astype(np.float64)
            self.products += part.T @ part

    @property
    def rms_without_peak(self) -> float:
        """Of all channels together, but for the largest sample."""
        rest = max(0.0, np.trace(self.products) - self.peak**2)
        return float(np.sqrt(rest / max(1, self.frames * len(self.total))))

    def mix(self) -> Mix:
        """What to make of the channels."""
        mean = self.total / max(1, self.frames)
        covariance = self.products / max(1, self.frames) - np.outer(mean, mean)
        return mix_weights(covariance)


def mix_weights(covariance: np.ndarray) -> Mix:
    """The rule.

    Args:
        covariance: float64 (channels, channels).
    """
    channels = len(covariance)
    power = np.maximum(np.diag(covariance), 0)
    if not power.max() > 0:
        return Mix(np.full((1, channels), 1 / channels, np.float32))
    sounds = power >= QUIETEST_SHARE * power.max()
    first = int(np.argmax(sounds))
    correlation = covariance[first] / np.sqrt(np.maximum(power * power[first], 1e-300))
    alike = sounds & (np.abs(correlation) >= ALIKE)
    signs = np.where(correlation < 0, -1, 1) * alike
    apart = np.flatnonzero(sounds & ~alike)
    weights = np.stack([signs / alike.sum(), *np.eye(channels)[apart]]).astype(np.float32)
    names = _names(channels)
    groups = [" + ".join(names[c] for c in np.flatnonzero(alike)), *(names[c] for c in apart)]
    notes = []
    if (signs < 0).any():
        turned = ", ".join(names[c] for c in np.flatnonzero(signs < 0))
        notes.append(f"in opposite phase, {turned} turned round")
    if len(apart):
        notes.append(f"{', '.join(groups)} differ and are judged apart")
    remark = f"channels: {'; '.join(notes)}" if notes else None
    return Mix(weights, tuple(groups) if len(apart) else ("",), remark)


def _names(channels: int) -> list[str]:
    if channels == 2:
        return ["left", "right"]
    return [f"channel {number + 1}" for number in range(channels)]


def mix_in_graph(samples):
    """The same in core operations.

    Args:
        samples: float32 (frames, channels).
    Returns:
        float32 (n, frames), what is judged.
    """
    import tensorflow as tf

    centered = samples - tf.reduce_mean(samples, axis=0, keepdims=True)
    products = tf.matmul(centered, centered, transpose_a=True)  # (channels, channels)
    power = tf.linalg.diag_part(products)
    sounds = power >= QUIETEST_SHARE * tf.reduce_max(power)
    first = tf.argmax(tf.cast(sounds, tf.int32))
    deviation = tf.sqrt(tf.maximum(power, 1e-30))
    correlation = products[first] / deviation / deviation[first]
    alike = sounds & ((tf.abs(correlation) >= ALIKE) | ~(power[first] > 0))
    signs = tf.where(correlation < 0, -1.0, 1.0) * tf.cast(alike, tf.float32)
    average = signs / tf.reduce_sum(tf.cast(alike, tf.float32))
    apart = tf.boolean_mask(tf.eye(tf.size(power)), sounds & ~alike)
    return tf.matmul(tf.concat([average[None], apart], 0), samples, transpose_b=True)
