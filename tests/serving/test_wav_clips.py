"""WAV files in the exported graph against `data.audio.decode`: one waveform, one verdict."""

import io

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf
from made import chunk, pcm_of, wav

from tfpipeline.data.audio import SOURCE_RATES
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.decode import decode
from tfpipeline.serving.clip_batch import judge_sound
from tfpipeline.serving.status import NOT_AUDIO, OK, SILENT, TOO_SHORT, UNSUPPORTED_FORMAT
from tfpipeline.serving.wav_clips import decode_wav_clips


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
def _decode(audio):
    return decode_wav_clips(audio)


def written(samples, rate=16_000, subtype="PCM_16", form="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def in_graph(contents):
    """Waveforms of the channels and the status of one file."""
    clips = judge_sound(_decode(tf.constant([contents])))
    starts, lengths = clips.starts.numpy(), clips.lengths.numpy()
    rows = [clips.samples.numpy()[s : s + n] for s, n in zip(starts, lengths, strict=True)]
    return rows, clips.status.numpy().tolist()


def assert_same(contents):
    rows, statuses = in_graph(contents)
    decoded = decode(contents)
    assert set(statuses) == {OK}
    expected = decoded.waveform.reshape(len(decoded.channels), -1)
    assert [len(row) for row in rows] == [len(row) for row in expected]
    for row, other in zip(rows, expected, strict=True):
        # A rounding of float32 may turn a sample to the next of 16 bits.
        assert np.abs(row - other).max() <= 1.01 * 2**-15
        assert np.mean(row != other) < 0.01


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", ["one", "alike", "apart", "opposite", "one silent", "mixed"])
def test_samples_and_channels(form, subtype, channels, speech):
    one, other = 0.5 * speech[0], 0.5 * speech[1]
    sound = {
        "one": [one],
        "alike": [one, 0.7 * one],
        "apart": [one, other],
        "opposite": [one, -one],
        "one silent": [0 * one, one],
        "mixed": [one, other, -0.8 * one, 0 * one],
    }[channels]
    assert_same(written(np.stack(sound, axis=1), 16_000, subtype, form))


@pytest.mark.parametrize("rate", SOURCE_RATES)
def test_rates(rate, speech):
    assert_same(written(soxr.resample(0.5 * speech[:2].T, 16_000, rate), rate))


@pytest.mark.parametrize("scale", [1.7, 2.0**15, 2.0**31])
def test_float_samples_beyond_full_scale(scale, speech):
    loud = speech[0] / np.abs(speech[0]).max()
    assert_same(written((scale * loud).astype(np.float32), subtype="FLOAT"))


@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [(0x7FFFFFFF, 0x7FFFFFFF), (0, 0), (0xFFFFFFFF, 0xFFFFFFDB), (None, 128_008), (128_044, None)],
)
def test_sizes_that_lie(riff_size, data_size, speech):
    assert_same(wav(pcm_of(speech[0]), riff_size, data_size))


@pytest.mark.parametrize(
    ("make", "status", "message"),
    [
        (lambda x: wav(b"", behind=chunk(b"LIST", b"INFOINAM" + b"a" * 400)), TOO_SHORT, "no samp"),
        (lambda x: wav(pcm_of(x), data_size=140_000), NOT_AUDIO, "truncated"),
        (lambda x: written(np.r_[x, 1e30], subtype="FLOAT"), NOT_AUDIO, "damaged"),
        (lambda x: written(np.r_[x, 700.0], subtype="FLOAT"), NOT_AUDIO, "damaged"),
        (lambda x: written(np.r_[x, np.nan], subtype="FLOAT"), NOT_AUDIO, "NaN"),
        (lambda x: written(0 * x), SILENT, "silent"),
        (lambda x: written(x[:700]), TOO_SHORT, "too short"),
        (lambda x: b"text", NOT_AUDIO, "no audio"),
    ],
)
def test_what_one_refuses_so_does_the_other(make, status, message, speech):
    contents = make(speech[0])
    assert in_graph(contents)[1] == [status]
    with pytest.raises(UnusableError, match=message):
        decode(contents)


def test_what_the_graph_leaves_to_the_client(speech):
    one = written(speech[0])
    for contents in (
        one + one,
        written(speech[0], form="RF64"),
        written(speech[0], subtype="ULAW"),
    ):
        assert in_graph(contents)[1] == [UNSUPPORTED_FORMAT]
        assert len(decode(contents).waveform) >= 64_000
