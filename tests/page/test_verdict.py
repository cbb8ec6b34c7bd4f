"""The words of a verdict, and that its numbers are those of `predict`."""

import base64
import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
from matplotlib.image import imread

import tfpipeline as tfp
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.page import verdict
from tfpipeline.page.verdict import (
    ABSTENTIONS,
    describe_run,
    explain_file,
    in_percent,
    judge_file,
    model_card,
)
from tfpipeline.prediction.predict_files import FIELDS


class LoudnessScorer:
    """A window's score is how loud it is, from -8 of silence to 8."""

    name, window, batch_size, threshold = "loudness", 16_000, 4, 0.0
    calibration = Calibration(1.0, 0.0, 0.5)

    def score_windows(self, windows):
        return np.clip(400 * np.sqrt(np.mean(windows**2, axis=1)) - 8, -8, 8).astype(float)


@pytest.fixture
def write(tmp_path):
    def write(name, waveform, rate=16_000):
        path = tmp_path / name
        soundfile.write(path, waveform, rate, format="WAV")
        return path

    return write


def judged(path, name="a.wav", events=None, **how):
    found = judge_file(
        path, name, [LoudnessScorer()], (events if events is not None else []).append, **how
    )
    return found, found["results"][0]


def test_loud_speech_sounds_synthetic_and_faint_speech_human(write, speech):
    found, own = judged(write("a.wav", speech[0] / np.abs(speech[0]).max()))
    assert (own["verdict"], own["headline"]) == ("spoof", "Sounds synthetic")
    assert own["percent"] == "more than 99 %"
    assert own["threshold"] == 0.5
    assert [window[:2] for window in own["windows"]] == [[0, 1], [1, 2], [2, 3], [3, 4]]
    picture = imread(io.BytesIO(base64.b64decode(found["picture"].partition(",")[2])))
    assert picture.shape[0] == 80  # mel bands
    _, own = judged(write("b.wav", speech[0] / 30), picture=False)
    assert (own["verdict"], own["headline"]) == ("bonafide", "Sounds human")
    assert own["percent"] == "less than 1 %"


def test_a_verdict_near_the_threshold_leans():
    row = {"score": 0.3, "verdict": "spoof", "confidence": 0.57, "reason": None}
    assert verdict._headline(row) == "Leans towards synthetic"
    assert "near the line" in verdict._meaning(row)


def test_windows_that_disagree_give_no_verdict_and_parts_of_both_kinds(write, speech):
    loud = speech[0] / np.abs(speech[0]).max()
    _, own = judged(write("a.wav", np.concatenate([loud, speech[1] / 30])))
    assert own["headline"] == "No verdict"
    assert own["meaning"] == ABSTENTIONS["windows disagree"]
    assert {percent for *_, percent in own["evidence"]} == {"more than 99 %", "less than 1 %"}


@pytest.mark.parametrize(
    ("waveform", "kind"),
    [
        (np.sin(np.arange(6_000) / 5), "too short"),
        (np.sin(np.arange(32_000) / 5) * 5e-4, "too quiet"),
        (np.sin(np.arange(32_000) / 5) / 2, "no speech"),
    ],
)
def test_every_abstention_has_words(write, waveform, kind):
    _, own = judged(write("a.wav", waveform))
    assert own["meaning"] == ABSTENTIONS[kind]
    assert own["detail"].startswith(kind)


def test_remarks_are_sentences(write, speech):
    short = write("a.wav", speech[0, 16_000:28_000] / np.abs(speech[0]).max())
    assert judged(short)[1]["remarks"] == [
        "Shorter than the 1 s that the detector hears at once, so it was repeated; "
        "the verdict is less certain."
    ]
    narrow = write("b.wav", soxr.resample(speech[0], 16_000, 8_000), 8_000)
    assert judged(narrow)[1]["remarks"] == [
        "Nothing above 4 kHz, as from a telephone; the verdict is less certain."
    ]


def test_a_text_is_told_to_be_none(tmp_path):
    path = tmp_path / "upload"
    path.write_bytes(b"no sound\n" * 90)
    found, own = judged(path, "no\nte.wav")
    assert (own["headline"], own["verdict"]) == ("Cannot be judged", None)
    assert own["meaning"] == "This file cannot be read as a recording."
    assert own["detail"].startswith(r"no\nte.wav: ")
    assert found["picture"] is None


@pytest.mark.parametrize("name", ["=1+1.wav", "+a.wav", "@a.wav", "-a.wav"])
def test_no_name_is_a_formula(write, speech, name):
    _, own = judged(write("a.wav", speech[0]), name)
    (row,) = csv.DictReader(io.StringIO(own["csv"]), FIELDS)
    assert row["path"] == f"'{name}"


def test_progress_reaches_the_end_and_may_stop(write, speech):
    path, events = write("a.wav", np.tile(speech[0], 4)), []
    judged(path, events=events)
    assert [event["progress"] for event in events] == [0.25, 0.5, 0.75, 1]

    def stop(event):
        raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        judge_file(path, "a.wav", [LoudnessScorer()], stop)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0, "less than 1 %"), (0.01, "1 %"), (0.555, "56 %"), (0.99, "99 %"), (1, "more than 99 %")],
)
def test_percent_is_never_certain(probability, text):
    assert in_percent(probability) == text


def test_errors_are_counts_and_a_card_is_found(tmp_path):
    test = {"n_bonafide": 23, "n_spoof": 46, "false_alarm_rate": 2 / 23, "miss_rate": 5 / 46}
    metrics = {"parts": {"test": test, "unseen": {"n_spoof": 23, "miss_rate": None}}}
    scorer = SimpleNamespace(name="x", run=SimpleNamespace(metrics=metrics, folder=tmp_path))
    about = describe_run(scorer)
    assert about["errs"] == [
        "2 of 23 human recordings were taken for synthetic.",
        "5 of 46 synthetic recordings were taken for human.",
    ]
    assert not about["card"]
    (tmp_path / "README.md").write_text("# A card")
    assert describe_run(scorer)["card"]
    assert model_card(scorer).name == "README.md"


def test_numbers_are_those_of_predict(sure_run, two_clips):
    detector = tfp.load(sure_run)
    expected = detector.predict(two_clips.fake)
    own = judge_file(two_clips.fake, "a.wav", [detector.scorer], lambda event: None)["results"][0]
    assert own["probability"] == expected.probability
    assert own["verdict"] == expected.label == "spoof"
    assert own["windows"] == [[0, 4, round(expected.probability, 3)]]
    json.dumps(own, allow_nan=False)


def test_a_network_is_explained_by_a_picture(sure_run, two_clips, tmp_path):
    scorer = tfp.load(sure_run).scorer
    found = explain_file(two_clips.fake, scorer)
    assert found["picture"].startswith("data:image/png;base64,iVBOR")
    text = tmp_path / "a.wav"
    text.write_text("no sound")
    with pytest.raises(ValueError, match="cannot be decoded"):
        explain_file(text, scorer)
