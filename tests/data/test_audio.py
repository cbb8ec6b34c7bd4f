import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from tfpipeline.data.audio import check_waveform, decode, read_clip


def write(path, samples, rate=16_000, **arguments):
    soundfile.write(path, samples, rate, **arguments)
    return path


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_flac_equals_soundfile(subtype, channels, speech, tmp_path):
    path = write(tmp_path / "a.flac", speech[:channels].T, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_allclose(read_clip(path), expected.mean(axis=1), atol=2**-24)


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_the_first_bytes_tell_the_format_and_not_the_name(form, speech, tmp_path):
    path = write(tmp_path / "a.mp3", speech[0], format=form)
    np.testing.assert_allclose(read_clip(path), speech[0], atol=2**-15)


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
        ("text.wav", b"this is text", r"text\.wav: cannot be decoded .* not a RIFF WAVE file\."),
        ("empty.wav", b"", r"empty\.wav: the file is empty, 0 bytes\."),
        ("short.flac", b"fLaC\0\0", r"short\.flac: cannot be decoded .* truncated within its head"),
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
    with pytest.raises(ValueError, match=rf"{name}: cannot be decoded as WAV or FLAC: \w"):
        read_clip(path)


def test_an_unusual_rate_is_refused(speech, tmp_path):
    with pytest.raises(ValueError, match=r"none of the usual ones, 8 to 192 kHz: 12345"):
        read_clip(write(tmp_path / "a.wav", speech[0], 12_345))


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
