import os

import numpy as np
import pytest
import soundfile
import soxr
from made import encoded, ffmpeg

from tfpipeline.data.audio import ffmpeg as ffmpeg_module
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.decode import decode


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("extension", "rate"),
    [
        ("m4a", 44_100),
        ("aac", 24_000),
        ("mka", 16_000),
        ("mp4", 48_000),
        ("wma", 16_000),
        ("webm", 48_000),
    ],
)
def test_equals_ffmpeg_and_soxr(extension, rate, channels, speech, tmp_path):
    if (extension, channels) == ("wma", 6):
        pytest.skip("WMA has two channels at most")
    path, wav = tmp_path / f"a.{extension}", tmp_path / "out.wav"
    sound = np.stack([0.5 * speech[0] * (1 - 0.1 * c) for c in range(channels)], axis=1)
    encoded(path, soxr.resample(sound, 16_000, rate), rate)
    ffmpeg("-i", path, "-c:a", "pcm_f32le", wav)
    decoded = decode(path.rename(tmp_path / "a.wav"))
    samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
    if channels == 6 and extension not in ("mka", "webm"):
        # The fourth has what is below speech alone: apart, or too quiet to count.
        assert decoded.channels[1:] in ((), ("channel 4",))
        samples = np.delete(samples, 3, axis=1)
    mono = samples.mean(axis=1)
    expected = soxr.resample(mono, rate, 16_000)
    received = decoded.waveform.reshape(len(decoded.channels), -1)[0][: len(expected)]
    assert abs(len(decoded.waveform) / len(decoded.channels) - len(expected)) <= 1
    # Two resamplers: the same up to 7 kHz.
    spectra = [np.fft.rfft(np.hanning(len(w)) * w) for w in (received, expected[: len(received)])]
    band = np.fft.rfftfreq(len(received), 1 / 16_000) <= 7_000
    difference = np.abs(spectra[0] - spectra[1])[band].max() / np.abs(spectra[1]).max()
    assert 20 * np.log10(difference) < -50


def test_the_delay_of_m4a_is_taken_off(speech, tmp_path):
    received = decode(encoded(tmp_path / "a.m4a", speech[0])).waveform
    expected = speech[0][1000:60_000]
    alike = [received[lag : lag + 59_000] @ expected for lag in range(2000)]
    assert int(np.argmax(alike)) == 1000


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("amr", ("-ar", 8000, "-b:a", "12.2k")),
        ("3gp", ("-ar", 8000, "-c:a", "libopencore_amrnb")),
        ("mp2", ()),
        ("ac3", ()),
        ("avi", ("-c:a", "mp3")),
        ("wv", ()),
        ("tta", ()),
        ("flv", ("-ar", 22_050)),
    ],
)
def test_what_else_people_have(extension, options, speech, tmp_path):
    path = encoded(tmp_path / f"a.{extension}", speech[0], 16_000, *options)
    received = decode(path).waveform
    assert len(received) == pytest.approx(64_000, abs=4_000)
    low = slice(400, 8_000)  # up to 2 kHz: AMR passes 3.4
    spectra = [np.abs(np.fft.rfft(np.resize(w, 64_000)))[low] for w in (received, speech[0])]
    assert np.corrcoef(*spectra)[0, 1] > 0.7


NAMES = [
    "-i",
    "--version.m4a",
    "concat:a.wav|b.wav",
    "a b\tc.wav",
    "ü 音.m4a",
    "a\nb.wav",
    "%d.png",
    "a'\"$(x);",
    "file:x",
    "a.raw",
    "a.m3u8",
    "a.g722",
]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_only_names(name, speech, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("source.wav", speech[0], 16_000)
    ffmpeg("-i", "source.wav", "-c:a", "aac", "made.m4a")
    expected = decode("made.m4a").waveform
    os.rename("made.m4a", name)
    np.testing.assert_array_equal(decode(name).waveform, expected)
    soundfile.write("made.opus", speech[0], 16_000, format="OGG", subtype="OPUS")
    expected = decode("made.opus").waveform
    os.rename("made.opus", name)
    np.testing.assert_array_equal(decode(name).waveform, expected)


@pytest.mark.parametrize(
    "contents",
    [
        "#EXTM3U\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {target}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    ],
)
def test_playlists_open_nothing(contents, speech, tmp_path):
    soundfile.write(tmp_path / "target.wav", speech[0], 16_000)
    path = tmp_path / "a.m4a"
    path.write_text(contents.format(target="target.wav"))
    with pytest.raises(ValueError, match=r"a\.m4a: cannot be decoded: it is no audio that"):
        decode(path)


def test_truncated_and_garbage_files(speech, tmp_path):
    encoded(tmp_path / "whole.m4a", speech[0], 16_000, "-movflags", "+faststart")
    encoded(tmp_path / "end.m4a", speech[0])
    encoded(tmp_path / "whole.aac", speech[0])
    (tmp_path / "noise.m4a").write_bytes(np.random.default_rng(0).bytes(5_000))
    (tmp_path / "text.opus").write_bytes(b"this is text")

    def cut(name, kept):
        contents = (tmp_path / name).read_bytes()
        (tmp_path / f"cut_{name}").write_bytes(contents[: int(kept * len(contents))])
        return tmp_path / f"cut_{name}"

    for path, message in (
        (cut("whole.m4a", 0.6), "it is truncated: ffmpeg finds less of it"),
        (cut("end.m4a", 0.9), "it is no audio that .*moov atom not found"),
        (tmp_path / "noise.m4a", "it is no audio that libsndfile or ffmpeg can read"),
        (tmp_path / "text.opus", "it is no audio that libsndfile or ffmpeg can read"),
    ):
        with pytest.raises(
            UnusableError, match=rf"{path.name}: cannot be decoded: {message}"
        ) as said:
            decode(path)
        assert "\n" not in str(said.value)
    assert 0.4 * 64_000 < len(decode(cut("whole.aac", 0.6)).waveform) < 0.7 * 64_000  # a stream


def test_without_ffmpeg_the_message_says_to_install_it(tmp_path, monkeypatch):
    import imageio_ffmpeg

    def none():
        raise RuntimeError("no ffmpeg")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(500))
    with pytest.raises(UnusableError, match=r"a\.m4a: cannot be decoded: .* install ffmpeg: apt"):
        decode(tmp_path / "a.m4a")


def test_ffmpeg_has_a_time_limit(speech, tmp_path, monkeypatch):
    path = encoded(tmp_path / "a.m4a", speech[0])
    # A program that never answers stands for a file that makes ffmpeg spin.
    stuck = tmp_path / "ffmpeg"
    stuck.write_text("#!/bin/sh\nexec sleep 30\n")
    stuck.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(ffmpeg_module, "MAX_DECODE_WALL_SECONDS", 0.3)
    with pytest.raises(UnusableError, match=r"more than 0\.3 s to decode"):
        decode(path)
