import io
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tfpipeline.data.audio.wav_graph import decode_wav

WIDTHS = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]


def wav_bytes(samples, subtype="PCM_16", form="WAV", rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=form)
    return file.getvalue()


def decode(contents):
    waveform, rate = decode_wav(tf.constant(contents))
    return waveform.numpy(), int(rate)


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FORMAT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16))


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", WIDTHS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_equals_soundfile(form, subtype, channels, speech):
    samples = speech[:channels, :1001].T
    contents = wav_bytes(samples, subtype, form, rate=22_050)
    expected, _ = soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)
    received, rate = decode(contents)
    assert rate == 22_050
    np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_very_few_samples(samples, speech):
    received, _ = decode(wav_bytes(speech[0, 8000 : 8000 + samples]))
    assert received.shape == (samples, 1)


def test_other_chunks_are_passed_over(speech):
    pcm = (speech[0, 8000:8100] * 2**15).astype("<i2").tobytes()
    contents = riff(
        chunk(b"JUNK", b"\0" * 27),
        chunk(b"bext", b"x" * 602),
        FORMAT,
        chunk(b"LIST", b"INFOodd"),
        chunk(b"data", pcm),
        chunk(b"LIST", b"after"),
    )
    received, rate = decode(contents)
    assert rate == 16_000
    np.testing.assert_array_equal(received[:, 0], np.frombuffer(pcm, "<i2") / np.float32(2**15))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 208, 264])
def test_sizes_that_streaming_writers_leave(size, speech):
    pcm = (speech[0, 8000:8100] * 2**15).astype("<i2").tobytes()
    contents = riff(FORMAT) + b"data" + struct.pack("<I", size) + pcm
    assert len(decode(contents)[0]) == 100


def test_truncation_is_an_error_where_it_matters(speech):
    contents = wav_bytes(speech[0, :1000])
    assert len(decode(contents[:-64])[0]) == 968
    with pytest.raises(tf.errors.InvalidArgumentError, match="promises more samples than it holds"):
        decode(contents[:-65])


def test_joined_files_are_told(speech):
    contents = wav_bytes(speech[0, :1000])
    for behind in (b"", chunk(b"LIST", b"INFO")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="several files"):
            decode(riff(contents[12:], behind) + contents)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "not a RIFF WAVE file"),
        (b"RIFF", "not a RIFF WAVE file"),
        (b"hello, this is a text that is named .wav", "not a RIFF WAVE file"),
        (riff(), "no whole fmt and data chunk"),
        (riff(FORMAT), "no whole fmt and data chunk"),
        (riff(chunk(b"data", b"1234")), "no whole fmt and data chunk"),
        (riff(FORMAT[:20], b"data"), "no whole fmt and data chunk"),
        (
            riff(
                chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 0, 2, 12)), chunk(b"data", b"")
            ),
            "samples must be PCM",
        ),
        (
            riff(
                chunk(b"fmt ", struct.pack("<HHIIHH", 85, 1, 16_000, 0, 2, 16)), chunk(b"data", b"")
            ),
            "samples must be PCM",
        ),
        (
            riff(
                chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 16_000, 0, 2, 16)), chunk(b"data", b"")
            ),
            "0 channels or 0 Hz",
        ),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), chunk(b"data", b"")),
            "0 channels or 0 Hz",
        ),
    ],
)
def test_what_is_not_wav_says_why(contents, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode(contents)


def test_an_endless_run_of_chunks_ends():
    with pytest.raises(tf.errors.InvalidArgumentError, match="no whole fmt and data chunk"):
        decode(riff(*[chunk(b"JUNK", b"")] * 5000, FORMAT, chunk(b"data", b"12")))


def test_works_compiled_and_in_a_parallel_map(speech):
    files = [wav_bytes(row[:5000], subtype) for row, subtype in zip(speech, WIDTHS, strict=True)]
    dataset = tf.data.Dataset.from_tensor_slices(files).map(decode_wav, num_parallel_calls=2)
    for (received, _), contents in zip(dataset, files, strict=True):
        np.testing.assert_array_equal(received, decode(contents)[0])
