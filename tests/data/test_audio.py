import io

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from tfpipeline.data import audio
from tfpipeline.data.audio import check_waveform, decode, read_clip
from tfpipeline.data.resample import resample


def write(path, samples, rate=16_000, **arguments):
    soundfile.write(path, samples, rate, **arguments)
    return path


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_equals_soundfile(subtype, channels, speech, tmp_path):
    path = write(tmp_path / "a.flac", speech[:channels].T, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_allclose(read_clip(path), expected.mean(axis=1), atol=2**-24)


@pytest.fixture
def only_graph(monkeypatch):
    """Fails a test in which a file enters Python."""
    monkeypatch.setattr(audio, "decode_foreign", None)


@pytest.mark.usefixtures("only_graph")
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_wav_equals_soundfile(subtype, channels, speech, tmp_path):
    path = write(tmp_path / "a.wav", speech[:channels].T, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_allclose(read_clip(path), expected.mean(axis=1), atol=2**-23)


@pytest.mark.usefixtures("only_graph")
@pytest.mark.parametrize(
    ("form", "channels"), [("MP3", 1), ("MP3", 2), ("OGG", 1), ("OGG", 2), ("OGG", 6)]
)
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
def test_mp3_and_vorbis_equal_soundfile(form, channels, rate, recordings, tmp_path):
    frames = 3 * rate + channels  # not a whole number of the codecs' frames
    sound = soxr.resample(recordings["en_sarah"], 24_000, rate)[:frames]
    sounds = [sound * (1 - 0.1 * channel) for channel in range(channels)]
    path = write(tmp_path / "a.wav", np.stack(sounds, axis=1), rate, format=form)
    expected, its_rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert (len(expected), its_rate) == (frames, rate)
    received = read_clip(path)
    assert len(received) == -(-frames * 16_000 // rate)
    expected = resample(tf.constant(expected.mean(axis=1)), rate, 16_000)
    np.testing.assert_allclose(received, expected, atol=5e-6)


@pytest.mark.usefixtures("only_graph")
@pytest.mark.parametrize("form", ["MP3", "OGG"])
@pytest.mark.parametrize("samples", [1_151, 1_152, 1_153, 4_095, 4_096, 4_097])
def test_mp3_and_vorbis_keep_their_length(form, samples, speech, tmp_path):
    path = write(tmp_path / "a", speech[0, 20_000 : 20_000 + samples], format=form)
    expected, _ = soundfile.read(path, dtype="float32")
    assert len(expected) == samples
    np.testing.assert_allclose(read_clip(path), expected, atol=5e-6)


@pytest.mark.usefixtures("only_graph")
def test_mp3_behind_a_tag(speech, tmp_path):
    path = write(tmp_path / "a.mp3", speech[0])
    expected = read_clip(path)
    for size, coded in ((10, b"\0\0\0\x0a"), (300, b"\0\0\x02\x2c")):
        tagged = tmp_path / f"{size}.mp3"
        tagged.write_bytes(b"ID3\4\0\0" + coded + bytes(size) + path.read_bytes())
        np.testing.assert_array_equal(read_clip(tagged), expected)


def test_truncated_mp3_and_vorbis(speech, tmp_path):
    mp3, ogg = write(tmp_path / "a.mp3", speech[0]), write(tmp_path / "a.ogg", speech[0])
    for path in (mp3, ogg):
        contents = path.read_bytes()
        path.write_bytes(contents[: int(0.6 * len(contents))])
    with pytest.raises(ValueError, match=r"a\.mp3: cannot be decoded: it is truncated or damaged"):
        read_clip(mp3)
    assert 16_000 < len(read_clip(ogg)) < 64_000  # a stream: what there is


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_the_first_bytes_tell_the_format_and_not_the_name(form, speech, tmp_path):
    path = write(tmp_path / "a.aiff", speech[0], format=form)
    expected, _ = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32")
    np.testing.assert_allclose(read_clip(path), expected, atol=5e-6)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_other_rates_and_channels_come_out_the_same(name, recordings, tmp_path):
    recording = recordings["en_sarah"]
    stereo = np.stack([recording, 0.5 * recording], axis=1)
    received = read_clip(write(tmp_path / name, stereo, 24_000))
    expected = 0.75 * soxr.resample(recording, 24_000, 16_000)
    assert len(received) == -(-len(recording) * 2 // 3)
    length = min(len(received), len(expected))
    assert np.corrcoef(received[:length], expected[:length])[0, 1] > 0.9999


def test_a_parallel_map_gives_the_same(speech, tmp_path):
    paths = [
        str(write(tmp_path / f"{i}.{kind}", row, rate))
        for i, (row, kind, rate) in enumerate(
            zip(speech, ["wav", "flac"] * 3, [16_000, 16_000, 8_000, 44_100, 48_000, 22_050],
                strict=True)
        )
    ]  # fmt: skip
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(decode, num_parallel_calls=2)
    for received, path in zip(dataset, paths, strict=True):
        np.testing.assert_allclose(received, read_clip(path), atol=1e-6)


def test_bad_files_are_named_with_their_mend(speech, tmp_path):
    for name, contents, message in (
        ("text.wav", b"this is text", r"text\.wav: cannot be decoded: it is no audio that"),
        ("empty.wav", b"", r"empty\.wav: the file is empty, 0 bytes\."),
        ("short.flac", b"fLaC\0\0", r"short\.flac: cannot be decoded: it is no audio that"),
    ):
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(ValueError, match=message):
            read_clip(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.wav: no such file"):
        read_clip(tmp_path / "none.wav")
    with pytest.raises(ValueError, match=r"expected a file. Received: a folder"):
        read_clip(tmp_path)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_truncated_files_are_refused(name, kept, speech, tmp_path):
    path = write(tmp_path / name, speech[0])
    contents = path.read_bytes()
    path.write_bytes(contents[: int(kept * len(contents))])
    with pytest.raises(ValueError, match=rf"{name}: cannot be decoded: it is \w"):
        read_clip(path)


def test_what_cannot_be_judged(speech):
    with pytest.raises(ValueError, match=r"x: silent\. Received: a peak of -200 dBFS"):
        check_waveform(np.zeros(16_000, np.float32), "x")
    with pytest.raises(ValueError, match="silent"):
        check_waveform(np.full(16_000, 9.9e-5, np.float32), "x")
    with pytest.raises(ValueError, match=r"x: too short to judge\. Received: 50 ms"):
        check_waveform(speech[0, :799], "x")
    with pytest.raises(ValueError, match="too short"):
        check_waveform(speech[0, :0], "x")
    check_waveform(speech[0, 8000:8800], "x")
    broken = speech[0].copy()
    broken[5] = np.nan
    with pytest.raises(ValueError, match="holds NaN"):
        check_waveform(broken, "x")
    broken[5], broken[800] = 0.0, 2.0**31
    check_waveform(broken, "x")
    broken[800] = -1e10
    with pytest.raises(ValueError, match=r"Received: one of ±1e\+10, which no recording holds"):
        check_waveform(broken, "x")
