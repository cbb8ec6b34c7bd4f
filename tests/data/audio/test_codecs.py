"""Real codecs: the sound stays in time, and the bank codes each clip once."""

import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.data import codec_bank as bank_module
from tfpipeline.data.audio import codecs
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.codecs import CODECS, through_codec
from tfpipeline.data.audio.g711 import mu_law
from tfpipeline.data.codec_bank import codec_bank


def delay(one, other):
    """By how many samples `other` comes later."""
    size = 2 * len(one)
    product = np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size))
    place = int(np.argmax(np.fft.irfft(product)))
    return place - size if place > size // 2 else place


@pytest.mark.parametrize("name", ["mp3_32", "aac_64", "opus_32", "vorbis_64", "gsm", "a_law"])
def test_a_codec_keeps_time_length_and_sound(name, speech):
    coded = through_codec(speech[0][:24_001], name)
    assert coded.shape == (24_001,)
    assert coded.dtype == np.float32
    assert abs(delay(speech[0][:24_001], coded)) <= 1
    assert np.corrcoef(speech[0][:24_001], coded)[0, 1] > 0.9


def test_fewer_bits_leave_more_error(speech):
    errors = [
        np.std(through_codec(speech[0][:32_000], f"opus_{rate}") - speech[0][:32_000])
        for rate in (32, 8)
    ]
    assert errors[0] < errors[1]


def test_mu_law_by_ffmpeg_has_the_values_of_the_recommendation(speech, tmp_path):
    codecs.write_coded(tmp_path / "a.wav", speech[0][:8000], "mu_law")
    import soundfile

    steps, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 8000
    np.testing.assert_array_equal(steps, mu_law(steps))


def test_errors_name_the_codec(speech, monkeypatch):
    with pytest.raises(ValueError, match=r"one of mp3_128, .*Received: 'mp5'"):
        through_codec(speech[0], "mp5")
    monkeypatch.setitem(CODECS, "mp3_32", codecs.Codec(".mp3", ("-c:a", "no_such_encoder")))
    with pytest.raises(ValueError, match=r"must code -c:a no_such_encoder\. Received: .*no_such"):
        through_codec(speech[0][:8000], "mp3_32")


@pytest.fixture
def counted(monkeypatch):
    """A codec bank whose codecs halve (`mu_law`) or silence (`gsm`) what they get."""
    written = []

    def write(path, waveform, name):
        written.append(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((waveform / 2).astype("<f4").tobytes() if name == "mu_law" else b"")

    def read(path, samples):
        if not path.stat().st_size:
            raise UnusableError("nothing is left", "silent")
        return np.frombuffer(path.read_bytes(), "<f4")

    monkeypatch.setattr(bank_module, "write_coded", write)
    monkeypatch.setattr(bank_module, "read_coded", read)
    return written


def test_the_bank_codes_a_share_each_clip_once(counted, tmp_path):
    paths = [str(tmp_path / f"{n}.wav") for n in range(2)]
    change = codec_bank(paths, None, ["mu_law"], 0.4, 3, tmp_path / "bank")
    x = tf.constant([0.5, -0.25, 0.125])

    def run(place):
        return change(tf.constant(place % 2, tf.int64), tf.constant(place, tf.int64), x).numpy()

    results = [run(place) for place in range(200)]
    halved = [np.array_equal(own, x / 2) for own in results]
    assert all(h or np.array_equal(own, x) for h, own in zip(halved, results, strict=True))
    assert abs(np.mean(halved) - 0.4) < 5 * np.sqrt(0.4 * 0.6 / 200)
    assert counted == ["mu_law"] * 2
    assert [np.array_equal(run(place), x / 2) for place in range(200)] == halved


def test_the_bank_splits_channels_and_leaves_what_a_codec_would_silence(counted, tmp_path):
    x = tf.constant([0.5, -0.25, 0.125, 0.25])
    for name, factor in (("mu_law", 0.5), ("gsm", 1.0)):
        change = codec_bank(["a.wav"], np.array([2]), [name], 1.0, 0, tmp_path / "bank")
        index = tf.constant(0, tf.int64)
        np.testing.assert_array_equal(change(index, index, x), x * factor)
    assert counted == ["mu_law"] * 2 + ["gsm"] * 2
    assert change(index, index, tf.zeros([0])).shape == (0,)
    with pytest.raises(ValueError, match="a codec must be one of"):
        codec_bank(["a.wav"], None, ["mp5"], 1.0, 0)
