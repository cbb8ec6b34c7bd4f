"""Rows of readings that a judge of one line scores: order, batches, evidence, failures."""

import threading

import numpy as np
import pytest
import soundfile
import soxr
from made import encoded

from tfpipeline.data.audio import ffmpeg, sndfile
from tfpipeline.data.audio.bandwidth import TELEPHONE_REMARK
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.prediction import predict_files as prediction
from tfpipeline.prediction.abstention import needed_speech
from tfpipeline.prediction.predict_files import FIELDS, make_row, score_files
from tfpipeline.prediction.recordings import Channel, Recording

WINDOW = 16_000


class LoudnessScorer:
    """A window's score is its level; batches are noted."""

    name, fingerprint, window, batch_size = "loudness", "1", WINDOW, 4
    calibration, threshold = Calibration(1.0, 0.0), 0.0

    def __init__(self):
        self.batches = []

    def score_windows(self, windows):
        self.batches.append(len(windows))
        return 20 * np.log10(windows.astype(np.float64).std(axis=1)) + 20


@pytest.fixture
def files(tmp_path, speech):
    """Clips of awkward lengths, some of several windows; one of them is no audio."""
    paths = []
    lengths = (WINDOW - 1, WINDOW, WINDOW + 1, 900, 3 * WINDOW, 2 * WINDOW + 1, 64_000, 20_000)
    for number, samples in enumerate(lengths * 2):
        path = tmp_path / f"{number}.wav"
        if number == 5:
            path.write_text("no audio")
        else:
            soundfile.write(path, speech[number % 6, :samples], 16_000, subtype="FLOAT")
        paths.append(str(path))
    return paths


def judged(files, scorer, **options):
    return list(score_files((Recording(f, f, scorer.window, **options) for f in files), scorer))


def expected_scores(path, scorer):
    from tfpipeline.data.audio.decode import decode
    from tfpipeline.data.audio.windows import cut_windows

    return scorer.score_windows(cut_windows(decode(path).waveform[None], WINDOW)[0].numpy())


@pytest.mark.parametrize(("workers", "ahead"), [(2, 40), (1, 1), (3, 2)])
def test_scores_are_those_of_each_file_alone(files, workers, ahead, monkeypatch):
    monkeypatch.setattr(prediction, "WORKERS", workers)
    monkeypatch.setattr(prediction, "AHEAD_FILES", ahead)
    scorer = LoudnessScorer()
    readings = judged(files, scorer)
    assert [recording.name for recording in readings] == files
    assert max(scorer.batches) <= scorer.batch_size
    assert sum(scorer.batches) == sum(len(recording.scores) for recording in readings)
    for number, recording in enumerate(readings):
        if number == 5:
            assert "cannot be decoded" in str(recording.error)
            continue
        np.testing.assert_allclose(recording.scores, expected_scores(files[number], scorer))
        assert len(recording.judged()[0].places(scorer.window)) == len(recording.scores)


def test_a_long_file_is_read_in_parts(tmp_path, speech, monkeypatch):
    monkeypatch.setattr(sndfile, "KEPT_SAMPLES", 0)
    monkeypatch.setattr(sndfile, "BLOCK", 30_011)
    path = tmp_path / "long.flac"
    soundfile.write(path, np.concatenate([*speech, speech[0, :777]]), 16_000)
    scorer = LoudnessScorer()
    (recording,) = judged([path], scorer)
    assert len(scorer.batches) > 1
    np.testing.assert_allclose(recording.scores, expected_scores(path, scorer))
    end = (len(speech) * 64_000 + 777) / 16_000
    assert recording.judged()[0].places(scorer.window)[-1] == pytest.approx([end - 1, end])


