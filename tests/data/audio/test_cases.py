"""Recordings that went wrong once, each with its right value: the same for every command."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made import chunk, encoded, ffmpeg, joined, pcm_of, wav

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.decode import decode, opened

CASES = Path(__file__).parents[4] / "shared" / "cases"
GRID = 2**-15


def seconds(decoded):
    return len(decoded.waveform) / len(decoded.channels) / 16_000


@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("mp3", ()),
        ("mp3", ("-write_xing", 0)),
        ("ogg", ("-c:a", "libvorbis")),
        ("opus", ("-c:a", "libopus")),
        ("aac", ()),
        ("m4a", ()),
        ("flac", ()),
        ("wav", ()),
    ],
)
def test_files_that_were_joined_are_judged_whole(extension, options, speech, tmp_path):
    """`cat a.mp3 b.mp3 > both.mp3`: all of both is there, in this order."""
    rows = speech[0], speech[1, :40_000]
    pieces = [
        encoded(tmp_path / f"{number}.{extension}", row, 16_000, *options)
        for number, row in enumerate(rows)
    ]
    decoded = decode(joined(tmp_path / f"both.{extension}", *pieces))
    expected = np.concatenate(rows)
    assert seconds(decoded) == pytest.approx(len(expected) / 16_000, abs=0.25)
    if (extension == "mp3" and not options) or extension in ("ogg", "opus", "m4a", "flac", "wav"):
        assert decoded.remarks[0].startswith("joined: ")
    # The end of the second sounds at the end, whatever encoders put between the two.
    tail = decoded.waveform[-30_000:]
    found = np.correlate(tail, expected[-20_000:-10_000], "valid").max()
    assert found > 0.9 * np.sum(expected[-20_000:-10_000] ** 2)


def test_many_files_that_were_joined(speech, tmp_path):
    pieces = [encoded(tmp_path / f"{n}.mp3", row[:32_000]) for n, row in enumerate(speech)]
    decoded = decode(joined(tmp_path / "all.mp3", *pieces))
    assert seconds(decoded) == pytest.approx(12, abs=0.6)


def test_mono_and_stereo_that_were_joined(speech, tmp_path):
    mono = encoded(tmp_path / "mono.mp3", speech[0])
    stereo = encoded(tmp_path / "stereo.mp3", np.stack([speech[1]] * 2, axis=1))
    assert seconds(decode(joined(tmp_path / "both.mp3", mono, stereo))) == pytest.approx(8, abs=0.3)


def test_a_tag_at_the_end_joins_nothing(speech, tmp_path):
    path = encoded(tmp_path / "a.mp3", speech[0])
    plain = decode(path).waveform
    for tag in (
        b"TAG" + b"\0" * 125,
        b"APETAGEX" + b"\0" * 3000,
        b"\0" * 3000 + b"APETAGEX" + b"\0" * 24,
    ):
        path.write_bytes(path.read_bytes() + tag)
        decoded = decode(path)
        assert not decoded.remarks
        np.testing.assert_array_equal(decoded.waveform, plain)


@pytest.mark.parametrize(
    ("riff_size", "data_size", "remark"),
    [
        (0x7FFFFFFF, 0x7FFFFFFF, "header: tells no length"),
        (0, 0, "header: tells no length"),
        (0xFFFFFFFF, 0xFFFFFFFF, "header: tells no length"),
        (0xFFFFFFFF, 0xFFFFFFDB, "header: tells no length"),
        (0x7FFFF024, 0x7FFFF000, "header: tells no length"),
        (36 + 128_000 + 8, 128_000, "header: promises 8 bytes more"),
        (None, 128_008, "header: promises 8 bytes more"),
        (None, 128_044, "header: promises 44"),
        (0, 128_000, None),
        (None, None, None),
    ],
)
def test_headers_of_streams_and_browsers(riff_size, data_size, remark, speech, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(pcm_of(speech[0]), riff_size, data_size))
    decoded = decode(path)
    np.testing.assert_allclose(decoded.waveform, speech[0], atol=GRID)
    assert [own.startswith(remark) for own in decoded.remarks] == ([True] if remark else [])
    assert decode(path.read_bytes()).waveform.tobytes() == decoded.waveform.tobytes()


@pytest.mark.parametrize("closed", [True, False])
def test_rf64_that_was_never_closed(closed, speech, tmp_path):
    path = tmp_path / "a.wav"
    size = 128_000 if closed else 0xFFFFFFFFFFFFFFFF
    large = chunk(b"ds64", struct.pack("<QQQI", size, size, size // 2, 0))
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16))
    data = b"data" + struct.pack("<I", 0xFFFFFFFF) + pcm_of(speech[0])
    path.write_bytes(b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + large + form + data)
    decoded = decode(path)
    np.testing.assert_allclose(decoded.waveform, speech[0], atol=GRID)
    assert bool(decoded.remarks) is not closed


@pytest.mark.parametrize("promised", [128_066, 140_000, 10_000_000])
def test_real_truncation_is_told(promised, speech, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(pcm_of(speech[0]), data_size=promised))
    with pytest.raises(UnusableError, match=rf"truncated: 128000 of {promised} bytes"):
        decode(path)


def test_text_behind_an_empty_data_chunk_is_no_speech(tmp_path):
    path = tmp_path / "a.wav"
    text = chunk(b"LIST", b"INFOINAM" + b"a" * 4000)
    path.write_bytes(wav(b"", behind=text))
    with pytest.raises(UnusableError, match="there is no sample in it") as said:
        decode(path)
    assert said.value.kind == "empty"
    path.write_bytes(wav(b""))
    with pytest.raises(UnusableError, match="there is no sample in it"):
        decode(path)


def test_mp3_in_wav(speech, tmp_path):
    path = encoded(tmp_path / "a.wav", speech[0], 16_000, "-c:a", "libmp3lame", "-b:a", "24k")
    decoded = decode(path)
    assert seconds(decoded) == pytest.approx(4, abs=0.15)
    assert (
        np.corrcoef(
            np.abs(np.fft.rfft(decoded.waveform[:64_000]))[400:8_000],
            np.abs(np.fft.rfft(speech[0]))[400:8_000],
        )[0, 1]
        > 0.8
    )


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_flac_with_a_damaged_middle_is_refused(subtype, speech, tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, speech[0], 16_000, subtype=subtype)
    contents = bytearray(path.read_bytes())
    middle = len(contents) // 2
    contents[middle : middle + 3000] = b"\x55" * 3000
    path.write_bytes(contents)
    with pytest.raises(UnusableError, match="it is damaged; libsndfile"):
        decode(path)


@pytest.mark.parametrize("scale", [1.7, 2**15, 2**23, 2**31])
def test_float_samples_on_a_scale_of_integers(scale, speech, tmp_path):
    path = tmp_path / "a.wav"
    loud = speech[0] / np.abs(speech[0]).max()
    soundfile.write(path, (scale * loud).astype(np.float32), 16_000, subtype="FLOAT")
    decoded = decode(path)
    np.testing.assert_allclose(decoded.waveform, loud, atol=2 * GRID)
    assert decoded.remarks[0].startswith("scale: float samples reach ±")


@pytest.mark.parametrize("value", [1e30, 1e9, -5000.0])
def test_one_damaged_float_sample(value, speech, tmp_path):
    path, broken = tmp_path / "a.wav", speech[0].copy()
    broken[30_000] = value
    soundfile.write(path, broken, 16_000, subtype="FLOAT")
    with pytest.raises(UnusableError, match=r"Received: one of ±.* Is the file damaged\?"):
        decode(path)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_a_call_with_a_speaker_on_either_side(extension, speech, tmp_path):
    path = encoded(tmp_path / f"a.{extension}", speech[:2].T)
    decoded = decode(path)
    assert decoded.channels == ("left", "right")
    assert decoded.remarks == ("channels: left, right differ and are judged apart",)
    both = decoded.waveform.reshape(2, -1)
    lossless = extension in ("wav", "flac")
    for row, expected in zip(both, speech, strict=False):
        if lossless:
            np.testing.assert_allclose(row, expected, atol=GRID)
        else:
            lags = [row[lag : lag + 50_000] @ expected[:50_000] for lag in range(0, 2500)]
            assert max(lags) > 0.8 * np.sum(expected[:50_000] ** 2)
    with opened(path) as recording:
        for number, expected in enumerate(both):
            received = np.concatenate(list(recording.blocks(number)))
            np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("gain", [-1.0, -0.6])
def test_channels_in_opposite_phase_do_not_cancel(gain, speech, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([speech[0], gain * speech[0]], axis=1), 16_000)
    decoded = decode(path)
    assert decoded.channels == ("",)
    assert decoded.remarks == ("channels: in opposite phase, right turned round",)
    np.testing.assert_allclose(decoded.waveform, speech[0] * (1 - gain) / 2, atol=2 * GRID)


def test_channels_that_hold_the_same_are_averaged(speech, tmp_path):
    path = tmp_path / "a.wav"
    noise = 0.02 * np.random.default_rng(0).standard_normal((64_000, 2))
    sound = np.stack([speech[0], 0.7 * speech[0]], axis=1) + noise
    soundfile.write(path, sound, 16_000, subtype="FLOAT")
    decoded = decode(path)
    assert not decoded.remarks
    np.testing.assert_allclose(decoded.waveform, sound.mean(axis=1), atol=GRID)


def test_a_silent_channel_is_left_aside(speech, tmp_path):
    path = tmp_path / "a.wav"
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(64_000)
    soundfile.write(path, np.stack([hiss, speech[0]], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(decode(path).waveform, speech[0], atol=GRID)


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_audio_track_of_a_video_or_the_first_that_sounds(default, speech, tmp_path):
    for number, row in enumerate((speech[0], speech[1], np.zeros(64_000))):
        soundfile.write(tmp_path / f"{number}.wav", row, 16_000)
    tracks = ["-i", tmp_path / "0.wav", "-i", tmp_path / "1.wav", "-map", 0, "-map", 1]
    path = tmp_path / "a.mkv"
    ffmpeg(
        *tracks, "-c:a", "flac", "-disposition:a", 0, f"-disposition:a:{default}", "default", path
    )
    decoded = decode(path)
    assert decoded.remarks == (f"tracks: audio track {default + 1} of 2 is judged",)
    np.testing.assert_allclose(decoded.waveform, speech[default], atol=GRID)
    tracks = ["-i", tmp_path / "2.wav", "-i", tmp_path / "1.wav", "-map", 0, "-map", 1]
    ffmpeg(*tracks, "-c:a", "flac", path)
    decoded = decode(path)
    assert decoded.remarks == ("tracks: audio track 2 of 2 is judged",)
    np.testing.assert_allclose(decoded.waveform, speech[1], atol=GRID)


def test_a_pipe_is_told_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(UnusableError, match=r"a\.wav: expected a regular file. Received: a named"):
        decode(tmp_path / "a.wav")


RIGHT = {
    "call_left_real_right_fake.wav": (4.0, "channels"),
    "concat_mono_stereo.mp3": (12.1, "joined"),
    "data0_then_list.wav": "no sample",
    "datasize_plus8.wav": (6.0, "header"),
    "float32_int32scale.wav": (6.0, "scale"),
    "kokoro_like.mp3": (25.0, "joined"),
    "mid.flac": "damaged",
    "one_1e30.wav": "damaged",
    "pipe_7fffffff.wav": (6.0, "header"),
    "pipe_zero.wav": (6.0, "header"),
    "real_then_fake.mp3": (10.1, "joined"),
    "real_then_fake.ogg": (10.0, "joined"),
    "real_then_fake.wav": (10.0, "joined"),
    "riffsize_plus8.wav": (6.0, "header"),
    "wav_mp3inwav.wav": (6.1, None),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the recordings are not here")
@pytest.mark.parametrize("name", RIGHT)
def test_the_recordings_themselves(name):
    right = RIGHT[name]
    if isinstance(right, str):
        with pytest.raises(UnusableError, match=right):
            decode(CASES / name)
        return
    decoded = decode(CASES / name)
    assert seconds(decoded) == pytest.approx(right[0], abs=0.15)
    assert [remark.partition(":")[0] for remark in decoded.remarks] == [right[1]] * bool(right[1])
