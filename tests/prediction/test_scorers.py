"""A run in this process and a server that holds the same graph judge alike."""

import numpy as np
import pytest
from servers import make_contract

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.prediction.scorers import RemoteScorer, choose_threshold

WINDOW = 16_000
CONTRACT = make_contract(version=2) | {
    "name": "cnn",
    "window_samples": WINDOW,
    "calibration": {"a": 2.0, "b": -1.0, "prior": 0.25},
}


def score(windows):
    return 1e3 * np.abs(windows.astype(np.float64)).mean(axis=-1)


class FakeClient:
    """Answers as the contract says: each window by itself, silent or not."""

    def __init__(self, **changes):
        self._contract = CONTRACT | changes

    def contract(self):
        return self._contract

    def score_windows(self, windows):
        return score(windows)


def test_the_contract_takes_the_place_of_the_run():
    scorer = RemoteScorer(FakeClient(), "grpc://here")
    assert (scorer.name, scorer.window, scorer.threshold) == ("cnn", WINDOW, 0.5)
    assert (scorer.calibration.a, scorer.calibration.b, scorer.calibration.prior) == (2, -1, 0.25)
    same, other = RemoteScorer(FakeClient(), "a"), RemoteScorer(FakeClient(name="b"), "a")
    assert scorer.fingerprint == same.fingerprint != other.fingerprint


def test_bad_contracts_are_refused():
    with pytest.raises(
        ValueError, match=r"grpc://here: schema must be 2 or 3\. Received: 1"
    ) as old:
        RemoteScorer(FakeClient(schema=1), "grpc://here")
    assert "Export again with this one" in str(old.value)
    assert "\n" not in str(old.value)
    with pytest.raises(ValueError, match="grpc://here: expected 16000 Hz"):
        RemoteScorer(FakeClient(sample_rate=8_000), "grpc://here")
    with pytest.raises(ValueError, match=r"grpc://here: threshold\.value must be"):
        RemoteScorer(FakeClient(threshold={}), "grpc://here")


def test_a_silent_window_of_a_clip_gets_the_score_that_the_model_gives(speech):
    scorer = RemoteScorer(FakeClient(), "grpc://here")
    windows = speech[0].reshape(-1, WINDOW).copy()
    windows[1] = 5e-5
    scores = scorer.score_windows(windows)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, score(windows), rtol=1e-6)
    assert scores[1] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (ValueError("it refuses the request"), UnusableError, "it refuses the request"),
        (np.array([1.0, np.nan]), UnusableError, "grpc://here gives no score of a window"),
        (ConnectionError("it failed: out of memory"), UnusableError, "it failed: out of memory"),
        (TimeoutError("no answer within 120 s"), UnusableError, "no answer within 120 s"),
    ],
)
def test_what_the_server_cannot_score_is_refused(speech, answer, error, message):
    class Refusing(FakeClient):
        def score_windows(self, windows):
            if isinstance(answer, Exception):
                raise answer
            return answer

    with pytest.raises(error, match=message) as raised:
        RemoteScorer(Refusing(), "grpc://here").score_windows(speech[:2])
    assert raised.value.kind == "refused"


@pytest.mark.parametrize(
    ("failure", "lost"),
    [
        (ConnectionError("6 tries failed"), ConnectionError("contract: 6 tries failed")),
        (TimeoutError("late"), TimeoutError("contract: late")),
        (ValueError("Servable not found"), ValueError("contract: Servable not found")),
    ],
)
def test_a_server_that_is_lost_is_no_refusal(speech, failure, lost):
    class Lost(FakeClient):
        def score_windows(self, windows):
            self.contract = self.fail
            raise failure

        def fail(self):
            raise lost

    with pytest.raises(type(lost), match=r"^contract: ") as raised:
        RemoteScorer(Lost(), "grpc://here").score_windows(speech[:2])
    assert not isinstance(raised.value, UnusableError)


def test_another_threshold_changes_verdicts_and_whose_rows_they_are():
    offered = {"eer": {"value": 0.5}, "far1": {"value": 2.0}}
    for given, value in ((None, 0.5), ("eer", 0.5), ("far1", 2.0), ("-1.25", -1.25), (3, 3.0)):
        assert choose_threshold(given, offered, "cnn") == value
    for wrong in ("far2", "nan", "inf", ""):
        with pytest.raises(ValueError, match="must be one of eer, far1, or a score"):
            choose_threshold(wrong, offered, "cnn")
    strict = RemoteScorer(FakeClient(thresholds=offered), "a", "far1")
    usual = RemoteScorer(FakeClient(thresholds=offered), "a")
    assert (strict.threshold, usual.threshold) == (2.0, 0.5)
    assert strict.fingerprint != usual.fingerprint
