"""Recordings become waveforms: 16 kHz mono float32 in [-1, 1].

`decode` works inside the graph, on WAV and FLAC, told apart by their first bytes and not by their
names. `read_clip` is its twin for one file and a person: each failure is one line that names the
file and the mend.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.data.resample import resample
from tfpipeline.data.wav import decode_wav

SAMPLE_RATE = 16_000
SOURCE_RATES = (
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000,
    176_400, 192_000,
)  # fmt: skip
MIN_SECONDS = 0.05
SILENCE_DBFS = -80.0


def decode(path: tf.Tensor) -> tf.Tensor:
    """Reads, decodes, mixes down and resamples one file, inside the graph.

    Args:
        path: string (), a WAV or FLAC file of one of `SOURCE_RATES`.
    Returns:
        float32 (samples,) at `SAMPLE_RATE`; channels are averaged.
    Raises:
        tf.errors.OpError: the file cannot be read or decoded.
    """
    contents = tf.io.read_file(path)
    is_flac = tf.equal(tf.strings.substr(contents, 0, 4), "fLaC")
    waveform, rate = tf.cond(
        is_flac, lambda: _decode_flac(contents), lambda: decode_wav(contents, strict=True)
    )
    mono = tf.reduce_mean(waveform, axis=1)  # (samples,)
    known = tf.equal(rate, SOURCE_RATES)
    supported = tf.debugging.Assert(
        tf.reduce_any(known), ["its sample rate is none of the usual ones, 8 to 192 kHz:", rate]
    )
    with tf.control_dependencies([supported]):
        branch = tf.argmax(known, output_type=tf.int32)
    resampled = tf.switch_case(
        branch, [lambda rate=rate: resample(mono, rate, SAMPLE_RATE) for rate in SOURCE_RATES]
    )
    return tf.ensure_shape(resampled, [None])


def read_clip(path: str | Path) -> np.ndarray:
    """Reads one file and checks that it can be judged.

    Returns:
        float32 (samples,) at `SAMPLE_RATE`.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be decoded, or `check_waveform` refuses it.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{path}: no such file. Is the path right?")
    if not file.is_file():
        raise ValueError(f"{path}: expected a file. Received: a folder. Name the files in it.")
    if not file.stat().st_size:
        raise ValueError(f"{path}: the file is empty, 0 bytes. Copy or record it again.")
    try:
        waveform = _compiled_decode()(tf.constant(str(path))).numpy()
    except tf.errors.OpError as error:
        raise ValueError(f"{path}: cannot be decoded as WAV or FLAC: {_reason(error)}") from None
    check_waveform(waveform, path)
    return waveform


def check_waveform(waveform: np.ndarray, path: str | Path) -> None:
    """Refuses a waveform in which there is nothing to judge.

    Raises:
        ValueError: it is shorter than `MIN_SECONDS`, holds NaN or infinity, or is silent.
    """
    if len(waveform) < MIN_SECONDS * SAMPLE_RATE:
        raise ValueError(
            f"{path}: too short to judge. Received: {1000 * len(waveform) / SAMPLE_RATE:.0f} ms, "
            f"where at least {1000 * MIN_SECONDS:.0f} ms are needed."
        )
    if not np.isfinite(waveform).all():
        raise ValueError(f"{path}: holds NaN or infinite samples. Write the file again.")
    peak = float(np.abs(waveform).max())
    if peak < 10 ** (SILENCE_DBFS / 20):
        raise ValueError(
            f"{path}: silent. Received: a peak of {20 * np.log10(max(peak, 1e-10)):.0f} dBFS, "
            f"below {SILENCE_DBFS:.0f}. Is it the right channel or file?"
        )


def _decode_flac(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes FLAC of 16 or 24 bits by tensorflow-io's op, which wants to be told which."""
    import tensorflow_io as tfio  # takes a second to load, and WAV does without it

    header = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, 42), tf.uint8), tf.int64)
    whole = tf.debugging.Assert(tf.size(header) >= 42, ["it is truncated within its header"])
    with tf.control_dependencies([whole]):
        # STREAMINFO from byte 8 on; from byte 18: 20 bits rate, 3 channels - 1, 5 bits - 1, 36 n
        rate = header[18] * 2**12 + header[19] * 2**4 + header[20] // 2**4
        bits = header[20] % 2 * 2**4 + header[21] // 2**4 + 1
        powers = tf.constant([2**32, 2**24, 2**16, 2**8, 1], tf.int64)
        promised = tf.reduce_sum((header[21:26] % [16, 256, 256, 256, 256]) * powers)
    usual = tf.debugging.Assert(
        tf.reduce_any(tf.equal(bits, [16, 24])), ["its samples must have 16 or 24 bits, not", bits]
    )
    with tf.control_dependencies([usual]):
        waveform = tf.cond(
            tf.equal(bits, 16),
            lambda: tf.cast(tfio.audio.decode_flac(contents, dtype=tf.int16), tf.float32) / 2**15,
            lambda: tf.cast(tfio.audio.decode_flac(contents, dtype=tf.int32), tf.float32) / 2**31,
        )
    decoded = tf.shape(waveform, tf.int64)[0]
    complete = tf.debugging.Assert(
        decoded >= promised, ["it is truncated:", decoded, "of", promised, "samples"]
    )
    with tf.control_dependencies([complete]):
        return tf.identity(waveform), tf.cast(rate, tf.int32)


@functools.cache
def _compiled_decode():
    return tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])


def _reason(error: tf.errors.OpError) -> str:
    """What an error inside the graph says, without the graph."""
    said = re.search(r"assertion failed: (.*)", error.message)
    if said:
        return said[1].replace("[", "").replace("]", "").split("\n")[0].strip() + "."
    return error.message.split("\n")[0].split(" for '")[0].strip()[:200] + "."
