"""Recordings become waveforms: 16 kHz mono float32 in [-1, 1].

`decode` works in a tf.data map, inside the graph for the usual formats and through libsndfile or
ffmpeg for the rest. `read_clip` is its twin for one file and a person: each failure is one line
that names the file and the mend.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.data.foreign import decode_foreign
from tfpipeline.data.formats import FOREIGN, decode_contents, sniff
from tfpipeline.data.resample import resample

SAMPLE_RATE = 16_000
SOURCE_RATES = (
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000,
    176_400, 192_000,
)  # fmt: skip
MIN_SECONDS = 0.05
SILENCE_DBFS = -80.0
# Integers of 32 bits that nobody scaled reach it. No recording is louder: such samples are bytes
# that were no floats, and from 1e18 on their power is infinite in float32.
LOUDEST = 2.0**31


def decode(path: tf.Tensor) -> tf.Tensor:
    """Reads, decodes, mixes down and resamples one file, inside the graph where it can.

    The first bytes tell the format, never the name. WAV (PCM of 8 to 32 bits, float), FLAC (16 and
    24 bits), MP3 and Ogg Vorbis at one of `SOURCE_RATES` stay in the graph; all else, such as Opus,
    m4a, A-law, or a rate of 37,800 Hz, goes through `decode_foreign` in Python.

    A truncated WAV, FLAC, AIFF or m4a file fails, and so does MP3 whose first frame tells its
    length. Of other streams (MP3, Ogg, ADTS AAC) what there is comes out.

    Args:
        path: string (), an audio file.
    Returns:
        float32 (samples,) at `SAMPLE_RATE`; channels are averaged.
    Raises:
        tf.errors.OpError: the file cannot be read or decoded.
    """
    contents = tf.io.read_file(path)
    kind, rate = sniff(contents)

    def in_graph() -> tf.Tensor:
        mono = tf.reduce_mean(decode_contents(contents, kind), axis=1)  # (samples,)
        return resample_from(mono, rate)

    def in_python() -> tf.Tensor:
        return tf.numpy_function(_decode_foreign, [path], tf.float32)

    waveform = tf.cond(tf.not_equal(kind, FOREIGN) & is_source_rate(rate), in_graph, in_python)
    return tf.ensure_shape(waveform, [None])


def is_source_rate(rate: tf.Tensor) -> tf.Tensor:
    """Whether the graph resamples from a rate, int32 () in Hz: bool ()."""
    return tf.reduce_any(tf.equal(rate, SOURCE_RATES))


def resample_from(mono: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Brings a waveform of a rate that only the graph knows to `SAMPLE_RATE`.

    Args:
        mono: float32 (samples,).
        rate: int32 (), one of `SOURCE_RATES`.
    Returns:
        float32 (ceil(samples * SAMPLE_RATE / rate),).
    """
    return tf.switch_case(
        tf.argmax(tf.equal(rate, SOURCE_RATES), output_type=tf.int32),
        [lambda rate=rate: resample(mono, rate, SAMPLE_RATE) for rate in SOURCE_RATES],
    )


class UnusableError(ValueError):
    """A file that cannot be judged.

    Attributes:
        kind: why, in a word or two that programs can rely on: `not audio`, `empty`, `too short`,
            `too long`, `silent`, `not finite`.
    """

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


def read_clip(path: str | Path, name: str | None = None) -> np.ndarray:
    """Reads one file and checks that it can be judged.

    Args:
        path: of the file.
        name: for messages; default: the path.
    Returns:
        float32 (samples,) at `SAMPLE_RATE`.
    Raises:
        FileNotFoundError: there is no such file.
        UnusableError: it cannot be decoded, or `check_waveform` refuses it.
    """
    name = str(path) if name is None else name
    check_file(path, name)
    try:
        waveform = _compiled_decode()(tf.constant(os.fsencode(path))).numpy()
    except tf.errors.OpError as error:
        raise UnusableError(f"{name}: cannot be decoded: {_reason(error)}", "not audio") from None
    check_waveform(waveform, name)
    return waveform


def check_file(path: str | Path, name: str | Path) -> None:
    """Refuses what is no file, or an empty one; `name` is for the message."""
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{name}: no such file. Is the path right?")
    if not file.is_file():
        raise UnusableError(
            f"{name}: expected a file. Received: a folder. Name the files in it.", "not audio"
        )
    if not file.stat().st_size:
        raise UnusableError(
            f"{name}: the file is empty, 0 bytes. Copy or record it again.", "empty"
        )


def check_waveform(waveform: np.ndarray, path: str | Path) -> None:
    """Refuses a waveform in which there is nothing to judge, as `check_levels`."""
    check_levels(len(waveform), float(np.abs(waveform).max(initial=0)), path)


def check_levels(samples: int, peak: float, path: str | Path) -> None:
    """Refuses a waveform, by its length and its peak, in which there is nothing to judge.

    Args:
        samples: at `SAMPLE_RATE`.
        peak: the largest absolute value; NaN or infinite if any sample is.
        path: for the message.
    Raises:
        UnusableError: it is shorter than `MIN_SECONDS`, holds NaN, infinity or a sample beyond
            `LOUDEST`, or is silent.
    """
    if samples < MIN_SECONDS * SAMPLE_RATE:
        raise UnusableError(
            f"{path}: too short to judge. Received: {1000 * samples / SAMPLE_RATE:.0f} ms, "
            f"where at least {1000 * MIN_SECONDS:.0f} ms are needed.", "too short",
        )  # fmt: skip
    if not np.isfinite(peak):
        raise UnusableError(
            f"{path}: holds NaN or infinite samples. Write the file again.", "not finite"
        )
    if peak > LOUDEST:
        raise UnusableError(
            f"{path}: samples must lie in [-1, 1]. Received: one of ±{peak:.3g}, which no "
            "recording holds. Is the file damaged?", "not audio",
        )  # fmt: skip
    if peak < 10 ** (SILENCE_DBFS / 20):
        raise UnusableError(
            f"{path}: silent. Received: a peak of {20 * np.log10(max(peak, 1e-10)):.0f} dBFS, "
            f"below {SILENCE_DBFS:.0f}. Is it the right channel or file?", "silent",
        )  # fmt: skip


def _decode_foreign(path: bytes) -> np.ndarray:
    return decode_foreign(path, SAMPLE_RATE)


@functools.cache
def _compiled_decode():
    return tf.function(decode, input_signature=[tf.TensorSpec([], tf.string)])


def _reason(error: tf.errors.OpError) -> str:
    """What an error inside the graph says, without the graph."""
    said = re.search(r"assertion failed: (.*)", error.message)
    if said:
        return said[1].replace("[", "").replace("]", "").strip() + "."
    said = re.search(r"^(?:\{\{.*\}\} )?\w+Error: (.*)", error.message, re.MULTILINE)
    if said:
        return said[1].strip().rstrip(".") + "."
    plain = re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*", "", error.message)
    lines = [line.strip() for line in plain.splitlines()]
    skip = ("", "Graph execution error:")
    first = next((line for line in lines if line not in skip and "Detected at" not in line), "")
    if isinstance(error, (tf.errors.NotFoundError, tf.errors.PermissionDeniedError)):
        return first[:200] + "."
    return f"it is truncated or damaged ({first[:200]})."
