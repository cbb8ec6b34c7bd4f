"""Who gives the scores: a run's own model in this process, or a server of its exported graph."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
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
        threshold: as for `choose_threshold`.
    """

    batch_size = 32

    def __init__(self, folder: Path, threshold: str | float | None = None):
        import tensorflow as tf

        from tfpipeline.runs.run import load_detector, open_run

        self.run = open_run(folder)
        self.detector = load_detector(self.run)
        self.name = folder.name
        self.window = self.detector.window
        self.calibration = self.run.calibration
        self.threshold = choose_threshold(threshold, self.run.thresholds, str(folder))
        self.fingerprint = _with_threshold(files_digest(folder), threshold)
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
        threshold: as for `choose_threshold`.
    Raises:
        ValueError: as `choose_threshold` and `tfpipeline.serving.contract.check_contract`.
    """

    batch_size = 8  # 2 MB: requests have limits

    def __init__(self, client, url: str, threshold: str | float | None = None):
        from tfpipeline.serving.contract import check_contract

        self._client, self._url = client, url
        contract = check_contract(client.contract(), url)
        self.name = contract["name"]
        self.window = contract["window_samples"]
        offered = contract.get("thresholds", {"eer": contract["threshold"]})
        self.threshold = choose_threshold(threshold, offered, url)
        calibration = contract["calibration"]
        self.calibration = Calibration(*(float(calibration[key]) for key in ("a", "b", "prior")))
        text = json.dumps(contract, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.fingerprint = _with_threshold(digest, threshold)

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


def choose_threshold(
    threshold: str | float | None, offered: Mapping[str, Mapping], source: str
) -> float:
    """The raw score from which a clip is called spoof.

    Args:
        threshold: a name such as `eer` or `far1` (at most 1 % false alarms on validation), or a
            score; None: `eer`.
        offered: the run's thresholds by name.
        source: named in errors.
    Raises:
        ValueError: neither a name that is offered nor a finite number.
    """
    name = "eer" if threshold is None else threshold
    if name in offered:
        return float(offered[name]["value"])
    try:
        value = float(name)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"--threshold must be one of {', '.join(offered)}, or a score. Received: {threshold!r} "
            f"for {source}."
        )
    return value


def _with_threshold(digest: str, threshold: str | float | None) -> str:
    """A fingerprint that differs where verdicts do; that of the default is as it always was."""
    return digest if threshold is None else f"{digest}@{threshold}"


def files_digest(folder: Path) -> str:
    """SHA-256 of all in a run folder that its scores and verdicts depend on."""
    digest = hashlib.sha256()
    for name in JUDGING_FILES:
        path = folder / name
        if path.is_file():
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
