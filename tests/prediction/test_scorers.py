"""A run in this process and a server that holds the same graph judge alike."""

import io

import numpy as np
import pytest
import soundfile
from servers import make_contract

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.prediction.scorers import RemoteScorer
from tfpipeline.serving import status

WINDOW = 16_000
CONTRACT = make_contract(version=2) | {
    "name": "cnn",
    "window_samples": WINDOW,
    "calibration": {"a": 2.0, "b": -1.0, "prior": 0.25},
}


def score(windows):
    return 1e3 * np.abs(windows.astype(np.float64)).mean(axis=-1)


class FakeClient:
    """Answers as the contract says: silent windows have no score on their own."""

    def __init__(self, **changes):
        self._contract = CONTRACT | changes

    def contract(self):
        return self._contract

    def score_windows(self, windows):
        silent = np.abs(windows).max(axis=1) < 1e-4
        return np.where(silent, np.nan, score(windows)), np.where(silent, status.SILENT, status.OK)

    def segment_audio(self, contents):
        (own,) = contents
        sound, rate = soundfile.read(io.BytesIO(own), dtype="float32")
        assert rate == 16_000
        if len(sound) < 800:
            return [{"status": status.TOO_SHORT, "windows": 0, "window_score": []}]
        windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
        own = score(windows).tolist()
        return [{"status": status.OK, "windows": len(own), "window_score": own}]


def test_the_contract_takes_the_place_of_the_run():
    scorer = RemoteScorer(FakeClient(), "grpc://here")
    assert (scorer.name, scorer.window, scorer.threshold) == ("cnn", WINDOW, 0.5)
    assert (scorer.calibration.a, scorer.calibration.b, scorer.calibration.prior) == (2, -1, 0.25)
    same, other = RemoteScorer(FakeClient(), "a"), RemoteScorer(FakeClient(name="b"), "a")
    assert scorer.fingerprint == same.fingerprint != other.fingerprint


def test_bad_contracts_are_refused():
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


def test_refusals_are_told(speech):
    scorer = RemoteScorer(FakeClient(), "grpc://here")
    file = io.BytesIO()
    soundfile.write(file, speech[0, :700], 16_000, format="WAV")
    with pytest.raises(UnusableError, match="the server says: too short") as said:
        scorer.score_bytes(file.getvalue())
    assert said.value.kind == "too short"

    class Refusing(FakeClient):
        def score_windows(self, windows):
            return np.full(len(windows), np.nan), np.full(len(windows), status.TOO_LONG)

    with pytest.raises(ValueError, match="a window was refused as too long"):
        RemoteScorer(Refusing(), "grpc://here").score_windows(speech)
