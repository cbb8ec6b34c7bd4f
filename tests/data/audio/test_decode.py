import io
import os
import subprocess

import numpy as np
import pytest
import soundfile
import soxr
from made import encoded

from tfpipeline.data.audio import SOURCE_RATES, checks, wav
from tfpipeline.data.audio import decode as decode_module
from tfpipeline.data.audio.checks import UnusableError, check_levels
from tfpipeline.data.audio.decode import decode, expected_seconds, opened
from tfpipeline.data.audio.ffmpeg import ffmpeg_program
from tfpipeline.data.audio.resample import resample

# Half a step of 16 bits, and the rounding of float32 in other blocks.
GRID = 2**-16 + 2e-6


def write(path, samples, rate=16_000, **arguments):
    soundfile.write(path, samples, rate, **arguments)
    return path


def by_soundfile(path):
    """What soundfile and another resampler make of the mean of a file's channels, at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate in SOURCE_RATES:
        waveform = np.asarray(resample(mono[None], rate, 16_000))[0]
    else:
        waveform = soxr.resample(mono, rate, 16_000)
    return np.clip(waveform, -1, 1 - 2**-15)


def assert_same(received, expected, atol=GRID):
    # soxr rounds the length where the package rounds it up.
    assert 0 <= len(received) - len(expected) <= 1
    np.testing.assert_allclose(received[: len(expected)], expected, atol=atol)


def streamed(path):
    with opened(path) as recording:
        return np.concatenate([np.zeros(0, np.float32), *recording.blocks()])


def alike(speech, channels):
    """Channels that hold the same recording, one louder than the other, (samples, channels)."""
    return np.stack([0.5 * speech[0] * (1 - 0.1 * c) for c in range(channels)], axis=1)


@pytest.mark.parametrize(
    ("form", "subtype", "rate", "channels"),
    [
        *(
            ("WAV", subtype, 16_000, channels)
            for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
            for channels in (1, 2, 6)
        ),
        ("WAVEX", "DOUBLE", 22_050, 2),
        ("WAV", "PCM_16", 24_000, 2),
        ("WAV", "PCM_24", 44_100, 1),
        ("WAV", "PCM_U8", 8_000, 1),
        ("WAV", "FLOAT", 48_000, 6),
        ("WAV", "PCM_32", 96_000, 1),
        ("WAV", "ALAW", 8_000, 1),
        ("WAV", "ULAW", 16_000, 2),
        ("WAV", "IMA_ADPCM", 22_050, 1),
        ("WAV", "MS_ADPCM", 16_000, 1),
        ("RF64", "PCM_16", 16_000, 2),
        ("W64", "PCM_24", 44_100, 1),
        ("AIFF", "PCM_16", 44_100, 6),
        ("AU", "PCM_16", 8_000, 1),
        ("CAF", "FLOAT", 48_000, 2),
        ("NIST", "PCM_16", 16_000, 1),
        ("FLAC", "PCM_S8", 16_000, 1),
        ("FLAC", "PCM_16", 16_000, 2),
        ("FLAC", "PCM_16", 7_350, 2),
        ("FLAC", "PCM_24", 64_000, 1),
        ("FLAC", "PCM_24", 44_100, 2),
        ("WAV", "PCM_16", 7_350, 1),
        ("WAV", "PCM_24", 37_800, 2),
        ("WAV", "FLOAT", 64_000, 6),
        ("WAV", "PCM_16", 384_000, 1),
        ("OGG", "VORBIS", 37_800, 1),
        ("OGG", "VORBIS", 44_100, 2),
        ("OGG", "OPUS", 48_000, 1),
        ("OGG", "OPUS", 24_000, 2),
        ("OGG", "OPUS", 48_000, 4),
        ("MP3", "MPEG_LAYER_III", 8_000, 1),
        ("MP3", "MPEG_LAYER_III", 44_100, 2),
    ],
)
@pytest.mark.parametrize("small_blocks", [False, True])
def test_equals_soundfile(
    form, subtype, rate, channels, small_blocks, speech, tmp_path, monkeypatch
):
    if small_blocks:
        for module in (wav, decode_module.SndfileSource.__init__.__globals__):
            (monkeypatch.setitem if isinstance(module, dict) else monkeypatch.setattr)(
                module, "BLOCK", 10_007
            )
    path = tmp_path / "a.wrong"
    sound = soxr.resample(alike(speech, channels), 16_000, rate)
    write(path, sound, rate, format=form, subtype=subtype)
    decoded = decode(path)
    assert not decoded.remarks
    assert_same(decoded.waveform, by_soundfile(path))
    np.testing.assert_array_equal(streamed(path), decoded.waveform)
    np.testing.assert_array_equal(decode(path.read_bytes()).waveform, decoded.waveform)


@pytest.mark.parametrize("form", ["MP3", "OGG"])
@pytest.mark.parametrize("samples", [1_151, 1_152, 1_153, 4_095, 4_096, 4_097])
def test_mp3_and_vorbis_keep_their_length(form, samples, speech, tmp_path):
    path = write(tmp_path / "a", speech[0, 20_000 : 20_000 + samples], format=form)
    assert len(decode(path).waveform) == samples


def test_16_bits_come_out_as_they_are(speech, tmp_path):
    path = write(tmp_path / "a.wav", speech[0])
    steps = soundfile.read(path, dtype="int16")[0]
    np.testing.assert_array_equal(decode(path).waveform * 2**15, steps)
    loud = write(tmp_path / "loud.mp3", np.clip(50 * speech[0], -1, 1))
    steps = decode(loud).waveform * 2**15
    np.testing.assert_array_equal(steps, np.rint(steps))
    assert -(2**15) <= steps.min() < -32_000
    assert 32_000 < steps.max() <= 2**15 - 1


@pytest.mark.parametrize("kept", [2**22, 0])
@pytest.mark.parametrize("form", ["MP3", "OGG", "FLAC"])
def test_a_stream_too_long_to_be_kept_is_the_same(form, kept, speech, tmp_path, monkeypatch):
    monkeypatch.setitem(decode_module.SndfileSource.__init__.__globals__, "KEPT_SAMPLES", kept)
    path = write(tmp_path / "a", speech.ravel(), format=form)
    decoded = decode(path)
    assert not decoded.remarks
    assert_same(decoded.waveform, by_soundfile(path))


def test_flac_of_unknown_length_and_behind_a_tag(speech, tmp_path):
    wav_file, piped, tagged = (tmp_path / name for name in ("a.wav", "a.flac", "b.flac"))
    write(wav_file, speech[0])
    with open(piped, "wb") as out:
        command = [ffmpeg_program(), "-nostdin", "-v", "error", "-i", wav_file, "-f", "flac"]
        subprocess.run([*command, "pipe:1"], stdout=out, check=True)
    np.testing.assert_allclose(decode(piped).waveform, speech[0], atol=2**-15)
    write(tagged, speech[0])
    tagged.write_bytes(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + tagged.read_bytes())
    np.testing.assert_allclose(decode(tagged).waveform, speech[0], atol=2**-15)


def test_mp3_behind_a_tag(speech, tmp_path):
    path = write(tmp_path / "a.mp3", speech[0])
    expected = decode(path).waveform
    for size, coded in ((10, b"\0\0\0\x0a"), (300, b"\0\0\x02\x2c")):
        tagged = tmp_path / f"{size}.mp3"
        tagged.write_bytes(b"ID3\4\0\0" + coded + bytes(size) + path.read_bytes())
        np.testing.assert_array_equal(decode(tagged).waveform, expected)


def test_truncated_streams_give_what_there_is(speech, tmp_path):
    for name in ("a.mp3", "a.ogg"):
        path = write(tmp_path / name, speech[0])
        contents = path.read_bytes()
        path.write_bytes(contents[: int(0.6 * len(contents))])
        decoded = decode(path)
        assert 16_000 < len(decoded.waveform) < 48_000
    path = write(tmp_path / "a.mp3", speech[0])
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    assert decode(path).remarks[0].startswith("header: promises 4.0 s")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "law.wav"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_files_are_refused(name, kept, speech, tmp_path):
    path = write(tmp_path / name, speech[0], subtype="ALAW" if name == "law.wav" else "PCM_16")
    contents = path.read_bytes()
    path.write_bytes(contents[: int(kept * len(contents))])
    with pytest.raises(UnusableError, match=rf"{name}: cannot be decoded: it is \w"):
        decode(path)


def test_bad_files_are_named_with_their_mend(speech, tmp_path):
    for name, contents, message in (
        ("text.wav", b"this is text", r"text\.wav: cannot be decoded: it is no audio that"),
        ("empty.wav", b"", r"empty\.wav: the file is empty, 0 bytes\."),
        ("short.flac", b"fLaC\0\0", r"short\.flac: cannot be decoded: it is no audio that"),
        ("short.wav", b"RIFF\4\0\0\0WAVE", r"short\.wav: cannot be decoded: it is no audio that"),
    ):
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(UnusableError, match=message):
            decode(tmp_path / name)
        with pytest.raises(UnusableError, match=message.partition(": ")[2]):
            decode(contents, "memory")
    with pytest.raises(FileNotFoundError, match=r"none\.wav: no such file"):
        decode(tmp_path / "none.wav")
    with pytest.raises(UnusableError, match=r"expected a file. Received: a folder"):
        decode(tmp_path)


def test_what_cannot_be_judged_is_told_in_a_word(speech, tmp_path):
    late = speech[0].copy()
    late[-5] = np.nan
    for path, kind, message in (
        (write(tmp_path / "nan.wav", late, subtype="FLOAT"), "not finite", "holds NaN or infinite"),
        (write(tmp_path / "silent.wav", np.zeros(50_000)), "silent", "below -80"),
        (write(tmp_path / "short.wav", speech[0][:799]), "too short", "50 ms, where at least 50"),
    ):
        with pytest.raises(UnusableError, match=message) as said:
            decode(path)
        assert said.value.kind == kind
        assert str(said.value).startswith(f"{path}: ")
    assert len(decode(write(tmp_path / "enough.wav", speech[0][:800])).waveform) == 800


def check_waveform(waveform, name):
    check_levels(len(waveform), float(np.abs(waveform).max(initial=0)), name)


def test_levels(speech):
    with pytest.raises(ValueError, match=r"x: silent\. Received: a peak of -200 dBFS"):
        check_waveform(np.zeros(16_000, np.float32), "x")
    with pytest.raises(ValueError, match="silent"):
        check_waveform(np.full(16_000, 9.9e-5, np.float32), "x")
    with pytest.raises(ValueError, match=r"x: too short to judge\. Received: 50 ms"):
        check_waveform(speech[0, :799], "x")
    with pytest.raises(ValueError, match="no sample in it"):
        check_waveform(speech[0, :0], "x")
    check_waveform(speech[0, 8000:8800], "x")
    broken = speech[0].copy()
    broken[5], broken[800] = 0.0, 2.0**31
    check_waveform(broken, "x")
    broken[800] = -1e10
    with pytest.raises(ValueError, match=r"Received: one of ±1e\+10, which no recording holds"):
        check_waveform(broken, "x")


def test_long_and_large_files_are_refused(speech, tmp_path, monkeypatch):
    paths = [write(tmp_path / "a.wav", speech[0])]
    paths.append(write(tmp_path / "a.opus", speech[0], format="OGG", subtype="OPUS"))
    paths.append(encoded(tmp_path / "a.m4a", speech[0]))
    for module in (decode_module.__dict__, decode_module.FfmpegSource._read_all.__globals__):
        monkeypatch.setitem(module, "MAX_SECONDS", 3)
    for path in paths:
        with pytest.raises(UnusableError, match=r"at most .* hours can be judged.*Cut it") as said:
            decode(path)
        assert said.value.kind == "too long"
    monkeypatch.setattr(checks, "MAX_FILE_BYTES", 1000)
    with pytest.raises(UnusableError, match=r"at most 0 MB can be judged"):
        decode(paths[0])
    with pytest.raises(UnusableError, match=r"within 1000 and 768000 Hz\. Received: 1000000 Hz"):
        decode(io_bytes(speech[0], 1_000_000))


def io_bytes(samples, rate):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def test_many_channels_are_refused(speech):
    with pytest.raises(UnusableError, match=r"it may have 64 channels\. Received: 65"):
        decode(io_bytes(np.stack([speech[0][:2000]] * 65, axis=1), 16_000))


@pytest.mark.parametrize("extension", ["wav", "flac", "mp3", "ogg"])
def test_expected_seconds(extension, speech, tmp_path):
    assert expected_seconds(write(tmp_path / f"a.{extension}", speech[0])) == pytest.approx(4)
    assert expected_seconds(tmp_path / "none.wav") is None


def test_nothing_stays_behind(speech, tmp_path):
    """No open descriptor, no process, no temporary file."""
    path = encoded(tmp_path / "a.m4a", speech[0])
    decode(path)
    before = len(os.listdir("/proc/self/fd")), sorted(os.listdir(tmp_path))
    for _ in range(3):
        decode(path)
        decode(path.read_bytes())
        with opened(path) as recording:
            next(recording.blocks())
    assert (len(os.listdir("/proc/self/fd")), sorted(os.listdir(tmp_path))) == before
