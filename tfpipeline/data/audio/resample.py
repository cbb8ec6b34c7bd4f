"""Sample-rate conversion by a polyphase windowed-sinc filter, in blocks and in core operations.

One filter for the rates of `SOURCE_RATES`: `PolyphaseBlocks` in NumPy, `resample` in the exported
graph. Any other rate is converted by soxr, `SoxrBlocks`, and the graph refuses it.
"""

from __future__ import annotations

import functools
import math
from typing import Protocol

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE, SOURCE_RATES

# Up to 7/16 of the lower rate passes, 7 kHz at 16 kHz; from half of it on nothing does.
PASSBAND = 7 / 16
STOPBAND_DB = 90.0


class BlockResampler(Protocol):
    """Takes blocks of one waveform and gives back what is certain of the resampled one."""

    def add(self, block: np.ndarray) -> np.ndarray:
        """The next samples of the result; float32 (samples,) in and out."""

    def end(self) -> np.ndarray:
        """The rest; in all, ceil(samples * SAMPLE_RATE / source_rate) samples."""


def block_resampler(source_rate: int) -> BlockResampler:
    """What converts a rate in Hz to `SAMPLE_RATE`."""
    if source_rate == SAMPLE_RATE:
        return _Unchanged()
    kind = PolyphaseBlocks if source_rate in SOURCE_RATES else SoxrBlocks
    return kind(source_rate)


class _Unchanged:
    def add(self, block: np.ndarray) -> np.ndarray:
        return block

    def end(self) -> np.ndarray:
        return np.zeros(0, np.float32)


