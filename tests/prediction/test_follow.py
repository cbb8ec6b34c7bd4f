"""Streams that are judged while they arrive: the rows of files, at once, in bounded memory."""

import io
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import deque
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
import soxr

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.live import FORMATS, raw_layout
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.prediction.follow import FIELDS, follow_stream
from tfpipeline.prediction.predict_files import make_row, score_files
from tfpipeline.prediction.recordings import Recording
from tfpipeline.workflows.follow import judge_stream

RATE, WINDOW = 16_000, 8_000
S16 = raw_layout("s16le", RATE, 1)


class Loudness:
    """A scorer of no model: each window's level, so that windows lie on both sides of 0."""

    name, window, batch_size = "loudness", WINDOW, 32
    calibration, threshold = Calibration(3.0, 0.1, 0.5), 0.3

    def score_windows(self, windows):
        return 5 + np.log10(np.mean(windows.astype(np.float64) ** 2, axis=1) + 1e-12) * 2


def reader(contents, most=3_001):
    """`read` of a pipe that hands out odd numbers of bytes."""
    stream = io.BytesIO(contents)
    return lambda size: stream.read(min(size, most))


def pcm(waveform):
    return np.round(waveform * 32767).astype("<i2").tobytes()


def judged(path):
    """What `predict` finds in a file: its row, and the places and scores of its windows."""
    (recording,) = score_files([Recording(path, str(path), WINDOW)], Loudness())
    channel, scores = recording.judged()
    return make_row(recording, Loudness()), channel.places(WINDOW), scores


def assert_same(rows, path, tolerance=1e-5):
    expected, places, scores = judged(path)
    assert [list(row) for row in rows] == [list(FIELDS)] * len(scores)
    np.testing.assert_allclose([(row["start"], row["end"]) for row in rows], places)
    np.testing.assert_allclose([row["score"] for row in rows], scores, atol=tolerance)
    assert rows[-1]["mean_score"] == pytest.approx(expected["score"], abs=tolerance)
    assert rows[-1]["mean_probability"] == pytest.approx(expected["probability"], abs=tolerance)
    assert rows[-1]["verdict"] == expected["verdict"]
    assert rows[-1]["reason"] == expected["reason"]


@pytest.mark.parametrize("rate", [16_000, 48_000, 44_100, 8_000, 37_000])
@pytest.mark.parametrize("channels", [[1], [1, 1], [1, -0.5], [0, 1]])
def test_rows_are_the_timeline_of_the_same_file(rate, channels, speech, tmp_path):
    sound = soxr.resample(speech[0, : 3 * WINDOW + 1234], RATE, rate)
    soundfile.write(tmp_path / "a.wav", sound[:, None] * channels, rate)
    rows = list(follow_stream(reader((tmp_path / "a.wav").read_bytes()), Loudness()))
    assert_same(rows, tmp_path / "a.wav")


def test_each_row_is_the_verdict_on_the_file_so_far(speech, tmp_path):
    sound = np.concatenate([np.zeros(WINDOW), *(speech[:3, : 2 * WINDOW] * [[0.01], [1], [0.1]])])
    sound = np.frombuffer(pcm(sound), "<i2")
    rows = list(follow_stream(reader(sound.tobytes()), Loudness(), S16))
    assert len({row["reason"] and row["reason"].split(":")[0] for row in rows}) > 2
    assert [row["silent"] for row in rows] == [True] + [False] * 6
    for number in range(2, 8):  # `predict` refuses the first window alone, which is silent
        soundfile.write(tmp_path / "a.wav", sound[: number * WINDOW], RATE)
        assert_same(rows[:number], tmp_path / "a.wav")


@pytest.mark.parametrize("samples", [WINDOW - 1, WINDOW, WINDOW + 1, 1000])
def test_ends_of_streams(samples, speech, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech[1, :samples], RATE)
    contents = (tmp_path / "a.wav").read_bytes()
    assert_same(list(follow_stream(reader(contents), Loudness())), tmp_path / "a.wav")
    # Half a sample more: a stream that was cut off.
    half = list(follow_stream(reader(contents[44:] + b"\1"), Loudness(), S16))
    assert_same(half, tmp_path / "a.wav")


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\0\0\0\0"])
def test_headers_without_a_length(size, speech, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech[1, :20_000], RATE)
    contents = (tmp_path / "a.wav").read_bytes()
    contents = contents[:40] + size + contents[44:]
    assert_same(list(follow_stream(reader(contents), Loudness())), tmp_path / "a.wav")


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le"])
def test_what_ffmpeg_writes_to_a_pipe(codec, speech, tmp_path):
    soundfile.write(tmp_path / "a.flac", speech[2, :30_000], RATE)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", tmp_path / "a.flac"]
    command += ["-c:a", codec, "-f", "wav", "-"]
    contents = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert contents[4:8] == b"\xff\xff\xff\xff"
    assert_same(list(follow_stream(reader(contents), Loudness())), tmp_path / "a.flac")


def test_a_length_that_is_told_is_kept_to(speech, tmp_path):
    soundfile.write(tmp_path / "a.wav", speech[1, :20_000], RATE)
    contents = (tmp_path / "a.wav").read_bytes()
    rows = list(follow_stream(reader(contents + b"LIST\x04\0\0\0abcd"), Loudness()))
    assert_same(rows, tmp_path / "a.wav")


