"""WAV files inside the exported graph, in core operations: every PCM width and float.

The twin of `wav`, with the same rules; files that were joined, and RF64, are left to it.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfpipeline.data.audio import STEPS
from tfpipeline.data.audio.wav import EXTENSIBLE, FLOAT, MOST_CHUNKS, PCM, SLACK, STREAMED

NO_PROBLEM, NOT_RIFF, NOT_WHOLE, UNKNOWN_SAMPLES, EMPTY_FORMAT, TRUNCATED, JOINED = range(7)
PROBLEMS = (
    "",
    "it is not a RIFF WAVE file",
    "it has no whole fmt and data chunk",
    "its samples must be PCM of 8, 16, 24 or 32 bits, or float",
    "its header says 0 channels or 0 Hz",
    "it is truncated: it promises more samples than it holds",
    "it is several files, one behind the other",
)
FLOAT_KINDS = (5, 6)


class WavHeader(NamedTuple):
    """What a WAV file says of itself, each a scalar tensor.

    Attributes:
        problem: int32, an index into `PROBLEMS`.
        kind: int64, of the samples, an index of the decoders from 1 on.
        channels, rate, bits: int64; the rate in Hz.
        data_at: int64, where the samples begin, in bytes.
        frames: int64, how many samples a channel there are.
    """

    problem: tf.Tensor
    kind: tf.Tensor
    channels: tf.Tensor
    rate: tf.Tensor
    bits: tf.Tensor
    data_at: tf.Tensor
    frames: tf.Tensor


def on_grid(samples: tf.Tensor) -> tf.Tensor:
    """`decode.on_grid` in core operations."""
    steps = tf.round(samples * STEPS)
    return tf.clip_by_value(steps, -STEPS, STEPS - 1) / STEPS


def decode_wav(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a RIFF WAVE file.

    PCM of 8, 16, 24 and 32 bits, IEEE float of 32 and 64; WAVE_FORMAT_EXTENSIBLE; any number of
    channels; chunks in any order and of odd sizes. `tf.audio.decode_wav` reads 16-bit PCM alone.

    Args:
        contents: string (), the file's bytes.
    Returns:
        float32 (samples, channels), integers scaled to [-1, 1) as libsndfile does, and int32 (),
        the sample rate in Hz.
    Raises:
        tf.errors.InvalidArgumentError: what about the file is wrong.
    Reference:
        Microsoft and IBM (1991), "Multimedia programming interface and data specifications 1.0".
    """
    header = read_wav_header(contents)
    message = tf.gather(PROBLEMS, header.problem)
    with tf.control_dependencies([tf.debugging.Assert(header.problem == NO_PROBLEM, [message])]):
        samples = tf.identity(read_wav_samples(contents, header))
    return samples, tf.cast(header.rate, tf.int32)


def read_wav_header(contents: tf.Tensor) -> WavHeader:
    """Reads a file's header and never fails: what is wrong stands in `problem`.

    Args:
        contents: string (), any bytes.
    """
    n_bytes = tf.cast(tf.strings.length(contents, unit="BYTE"), tf.int64)
    riff = tf.strings.regex_full_match(
        tf.strings.substr(tf.strings.join([contents, b"\0" * 12]), 0, 12), r"RIFF\C{4}WAVE"
    )
    nothing = tf.zeros([], tf.int64)
    whole, kind, channels, rate, bits, data_at, promised, size, joined = tf.cond(
        riff,
        lambda: _read_chunks(contents),
        lambda: (tf.constant(False), *[nothing] * 7, tf.constant(False)),
    )
    frames = size // tf.maximum(channels * bits // 8, 1)
    problem = tf.constant(NO_PROBLEM)
    # The first that holds is told, so the last comes first here.
    for holds, number in (
        (joined, JOINED),
        ((promised > n_bytes - data_at + SLACK) & (promised < STREAMED), TRUNCATED),
        ((channels < 1) | (rate < 1) | (rate >= 2**31), EMPTY_FORMAT),
        (kind < 1, UNKNOWN_SAMPLES),
        (~whole, NOT_WHOLE),
        (~riff, NOT_RIFF),
    ):
        problem = tf.where(holds, number, problem)
    return WavHeader(problem, kind, channels, rate, bits, data_at, frames)