def test_what_fails_late_leaves_the_others_alone(tmp_path, speech, monkeypatch):
    monkeypatch.setattr(ffmpeg, "BLOCK", 30_000)
    late = encoded(tmp_path / "late.m4a", speech.ravel(), 16_000, "-movflags", "+faststart")
    late.write_bytes(late.read_bytes()[:-20_000])
    soundfile.write(tmp_path / "good.wav", speech[0], 16_000)
    names = [str(tmp_path / name) for name in ("good.wav", "late.m4a", "none.wav")]
    scorer = LoudnessScorer()
    rows = [make_row(r, scorer) for r in judged([*names, names[0]], scorer)]
    assert [row["status"] for row in rows] == ["ok", "not audio", "missing", "ok"]
    assert rows[3] | {"path": 0} == rows[0] | {"path": 0}
    for row in rows[1:3]:
        assert list(row) == list(FIELDS)
        assert row["reason"].startswith(f"{row['path']}: ")
        nothing = ("seconds", "score", "llr", "probability", "verdict", "confidence")
        assert [row[key] for key in nothing] == [None] * 6


def test_a_refused_window_costs_its_own_file_alone(files, monkeypatch):
    """Wherever it lies in a batch, of whichever file."""
    monkeypatch.setattr(prediction, "AHEAD_FILES", 4)
    expected = {own.name: own.scores for own in judged(files, LoudnessScorer())}
    for refused in (files[4], files[12]):
        loudest = max(expected[refused])

        class Refusing(LoudnessScorer):
            def score_windows(self, windows, loudest=loudest):
                scores = super().score_windows(windows)
                if np.isclose(scores, loudest, atol=1e-9).any():
                    raise UnusableError("the server refuses it", "refused")
                return scores

        readings = judged(files, Refusing())
        assert [own.name for own in readings] == files
        lost = {name for name in files if np.isclose(expected[name], loudest, atol=1e-9).any()}
        assert refused in lost
        assert len(lost) < 4
        for own in readings:
            if own.name in lost:
                row = make_row(own, LoudnessScorer())
                assert row["status"] == "refused"
                assert row["reason"] == f"{own.name}: the server refuses it"
            elif own.name != files[5]:
                np.testing.assert_allclose(own.scores, expected[own.name])


def test_the_first_row_does_not_wait_for_the_last_file(files, monkeypatch):
    """The files behind the first are held back until its row is out."""
    out = threading.Event()
    read = Recording.read

    def late(self):
        assert self.name == files[0] or out.wait(60)
        return read(self)

    monkeypatch.setattr(Recording, "read", late)
    scorer = LoudnessScorer()
    rows = score_files((Recording(f, f, WINDOW) for f in files), scorer)
    assert next(rows).name == files[0]
    out.set()
    assert len(list(rows)) == len(files) - 1


def test_nothing_is_read_far_ahead(files, monkeypatch):
    monkeypatch.setattr(prediction, "AHEAD_FILES", 3)
    taken = []

    def readings():
        for file in files:
            taken.append(file)
            yield Recording(file, file, WINDOW)

    rows = score_files(readings(), LoudnessScorer())
    next(rows)
    assert len(taken) <= 6
    rows.close()  # and a stop leaves no thread behind that anyone waits for


def row_of(scores, samples, speech, scorer=None):
    recording = Recording("a", "a", WINDOW)
    channel = Channel("", samples / 16_000, spectrogram=False)
    channel.activity._samples = samples
    channel.activity.speech_seconds = speech and needed_speech(samples / 16_000)
    channel.activity.loudest_dbfs = -20.0
    channel.samples, channel.silent = samples, [False] * len(scores)
    recording.channels.append(channel)
    recording.scores, recording.finished = list(scores), True
    return make_row(recording, scorer or LoudnessScorer())


def test_evidence_is_what_speaks_most_for_the_verdict():
    row = row_of([1.0, 5.0, -0.5, 3.0, 2.0], 4 * WINDOW + 8_000, True)
    assert (row["verdict"], row["score"]) == ("spoof", pytest.approx(2.1))
    assert row["evidence"] == [
        {"start": 1.0, "end": 2.0, "score": 5.0},
        {"start": 3.0, "end": 4.0, "score": 3.0},
        {"start": 3.5, "end": 4.5, "score": 2.0},
    ]
    assert row["confidence"] == row["probability"] == pytest.approx(1 / (1 + np.exp(-2.1)))
    row = row_of([-1.0, 0.5, -2.0], 3 * WINDOW, True)
    assert row["verdict"] == "bonafide"
    assert [own["score"] for own in row["evidence"]] == [-2.0, -1.0]
    assert row["confidence"] == 1 - row["probability"] > 0.5
    assert row_of([2.0], 9_000, True)["evidence"] == [{"start": 0.0, "end": 0.5625, "score": 2.0}]