@pytest.mark.parametrize("form", FORMATS)
def test_raw_samples(form, speech, tmp_path):
    subtype = {"u8": "PCM_U8", "f32le": "FLOAT", "f64le": "DOUBLE"}.get(form, f"PCM_{form[1:3]}")
    stereo = speech[:1, :20_001].T * [1, 1]
    soundfile.write(tmp_path / "a.wav", stereo, 24_000, subtype=subtype)
    file = io.BytesIO()
    soundfile.write(file, stereo, 24_000, format="RAW", subtype=subtype, endian="LITTLE")
    layout = raw_layout(form, 24_000, 2)
    rows = list(follow_stream(reader(file.getvalue()), Loudness(), layout))
    assert_same(rows, tmp_path / "a.wav")


@pytest.mark.parametrize(("rate", "behind"), [(16_000, 0), (48_000, 1), (44_100, 1), (37_000, 1)])
def test_a_row_comes_before_the_next_window_is_over(rate, behind, speech):
    """Window k + `behind` has come, and no more: a read that waits for more fails."""
    windows = np.array_split(np.resize(pcm_array(speech[0], rate), 10 * WINDOW * rate // RATE), 10)
    fed = deque()

    def read(size):
        assert fed, "more is waited for than there is"
        raw = fed.popleft()
        if len(raw) > size:
            fed.appendleft(raw[size:])
        return raw[:size]

    rows = follow_stream(read, Loudness(), raw_layout("s16le", rate, 1))
    for number, window in enumerate(windows):
        fed.append(window.tobytes())
        if number >= behind:
            assert next(rows)["end"] == (number - behind + 1) * WINDOW / RATE


def pcm_array(waveform, rate):
    return np.frombuffer(pcm(soxr.resample(waveform, RATE, rate)), "<i2")


def test_an_hour_takes_no_more_memory_than_a_minute(speech, monkeypatch):
    heard = (np.ones(100, bool), -20.0)  # what is spent on each piece is given back
    monkeypatch.setattr("tfpipeline.prediction.abstention.speech_frames", lambda piece: heard)
    second = pcm(speech[0, :RATE])

    def peak(seconds):
        left = seconds

        def read(size):
            nonlocal left
            left -= 1
            return second if left >= 0 else b""

        tracemalloc.start()
        try:
            count = sum(1 for _ in follow_stream(read, Loudness(), S16))
            assert count == seconds * RATE / WINDOW
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is imported on the way is kept
    minute = peak(60)
    assert peak(3600) < minute + 100_000


def follow(monkeypatch, contents, layout=S16, as_json=True, read1=None):
    stdin = SimpleNamespace(read1=read1 or reader(contents))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin))
    return judge_stream("-", Loudness(), layout, as_json)


def test_ctrl_c_ends_a_stream_with_its_last_row(speech, monkeypatch, capsys):
    contents = [pcm(speech[0, :12_000])]

    def read1(size):
        if contents:
            return contents.pop()
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("Ctrl-C does not wake a read that waits")

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    try:
        assert follow(monkeypatch, b"", read1=read1) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["end"] for row in rows] == [0.5, 0.75]


def test_a_consumer_that_is_gone_ends_it(speech, monkeypatch):
    source, sink = os.pipe()
    os.close(source)
    for as_json in (True, False):
        with monkeypatch.context() as patched, os.fdopen(os.dup(sink), "w") as out:
            patched.setattr(sys, "stdout", out)
            assert follow(patched, pcm(speech[0]), as_json=as_json) == 0
    os.close(sink)


def test_csv(speech, monkeypatch, capsys):
    assert follow(monkeypatch, pcm(speech[0, :20_000]), as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join(FIELDS)
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["0.0", "0.5"],
        ["0.5", "1.0"],
        ["0.75", "1.25"],
    ]


def test_a_window_that_is_refused_costs_its_own_row_alone(speech):
    class Refusing(Loudness):
        def score_windows(self, windows):
            calls.append(1)
            if len(calls) == 2:
                raise UnusableError("not this", "refused")
            return super().score_windows(windows)

    calls = []
    rows = list(follow_stream(reader(pcm(speech[0, : 3 * WINDOW])), Refusing(), S16))
    assert [row["score"] is None for row in rows] == [False, True, False]
    assert rows[1]["reason"] == "not this"
    assert rows[2]["mean_score"] == pytest.approx((rows[0]["score"] + rows[2]["score"]) / 2)


def test_channels_that_differ_are_mixed_and_it_is_said(speech, capsys):
    both = np.stack([speech[0, :20_000], speech[1, :20_000]])
    rows = list(
        follow_stream(reader(pcm(both.T.ravel())), Loudness(), raw_layout("s16le", RATE, 2))
    )
    assert "left, right differ and are mixed" in capsys.readouterr().err
    mean = list(follow_stream(reader(pcm(both.mean(axis=0))), Loudness(), S16))
    for row, other in zip(rows, mean, strict=True):
        assert row["score"] == pytest.approx(other["score"], abs=1e-3)


@pytest.mark.parametrize(
    ("contents", "layout", "message"),
    [
        (b"", None, "a stream must be WAV"),
        (b"", S16, "ended without a sample"),
        (b"ID3\4" + bytes(99), None, "Convert it: ffmpeg"),
        (b"RIFF\0\0\0\0WAVE", None, "needs a fmt and a data chunk"),
        (np.array([np.nan], "<f4").tobytes(), raw_layout("f32le", RATE, 1), "must be finite"),
    ],
)
def test_what_is_no_audio_is_one_line(contents, layout, message, monkeypatch, capsys):
    assert follow(monkeypatch, contents, layout) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: -: ")
    assert message in line


def test_layouts_that_no_stream_has():
    with pytest.raises(ValueError, match=r"--format must be one of u8.* Received: 'mp3'"):
        raw_layout("mp3", RATE, 1)
    with pytest.raises(ValueError, match="Received: 16000 Hz and 0"):
        raw_layout("s16le", RATE, 0)
