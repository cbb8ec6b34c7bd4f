"""The audio formats that are decoded inside the graph: WAV, FLAC, MP3 and Ogg Vorbis.

WAV is decoded by core operations, the others by those of tensorflow-io. `sniff` tells from the
bytes which it is, and is strict: what it does not fully know is left to `data.foreign`.
"""

from __future__ import annotations

import tensorflow as tf

from tfpipeline.data.wav import decode_wav, read_wav_format

FOREIGN, WAV, FLAC, MP3, VORBIS = range(5)
# By the two version bits of an MPEG frame: 2.5, reserved, 2, 1; and by its two rate bits.
MPEG_RATES = [
    [11_025, 12_000, 8_000, 0], [0, 0, 0, 0], [22_050, 24_000, 16_000, 0],
    [44_100, 48_000, 32_000, 0],
]  # fmt: skip
HEAD = 64


def sniff(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Tells format and sample rate from a file's bytes.

    Args:
        contents: string (), the file's bytes.
    Returns:
        int32 (), one of `WAV`, `FLAC`, `MP3`, `VORBIS`, or `FOREIGN` if it is none that the graph
        decodes in full, and int32 (), the rate in Hz, 0 for `FOREIGN`.
    """
    head = _from(contents, 0, HEAD)
    is_wav, wav_rate = tf.cond(
        tf.strings.regex_full_match(_from(contents, 0, 12), r"RIFF\C{4}WAVE"),
        lambda: read_wav_format(contents),
        lambda: (tf.constant(False), tf.constant(0)),
    )
    octets = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)  # (HEAD,)
    flac_rate, bits, promised = _streaminfo(octets)
    # tensorflow-io's op knows two widths, and no stream whose length was unknown to its writer.
    is_flac = (
        tf.equal(tf.strings.substr(head, 0, 4), "fLaC")
        & tf.reduce_any(tf.equal(bits, [16, 24]))
        & (promised > 0)
    )
    is_vorbis = tf.cond(
        tf.equal(tf.strings.substr(head, 0, 4), "OggS")
        & tf.equal(tf.strings.substr(head, 28, 7), "\x01vorbis"),
        lambda: tf.equal(_count_ogg_streams(contents), 1),
        lambda: tf.constant(False),
    )
    vorbis_rate = tf.reduce_sum(octets[40:44] * [1, 2**8, 2**16, 2**24])
    mp3_rate = _mpeg_layer3_rate(contents, octets)
    kind, rate = tf.constant(FOREIGN), tf.constant(0)
    for is_it, its_kind, its_rate in (
        (mp3_rate > 0, MP3, mp3_rate), (is_vorbis, VORBIS, vorbis_rate),
        (is_flac, FLAC, flac_rate), (is_wav, WAV, wav_rate),
    ):  # fmt: skip
        kind = tf.where(is_it, its_kind, kind)
        rate = tf.where(is_it, tf.cast(its_rate, tf.int32), rate)
    return kind, rate


def decode_contents(contents: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Decodes what `sniff` knows.

    A truncated WAV or FLAC file fails, and so does an MP3 file whose first frame (Xing, Info)
    promises more. Of other MP3 files and of Ogg Vorbis, which are streams, what there is comes
    out.

    Args:
        contents: string (), the file's bytes.
        kind: int32 (), as `sniff` says; not `FOREIGN`.
    Returns:
        float32 (samples, channels) at the file's own rate.
    Raises:
        tf.errors.OpError: the file is damaged.
    """
    import tensorflow_io as tfio  # takes a second to load

    waveform = tf.switch_case(
        kind - 1,
        [
            lambda: decode_wav(contents, strict=True)[0],
            lambda: _decode_flac(contents),
            lambda: tfio.audio.decode_mp3(contents),
            lambda: tfio.audio.decode_vorbis(contents),
        ],
    )
    return tf.ensure_shape(waveform, [None, None])


def _decode_flac(contents: tf.Tensor) -> tf.Tensor:
    """Decodes FLAC of 16 or 24 bits by tensorflow-io's op, which wants to be told which."""
    import tensorflow_io as tfio

    octets = tf.cast(tf.io.decode_raw(_from(contents, 0, HEAD), tf.uint8), tf.int64)
    _, bits, promised = _streaminfo(octets)
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
        return tf.identity(waveform)


def _streaminfo(octets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Rate in Hz, bits a sample and number of samples that a FLAC file's head says, int64."""
    # STREAMINFO from byte 8 on; from byte 18: 20 bits rate, 3 channels - 1, 5 bits - 1, 36 n
    rate = octets[18] * 2**12 + octets[19] * 2**4 + octets[20] // 2**4
    bits = octets[20] % 2 * 2**4 + octets[21] // 2**4 + 1
    powers = tf.constant([2**32, 2**24, 2**16, 2**8, 1], tf.int64)
    return rate, bits, tf.reduce_sum((octets[21:26] % [16, 256, 256, 256, 256]) * powers)


def _count_ogg_streams(contents: tf.Tensor) -> tf.Tensor:
    """How many pages say that a stream begins, int64 ().

    tensorflow-io's op takes a second stream to have as many channels as the first, and brings the
    process down (segmentation fault) where it has fewer.
    """
    octets = tf.io.decode_raw(tf.strings.join([contents, b"\0" * 5]), tf.uint8)
    size = tf.size(octets) - 5
    begins = tf.not_equal(octets[5:] // 2 % 2, 0)  # the second bit of the flags, five bytes on
    for place, letter in enumerate(b"OggS"):
        begins &= tf.equal(octets[place : place + size], letter)
    return tf.math.count_nonzero(begins)


def _mpeg_layer3_rate(contents: tf.Tensor, octets: tf.Tensor) -> tf.Tensor:
    """The rate of MP3 whose first frame follows at once, or an ID3v2 tag; else 0."""
    # ID3v2: its size from byte 6 on, in four times seven bits, without its own ten bytes.
    tag = tf.reduce_sum(octets[6:10] % 128 * [2**21, 2**14, 2**7, 1]) + 10
    tagged = tf.equal(_from(contents, 0, 3), "ID3")
    at = tf.where(tagged, tag, tf.constant(0, tf.int64))
    frame = tf.cast(tf.io.decode_raw(_from(contents, at, 4), tf.uint8), tf.int32)
    # 11 bits sync, 2 version, 2 layer (1 is III), 1; 4 bit rate (0 is free, 15 bad), 2 sample rate
    is_frame = (
        tf.equal(frame[0], 255)
        & (frame[1] >= 224)
        & tf.equal(frame[1] // 2 % 4, 1)
        & (frame[2] // 16 > 0)
        & (frame[2] // 16 < 15)
    )
    rate = tf.gather_nd(MPEG_RATES, tf.stack([frame[1] // 8 % 4, frame[2] // 4 % 4]))
    return tf.where(is_frame, rate, 0)


def _from(contents: tf.Tensor, at: tf.Tensor | int, length: int) -> tf.Tensor:
    """So many bytes from a place on, zeros past the end."""
    size = tf.strings.length(contents, unit="BYTE")
    taken = tf.strings.substr(contents, tf.minimum(tf.cast(at, tf.int32), size), length)
    return tf.strings.substr(tf.strings.join([taken, b"\0" * length]), 0, length)