class SoxrBlocks:
    """soxr's stream resampler.

    Args:
        source_rate: in Hz, not `SAMPLE_RATE`.
    """

    def __init__(self, source_rate: int):
        import soxr

        self._rate = source_rate
        self._stream = soxr.ResampleStream(source_rate, SAMPLE_RATE, 1, dtype="float32")
        self._taken = self._given = 0

    def add(self, block: np.ndarray) -> np.ndarray:
        self._taken += len(block)
        return self._cut(self._stream.resample_chunk(block))

    def end(self) -> np.ndarray:
        # soxr rounds the length and the graph rounds it up: silence behind, then cut.
        silence = np.zeros(-(-self._rate // SAMPLE_RATE) + 1, np.float32)
        return self._cut(self._stream.resample_chunk(silence, last=True))

    def _cut(self, samples: np.ndarray) -> np.ndarray:
        samples = samples[: -(-self._taken * SAMPLE_RATE // self._rate) - self._given]
        self._given += len(samples)
        return samples


class PolyphaseBlocks:
    """`resample` in blocks: a product of rows of samples with the filter's phases.

    With the target and the source rate as up / down in lowest terms, a row of some runs of `down`
    samples, and of the filter's reach on both sides, gives as many runs of `up` samples.

    Args:
        source_rate: in Hz, not `SAMPLE_RATE`.
    """

    def __init__(self, source_rate: int):
        divisor = math.gcd(source_rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // divisor, source_rate // divisor
        self._matrix, self._reach, self._runs = _row_matrix(self._up, self._down)
        self._held = np.zeros(self._reach, np.float32)
        self._taken = self._given = 0

    def add(self, block: np.ndarray) -> np.ndarray:
        self._taken += len(block)
        self._held = np.concatenate([self._held, block])
        return self._give((len(self._held) - 2 * self._reach) // (self._runs * self._down))

    def end(self) -> np.ndarray:
        left = -(-self._taken * self._up // self._down) - self._given
        rows = -(-left // (self._runs * self._up))
        missing = rows * self._runs * self._down + 2 * self._reach - len(self._held)
        self._held = np.pad(self._held, (0, max(0, missing)))
        return self._give(rows)[:left]

    def _give(self, rows: int) -> np.ndarray:
        if rows <= 0:
            return np.zeros(0, np.float32)
        step = self._runs * self._down
        windows = np.lib.stride_tricks.sliding_window_view(self._held, step + 2 * self._reach)
        # As a copy, since BLAS takes no rows that overlap.
        given = (np.ascontiguousarray(windows[: rows * step : step]) @ self._matrix).ravel()
        self._held = self._held[rows * step :]
        self._given += len(given)
        return given


@functools.lru_cache(maxsize=32)
def _row_matrix(up: int, down: int) -> tuple[np.ndarray, int, int]:
    """The filter's phases for a row, float32 (runs * down + 2 * reach, runs * up), reach, runs."""
    kernel = polyphase_kernel(up, down)
    reach = (len(kernel) - down) // 2
    runs = max(1, round(2 * reach / down))
    matrix = np.zeros((runs * down + 2 * reach, runs * up), np.float32)
    for run in range(runs):
        matrix[run * down : run * down + len(kernel), run * up : (run + 1) * up] = kernel
    return matrix, reach, runs


def resample_in_graph(waveforms, rate):
    """Brings waveforms of a rate that only the graph knows to `SAMPLE_RATE`.

    Args:
        waveforms: float32 (n, samples).
        rate: int32 (), one of `SOURCE_RATES`.
    Returns:
        float32 (n, ceil(samples * SAMPLE_RATE / rate)).
    """
    import tensorflow as tf

    return tf.switch_case(
        tf.argmax(tf.equal(rate, SOURCE_RATES), output_type=tf.int32),
        [lambda rate=rate: resample(waveforms, rate, SAMPLE_RATE) for rate in SOURCE_RATES],
    )


def resample(waveforms, source_rate: int, target_rate: int):
    """Changes the sample rate without delay, in core operations.

    With target/source = L/M in lowest terms, each run of M input samples gives L output samples,
    each by its own phase of one low-pass filter: a convolution of stride M with L output channels.

    Args:
        waveforms: float32 (n, samples).
        source_rate, target_rate: in Hz.
    Returns:
        float32 (n, ceil(samples * L / M)).
    Reference:
        Smith (1984), "A flexible sampling-rate conversion method"; the layout of the kernel is that
        of torchaudio.functional.resample.
    """
    import tensorflow as tf

    if source_rate == target_rate:
        return waveforms
    divisor = math.gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    kernel = polyphase_kernel(up, down)  # (width, up)
    reach = (len(kernel) - down) // 2
    n, samples = tf.unstack(tf.shape(waveforms))
    length = -(-samples * up // down)
    blocks = -(-length // up)
    # The last block needs input up to blocks * down + reach.
    padded = tf.pad(waveforms, [[0, 0], [reach, blocks * down + reach - samples]])
    phases = tf.nn.conv1d(padded[:, :, None], kernel[:, None, :], stride=down, padding="VALID")
    return tf.reshape(phases, [n, blocks * up])[:, :length]


@functools.lru_cache(maxsize=32)
def polyphase_kernel(up: int, down: int) -> np.ndarray:
    """The filter's taps for each output phase.

    Row k of column p is the low-pass impulse response at k - reach - p * down / up input samples: a
    sinc under a Kaiser window whose length follows from the transition band and `STOPBAND_DB`.

    Args:
        up, down: the ratio in lowest terms.
    Returns:
        float32 (2 * reach + down, up).
    """
    from scipy.signal import kaiser_beta, kaiserord

    low = min(1.0, up / down)  # the lower rate, in units of the input rate
    taps, _ = kaiserord(STOPBAND_DB, (0.5 - PASSBAND) * low * 2)
    reach = math.ceil(taps / 2)
    cutoff = (0.5 + PASSBAND) / 2 * low
    times = np.arange(2 * reach + down)[:, None] - reach - np.arange(up)[None, :] * down / up
    inside = np.clip(1 - (times / reach) ** 2, 0, None)
    beta = kaiser_beta(STOPBAND_DB)
    window = np.where(np.abs(times) < reach, np.i0(beta * np.sqrt(inside)) / np.i0(beta), 0.0)
    return (2 * cutoff * np.sinc(2 * cutoff * times) * window).astype(np.float32)
