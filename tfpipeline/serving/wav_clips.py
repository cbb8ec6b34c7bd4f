"""WAV files as bytes become a batch of clips, inside the graph, whatever the bytes are."""

from __future__ import annotations

import tensorflow as tf

from tfpipeline.data.audio import is_source_rate, resample_from
from tfpipeline.data.wav import (
    NO_PROBLEM,
    NOT_RIFF,
    UNKNOWN_SAMPLES,
    WavHeader,
    read_wav_header,
    read_wav_samples,
)
from tfpipeline.serving.ragged import Clips
from tfpipeline.serving.status import NOT_AUDIO, OK, TOO_LONG, UNSUPPORTED_FORMAT

LONGEST_SECONDS = 3600
# Audio that is not WAV: FLAC, Ogg, MP3 (with and without a tag), AIFF, and WAV's larger relatives.
OTHER_AUDIO = r"(fLaC|OggS|ID3|\xFF[\xE2-\xFF]|FORM|RF64|RIFX|riff|\C{4}ftyp)\C*"


def decode_wav_clips(audio: tf.Tensor) -> Clips:
    """Decodes, mixes down and resamples each file by itself.

    Nothing is allocated on the word of a header: what a file promises counts only as far as there
    are bytes. A file that cannot be decoded becomes a clip of no samples.

    Args:
        audio: string (batch,), WAV files.
    Returns:
        Clips at `SAMPLE_RATE`, their `status` `OK` or why there are no samples.
    """
    batch = tf.shape(audio)[0]
    samples = tf.TensorArray(tf.float32, batch, infer_shape=False, element_shape=[None])
    lengths, statuses = (tf.TensorArray(tf.int32, batch, element_shape=[]) for _ in range(2))

    def decode(row, samples, lengths, statuses):
        waveform, status = _decode_one(audio[row])
        return (
            row + 1,
            samples.write(row, waveform),
            lengths.write(row, tf.size(waveform)),
            statuses.write(row, status),
        )

    _, samples, lengths, statuses = tf.while_loop(
        lambda row, *_: row < batch, decode, (0, samples, lengths, statuses)
    )
    lengths = lengths.stack()  # (batch,)
    return Clips(samples.concat(), tf.cumsum(lengths, exclusive=True), lengths, statuses.stack())


def _decode_one(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Waveform, float32 (samples,), and status of one file."""
    header = read_wav_header(contents, strict=True)
    status = _status(contents, header)
    waveform = tf.cond(
        tf.equal(status, OK) & (header.frames > 0),
        lambda: resample_from(
            tf.reduce_mean(read_wav_samples(contents, header), axis=1),
            tf.cast(header.rate, tf.int32),
        ),
        lambda: tf.zeros([0]),
    )
    return tf.ensure_shape(waveform, [None]), status


def _status(contents: tf.Tensor, header: WavHeader) -> tf.Tensor:
    """What a file's header says of it, int32 ()."""
    supported = is_source_rate(tf.cast(tf.minimum(header.rate, tf.int32.max), tf.int32))
    head = tf.strings.substr(tf.strings.join([contents, b"\0" * 8]), 0, 8)
    other = tf.equal(header.problem, NOT_RIFF) & tf.strings.regex_full_match(head, OTHER_AUDIO)
    status = tf.constant(OK)
    for holds, code in (
        (header.frames > LONGEST_SECONDS * header.rate, TOO_LONG),
        (~supported, UNSUPPORTED_FORMAT),
        (header.problem != NO_PROBLEM, NOT_AUDIO),
        ((header.problem == UNKNOWN_SAMPLES) | other, UNSUPPORTED_FORMAT),
    ):
        status = tf.where(holds, code, status)
    return status
