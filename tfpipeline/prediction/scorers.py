"""Who gives the scores: a run's own model in this process, or a server of its exported graph."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Protocol

import numpy as np

from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.runs import layout

# Of a run folder: all that a row depends on.
JUDGING_FILES = (
    layout.CONFIG,
    layout.CALIBRATION,
    layout.METRICS,
    layout.NETWORK,
    layout.CLASSICAL,
)
REFUSED = "refused"  # by a server, in a row's status


class Scorer(Protocol):
    """Scores windows, and knows how to read the scores.

    Attributes:
        name: of the run or server.
        fingerprint: of all that its scores, probabilities and verdicts depend on.
        window: samples in a window.
        batch_size: most windows that are scored at once.
        calibration: scores into probabilities.
        threshold: on raw scores; a clip is called spoof where score >= threshold.
    """

    name: str
    fingerprint: str
    window: int
    batch_size: int
    calibration: Calibration
    threshold: float

    def score_windows(self, windows: np.ndarray) -> np.ndarray:
        """float32 (n, window) → raw log-odds, float64 (n,), higher = more likely spoof.

        Raises:
            UnusableError: one of the windows, or the request as a whole, is refused.
            OSError, ValueError: there is nobody to ask any more.
        """


class LocalScorer:
    """A run's model: its code and weights, never its SavedModel.

    Attributes:
        run, detector: what it is made of.

    Args:
        folder: of the run.
    """

    batch_size = 32

    def __init__(self, folder: Path):
        import tensorflow as tf

        from tfpipeline.runs.run import load_detector, open_run

        self.run = open_run(folder)
        self.detector = load_detector(self.run)
        self.name = folder.name
        self.window = self.detector.window
        self.calibration, self.threshold = self.run.calibration, self.run.threshold
        self.fingerprint = files_digest(folder)
        model = self.detector.model
        self._score = tf.function(
            lambda waveform: model(waveform, training=False)[:, 0],
            input_signature=[tf.TensorSpec([None, self.window], tf.float32)],
            autograph=False,
        )

    def score_windows(self, windows: np.ndarray) -> np.ndarray:
        return self._score(windows).numpy().astype(np.float64)


class RemoteScorer:
    """A server of an exported graph; what its contract says takes the place of the run.

    Args:
        client: of `tfpipeline.serving.client.client.open_client`.
        url: of the server, for messages.
    Raises:
        ValueError: as `tfpipeline.serving.contract.check_contract`.
    """

    batch_size = 8  # 2 MB: requests have limits

    def __init__(self, client, url: str):
        from tfpipeline.serving.contract import check_contract

        self._client, self._url = client, url
        contract = check_contract(client.contract(), url)
        self.name = contract["name"]
        self.window = contract["window_samples"]
        self.threshold = float(contract["threshold"]["value"])
        own = contract["calibration"]
        self.calibration = Calibration(*(float(own[key]) for key in ("a", "b", "prior")))
        text = json.dumps(contract, sort_keys=True)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def score_windows(self, windows: np.ndarray) -> np.ndarray:
        try:
            scores = self._client.score_windows(windows)
        except (ValueError, OSError) as error:
            # Whatever failed, time-outs and faults of the server included: while it still tells its
            # contract, the windows are at fault. If it does not, that error ends the list.
            self._client.contract()
            raise UnusableError(str(error), REFUSED) from None
        if not np.isfinite(scores).all():
            raise UnusableError(f"{self._url} gives no score of a window.", REFUSED)
        return scores


def files_digest(folder: Path) -> str:
    """One hash of all files of a run that its rows depend on."""
    digest = hashlib.sha256()
    for name in JUDGING_FILES:
        path = folder / name
        if path.is_file():
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
