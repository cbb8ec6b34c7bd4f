"""WAV files as bytes become a batch of clips, inside the graph, whatever the bytes are."""

from __future__ import annotations

import tensorflow as tf

from tfpipeline.data.audio import LOUDEST, SOURCE_RATES
from tfpipeline.data.audio.channels import mix_in_graph
from tfpipeline.data.audio.decode import HIGHEST_CREST
from tfpipeline.data.audio.resample import resample_in_graph
from tfpipeline.data.audio.wav_graph import (
    FLOAT_KINDS,
    JOINED,
    NO_PROBLEM,
    NOT_RIFF,
    UNKNOWN_SAMPLES,
    WavHeader,
    on_grid,
    read_wav_header,
    read_wav_samples,
)
from tfpipeline.serving.clip_batch import Clips, row_starts
from tfpipeline.serving.status import NOT_AUDIO, OK, TOO_LONG, UNSUPPORTED_FORMAT

LONGEST_SECONDS = 3600
# Audio that is not WAV: FLAC, Ogg, MP3 (with and without a tag), AIFF, and WAV's larger relatives.
OTHER_AUDIO = r"(fLaC|OggS|ID3|\xFF[\xE2-\xFF]|FORM|RF64|RIFX|riff|\C{4}ftyp)\C*"


def decode_wav_clips(audio: tf.Tensor) -> Clips:
    """Decodes, mixes and resamples each file by itself, as `data.audio.decode` does.

    Nothing is allocated on the word of a header: what a file promises counts only as far as there
    are bytes. A file that cannot be decoded becomes a clip of no samples.

    Args:
        audio: string (batch,), WAV files.
    Returns:
        Clips at `SAMPLE_RATE`, their `status` `OK` or why there are no samples.
    """
    batch = tf.shape(audio)[0]
    samples = tf.TensorArray(tf.float32, batch, infer_shape=False, element_shape=[None])
    channels, lengths, statuses = (
        tf.TensorArray(tf.int32, batch, element_shape=[]) for _ in range(3)
    )

    def decode(row, samples, channels, lengths, statuses):
        waveforms, status = _decode_one(audio[row])
        return (
            row + 1,
            samples.write(row, tf.reshape(waveforms, [-1])),
            channels.write(row, tf.shape(waveforms)[0]),
            lengths.write(row, tf.shape(waveforms)[1]),
            statuses.write(row, status),
        )

    _, samples, channels, lengths, statuses = tf.while_loop(
        lambda row, *_: row < batch, decode, (0, samples, channels, lengths, statuses)
    )
    row = tf.repeat(tf.range(batch), channels.stack())  # (clips,)
    lengths = tf.gather(lengths.stack(), row)
    statuses = tf.gather(statuses.stack(), row)
    return Clips(samples.concat(), row_starts(lengths), lengths, statuses, row, batch)


def _decode_one(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Waveforms of the channels that are judged, float32 (n, samples), and status of one file."""
    header = read_wav_header(contents)
    status = _status(contents, header)
    nothing = tf.zeros([1, 0])

    def decode() -> tuple[tf.Tensor, tf.Tensor]:
        samples = read_wav_samples(contents, header)
        gain, damaged = _scale(samples, header)
        waveforms = resample_in_graph(gain * mix_in_graph(samples), tf.cast(header.rate, tf.int32))
        return (
            tf.cond(damaged, lambda: nothing, lambda: on_grid(waveforms)),
            tf.where(damaged, NOT_AUDIO, status),
        )

    usable = tf.equal(status, OK) & (header.frames > 0)
    waveforms, status = tf.cond(usable, decode, lambda: (nothing, status))
    return tf.ensure_shape(waveforms, [None, None]), status


def _scale(samples: tf.Tensor, header: WavHeader) -> tuple[tf.Tensor, tf.Tensor]:
    """The factor that brings float samples to [-1, 1], and whether one of them is damaged."""
    peak = tf.reduce_max(tf.abs(samples))
    beyond = tf.reduce_any(tf.equal(header.kind, FLOAT_KINDS)) & ~(peak <= 1)  # true of NaN too
    others = tf.reduce_sum(tf.square(samples / peak)) - 1  # without the peak itself
    rms = peak * tf.sqrt(tf.maximum(others, 0) / tf.cast(tf.size(samples), tf.float32))
    damaged = beyond & ~(peak <= tf.minimum(LOUDEST, HIGHEST_CREST * rms))
    return tf.where(beyond, 1 / peak, 1.0), damaged


def _status(contents: tf.Tensor, header: WavHeader) -> tf.Tensor:
    """What a file's header says of it, int32 ()."""
    rate = tf.cast(tf.minimum(header.rate, tf.int32.max), tf.int32)
    supported = tf.reduce_any(tf.equal(rate, SOURCE_RATES))
    head = tf.strings.substr(tf.strings.join([contents, b"\0" * 8]), 0, 8)
    other = tf.equal(header.problem, NOT_RIFF) & tf.strings.regex_full_match(head, OTHER_AUDIO)
    status = tf.constant(OK)
    for holds, code in (
        (header.frames > LONGEST_SECONDS * header.rate, TOO_LONG),
        (~supported, UNSUPPORTED_FORMAT),
        (header.problem != NO_PROBLEM, NOT_AUDIO),
        (
            (header.problem == UNKNOWN_SAMPLES) | (header.problem == JOINED) | other,
            UNSUPPORTED_FORMAT,
        ),
    ):
        status = tf.where(holds, code, status)
    return status