def test_silence_is_no_evidence(tmp_path, speech):
    sound = np.concatenate([np.zeros(WINDOW), speech[0, :WINDOW], np.zeros(WINDOW)])
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    scorer = LoudnessScorer()
    scorer.score_windows = lambda windows: np.where(windows.any(axis=1), -5.0, -9.0)
    (recording,) = judged([tmp_path / "a.wav"], scorer)
    row = make_row(recording, scorer)
    assert row["score"] == pytest.approx(-23 / 3)  # in the mean, as in training
    assert row["evidence"] == [{"start": 1.0, "end": 2.0, "score": -5.0}]
    scorer.score_windows = lambda windows: np.where(windows.any(axis=1), -5.0, 9.0)
    (recording,) = judged([tmp_path / "a.wav"], scorer)
    row = make_row(recording, scorer)
    assert (row["verdict"], row["evidence"]) == ("spoof", [])  # silence does not disagree either


def test_an_abstention_keeps_its_score():
    row = row_of([1.0, 5.0], 2 * WINDOW, False)
    assert (row["verdict"], row["score"], row["status"]) == ("abstained", 3.0, "ok")
    assert row["reason"].startswith("no speech")
    assert row["confidence"] is None
    assert row["evidence"] == []
    row = row_of([5.0, -6.0, 0.1], 3 * WINDOW, True)
    assert row["reason"].startswith("windows disagree: of 3, 1 say spoof and 1 bonafide")
    assert [own["score"] for own in row["evidence"]] == [5.0, -6.0]


def test_a_threshold_decides_and_is_itself_spoof():
    scorer = LoudnessScorer()
    scorer.threshold = 2.0
    assert row_of([2.0], WINDOW, True, scorer)["verdict"] == "spoof"
    row = row_of([np.nextafter(2.0, 0)], WINDOW, True, scorer)
    assert row["verdict"] == "bonafide"
    assert row["confidence"] < 0.5  # as the docstring warns
    assert row["evidence"]


def test_scores_that_are_not_finite_stop_the_command():
    with pytest.raises(ValueError, match=r"scores must be finite\. Received: NaN"):
        row_of([1.0, np.nan], 2 * WINDOW, True)


def test_a_call_is_judged_by_the_channel_that_looks_most_like_spoof(tmp_path, speech):
    call = np.stack([0.1 * speech[0], speech[1]], axis=1)  # loud is spoof here
    for name, sound, side in (("a.wav", call, "right"), ("b.wav", call[:, ::-1], "left")):
        soundfile.write(tmp_path / name, sound, 16_000)
        scorer = LoudnessScorer()
        (recording,) = judged([tmp_path / name], scorer)
        row = make_row(recording, scorer)
        windows = speech[1].reshape(-1, WINDOW)
        assert row["score"] == pytest.approx(scorer.score_windows(windows).mean(), abs=0.01)
        assert row["seconds"] == 4.0
        assert row["remarks"] == [
            "channels: left, right differ and are judged apart",
            f"channels: the score is that of {side}",
        ]
        assert {(own["start"] >= 0, own["end"] <= 4) for own in row["evidence"]} <= {(True, True)}


def test_a_telephone_gets_a_remark(tmp_path, speech):
    soundfile.write(tmp_path / "a.wav", soxr.resample(speech[0], 16_000, 8_000), 8_000)
    soundfile.write(tmp_path / "b.wav", speech[0], 16_000)
    scorer = LoudnessScorer()
    rows = [
        make_row(own, scorer) for own in judged([tmp_path / "a.wav", tmp_path / "b.wav"], scorer)
    ]
    assert [row["remarks"] for row in rows] == [[TELEPHONE_REMARK], []]
    assert TELEPHONE_REMARK.startswith("band: nothing above 4 kHz")
