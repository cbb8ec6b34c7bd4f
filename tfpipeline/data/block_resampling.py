"""Sample-rate conversion of recordings that come in blocks, with no seam between them.

Two filters, since a recording must come out as it did in training: `SoxrBlocks` for what
`data.foreign` reads, `GraphBlocks` for what the graph decodes and resamples.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np


class BlockResampler(Protocol):
    """Takes blocks of one waveform and gives back what is certain of the resampled one."""

    def add(self, block: np.ndarray) -> np.ndarray:
        """The next samples of the result; float32 (samples,) in and out."""

    def end(self) -> np.ndarray:
        """The rest; in all, ceil(samples * target_rate / source_rate) samples."""


class SoxrBlocks:
    """soxr's stream resampler.

    Args:
        source_rate, target_rate: in Hz, and different.
    """

    def __init__(self, source_rate: int, target_rate: int):
        import soxr

        self._rates = source_rate, target_rate
        self._stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")
        self._taken = self._given = 0

    def add(self, block: np.ndarray) -> np.ndarray:
        self._taken += len(block)
        return self._cut(self._stream.resample_chunk(block))

    def end(self) -> np.ndarray:
        source_rate, target_rate = self._rates
        # soxr rounds the length and the graph rounds it up: silence behind, then cut.
        silence = np.zeros(-(-source_rate // target_rate) + 1, np.float32)
        return self._cut(self._stream.resample_chunk(silence, last=True))

    def _cut(self, samples: np.ndarray) -> np.ndarray:
        source_rate, target_rate = self._rates
        samples = samples[: -(-self._taken * target_rate // source_rate) - self._given]
        self._given += len(samples)
        return samples


class GraphBlocks:
    """`data.resample` in overlapping blocks: the same filter, and so the same samples.

    A block's outer outputs, which the filter lacks neighbours for, are computed again with the
    next block.

    Args:
        source_rate, target_rate: in Hz, and different.
    """

    def __init__(self, source_rate: int, target_rate: int):
        from tfpipeline.data.resample import polyphase_kernel

        divisor = math.gcd(source_rate, target_rate)
        self._rates = source_rate, target_rate
        self._up, self._down = target_rate // divisor, source_rate // divisor
        # In runs of `down` input samples, of which each gives `up` outputs.
        reach = (len(polyphase_kernel(self._up, self._down)) - self._down) // 2
        self._margin = -(-reach // self._down)
        self._held: list[np.ndarray] = []
        self._before = 0  # runs in `_held` whose outputs were given already

    def add(self, block: np.ndarray) -> np.ndarray:
        self._held.append(block)
        runs = sum(map(len, self._held)) // self._down
        ready = runs - self._margin
        if ready <= self._before:
            return np.zeros(0, np.float32)
        samples = np.concatenate(self._held)
        given = self._resample(samples)[self._before * self._up : ready * self._up]
        first = max(0, ready - self._margin)
        self._held = [samples[first * self._down :]]
        self._before = ready - first
        return given

    def end(self) -> np.ndarray:
        samples = np.concatenate([np.zeros(0, np.float32), *self._held])
        return self._resample(samples)[self._before * self._up :]

    def _resample(self, samples: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        from tfpipeline.data.resample import resample

        return resample(tf.constant(samples), *self._rates).numpy()
