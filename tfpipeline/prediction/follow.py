"""A stream that is judged while it arrives: a row a window, with the verdict so far.

Memory is bounded, whatever the length of the stream: of what has passed, sums and counts are kept.
"""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.live import Layout, Read, read_layout, stream_blocks
from tfpipeline.data.audio.windows import stream_windows
from tfpipeline.prediction.abstention import Activity, count_confident, reason_to_abstain
from tfpipeline.prediction.recordings import SILENT_PEAK
from tfpipeline.prediction.scorers import Scorer

FIELDS = (
    "start",
    "end",
    "score",
    "probability",
    "silent",
    "mean_score",
    "mean_probability",
    "verdict",
    "reason",
)


def follow_stream(
    read: Read, scorer: Scorer, layout: Layout | None = None
) -> Iterator[dict[str, Any]]:
    """Judges a stream window by window.

    The windows are those of `predict` for the same audio in a file: they lie side by side, and the
    last ends flush with the end of the stream, over a part of the one before it.

    Args:
        read: as `stream_blocks` takes it.
        scorer: gives the scores.
        layout: of raw samples; None: WAV.
    Yields:
        A row for each window, when its last sample has come: `start` and `end` in seconds; `score`,
        its log-odds, and `probability`, calibrated, None where a server refuses it; `silent`,
        whether it is silent; and of all windows so far, as `predict` would judge them, `mean_score`
        and `mean_probability`, `verdict`, and `reason` of an abstention.
    Raises:
        UnusableError: what comes is no audio, or holds none.
    """
    window = scorer.window
    activity, samples, done = Activity(np.inf), 0, 0
    total, scored, counts = 0.0, 0, np.zeros(3, int)

    def heard() -> Iterator[np.ndarray]:
        nonlocal samples
        for block in stream_blocks(read, layout or read_layout(read), window):
            # By pieces that end with a window, so that a row tells of nothing behind its own.
            while len(block):
                piece = block[: window - samples % window]
                samples += len(piece)
                activity.add(piece)
                yield piece
                block = block[len(piece) :]

    for own in stream_windows(heard(), window):  # (1, window)
        done += 1
        end = min(done * window, samples)
        score, refusal = None, None
        try:
            score = float(scorer.score_windows(own)[0])
            total, scored = total + score, scored + 1
        except UnusableError as error:
            refusal = " ".join(str(error).split())
        silent = bool(max(own.max(), -own.min()) < SILENT_PEAK)
        if score is not None and not silent:
            one = np.array([score])
            counts += count_confident(scorer.calibration.probability(one), one >= scorer.threshold)
        mean = total / scored if scored else None
        now = copy.copy(activity)
        now.end()  # looks at what it holds, as if this were all
        reason = refusal or reason_to_abstain(now, counts)
        called = "spoof" if mean is not None and mean >= scorer.threshold else "bonafide"
        yield {
            "start": max(0, end - window) / SAMPLE_RATE,
            "end": end / SAMPLE_RATE,
            "score": score,
            "probability": _probability(scorer, score),
            "silent": silent,
            "mean_score": mean,
            "mean_probability": _probability(scorer, mean),
            "verdict": "abstained" if reason else called,
            "reason": reason,
        }
    if not done:
        raise UnusableError("the stream ended without a sample.", "empty")


def _probability(scorer: Scorer, score: float | None) -> float | None:
    return None if score is None else float(scorer.calibration.probability(score))


@contextmanager
def until_interrupted(read: Read) -> Iterator[tuple[Read, Callable[[], bool]]]:
    """A `read` for which the stream ends at Ctrl-C, and whether it did; a second one stops at once.

    Outside of the main thread, where there are no signals, the `read` as it is.
    """
    interrupted, waiting = False, False

    def note(*_: object) -> None:
        nonlocal interrupted
        if interrupted or waiting:
            interrupted = True
            raise KeyboardInterrupt
        interrupted = True

    def read_on(size: int) -> bytes:
        nonlocal waiting
        try:
            waiting = True
            return b"" if interrupted else read(size)
        except KeyboardInterrupt:
            return b""
        finally:
            waiting = False

    if threading.current_thread() is not threading.main_thread():
        yield read, lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield read_on, lambda: interrupted
    finally:
        signal.signal(signal.SIGINT, before)