def read_wav_samples(contents: tf.Tensor, header: WavHeader) -> tf.Tensor:
    """The samples of a file, float32 (samples, channels); none where there is a problem."""
    size = header.frames * (header.channels * header.bits // 8)
    usable = header.problem == NO_PROBLEM
    data = tf.cond(
        usable, lambda: tf.strings.substr(contents, header.data_at, size), lambda: tf.constant(b"")
    )
    decoders = [_decode_8, _decode_16, _decode_24, _decode_32, _decode_float, _decode_double]
    samples = tf.switch_case(
        tf.cast(tf.maximum(header.kind, 1), tf.int32) - 1,
        [lambda decode=decode: decode(data) for decode in decoders],
    )
    channels = tf.where(usable, header.channels, 1)
    return tf.reshape(samples, tf.stack([-1, channels]))  # (samples, channels)


def _read_chunks(contents: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """What a RIFF file's chunks say.

    Whole (bool), kind (0 unknown), channels, rate, bits, place of the samples, how many bytes of
    them are promised and how many there are, and whether another file follows (bool).
    """
    raw = tf.io.decode_raw(contents, tf.uint8)
    n_bytes = tf.shape(raw, tf.int64)[0]
    format_at, format_size, data_at, data_size = _find_chunks(contents, raw, n_bytes)
    whole = tf.logical_and(format_size >= 16, data_at > 0)
    tag = _number(raw, format_at, 2)
    channels = _number(raw, format_at + 2, 2)
    rate = _number(raw, format_at + 4, 4)
    bits = _number(raw, format_at + 14, 2)
    extensible = tf.logical_and(tf.equal(tag, EXTENSIBLE), format_size >= 26)
    tag = tf.where(extensible, _number(raw, format_at + 24, 2), tag)
    kind = tf.argmax(
        tf.stack(
            [
                tf.logical_and(tf.equal(tag, known), tf.equal(bits, width))
                for known, width in (
                    (0, 0),
                    (PCM, 8),
                    (PCM, 16),
                    (PCM, 24),
                    (PCM, 32),
                    (FLOAT, 32),
                    (FLOAT, 64),
                )
            ]
        )
    )
    size = _data_size(raw, data_at, data_size, n_bytes)
    end, behind = data_at + size + size % 2, 8 + _number(raw, 4, 4)
    joined = tf.equal(_name(contents, end), "RIFF") | (
        (behind > end) & tf.equal(_name(contents, behind), "RIFF")
    )
    return whole, kind, channels, rate, bits, data_at, data_size, size, joined


def _data_size(raw: tf.Tensor, at: tf.Tensor, promised: tf.Tensor, n_bytes: tf.Tensor):
    """Bytes of samples: `wav.data_size`."""
    there = n_bytes - at
    name = raw[at : at + 4]
    chunk = (
        (there >= 8)
        & tf.reduce_all((name >= 32) & (name < 127))
        & (8 + _number(raw, at + 4, 4) <= there + 1)
    )
    unknown = tf.where(chunk, tf.zeros([], tf.int64), there)
    return tf.where(tf.equal(promised, 0), unknown, tf.minimum(promised, there))


def _name(contents: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Four bytes from a place on; fewer at the end."""
    n_bytes = tf.strings.length(contents, unit="BYTE")
    at = tf.minimum(at, tf.cast(n_bytes, tf.int64))
    return tf.strings.substr(contents, tf.cast(at, tf.int32), 4)


def _find_chunks(contents: tf.Tensor, raw: tf.Tensor, n_bytes: tf.Tensor) -> tuple:
    """Place and size of the fmt chunk and of the data chunk, int64; place 0 if there is none."""

    def more(at, format_at, format_size, data_at, data_size):
        return tf.logical_and(tf.equal(data_at, 0), at + 8 <= n_bytes)

    def step(at, format_at, format_size, data_at, data_size):
        name = tf.strings.substr(contents, at, 4)
        size = _number(raw, at + 4, 4)
        there = tf.minimum(size, n_bytes - at - 8)
        is_format, is_data = tf.equal(name, "fmt "), tf.equal(name, "data")
        return (
            at + 8 + size + size % 2,  # chunks are padded to even sizes
            tf.where(is_format, at + 8, format_at),
            tf.where(is_format, there, format_size),
            tf.where(is_data, at + 8, data_at),
            tf.where(is_data, size, data_size),
        )

    nothing = tf.constant(0, tf.int64)
    start = (tf.constant(12, tf.int64), nothing, nothing, nothing, nothing)
    return tf.while_loop(more, step, start, maximum_iterations=MOST_CHUNKS)[1:]


def _number(raw: tf.Tensor, at: tf.Tensor, width: int) -> tf.Tensor:
    """The unsigned little-endian integer of `width` bytes at a place, int64; 0 past the end."""
    field = tf.cast(raw[at : at + width], tf.int64)
    field = tf.pad(field, [[0, width - tf.shape(field)[0]]])
    return tf.reduce_sum(field * tf.constant([256**i for i in range(width)], tf.int64))


def _decode_8(data: tf.Tensor) -> tf.Tensor:
    return (tf.cast(tf.io.decode_raw(data, tf.uint8), tf.float32) - 128) / 128


def _decode_16(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.int16), tf.float32) / 2**15


def _decode_24(data: tf.Tensor) -> tf.Tensor:
    raw = tf.cast(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), tf.int32)
    unsigned = raw[:, 0] + raw[:, 1] * 2**8 + raw[:, 2] * 2**16
    signed = unsigned - tf.where(raw[:, 2] >= 128, 2**24, 0)
    return tf.cast(signed, tf.float32) / 2**23


def _decode_32(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.int32), tf.float32) / 2**31


def _decode_float(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_raw(data, tf.float32)


def _decode_double(data: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(data, tf.float64), tf.float32)
