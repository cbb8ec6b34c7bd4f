"""Files become rows: decoded in threads, scored in batches across files, given out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.bandwidth import TELEPHONE_REMARK
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.prediction.abstention import count_confident, reason_to_abstain
from tfpipeline.prediction.recordings import Channel, Recording
from tfpipeline.prediction.scorers import Scorer
from tfpipeline.serving.status import CLIPPED, CLIPPED_SHARE, OK, STATUSES

# Threads that decode, and files that are read or being read ahead of the one that is scored.
WORKERS, AHEAD_FILES = 2, 40
EVIDENCE_WINDOWS = 3

FIELDS = (
    "path",
    "seconds",
    "score",
    "llr",
    "probability",
    "verdict",
    "confidence",
    "evidence",
    "reason",
    "status",
    "remarks",
)


def score_files(
    readings: Iterable[Recording],
    scorer: Scorer,
    progress: Callable[[float], None] = lambda _: None,
) -> Iterator[Recording]:
    """Reads and scores files, each window in a batch with those of its neighbours.

    The first files are scored as soon as they are read; batches fill where reading is ahead.

    Args:
        readings: fresh ones, in order; they are taken as they are needed.
        judge: gives the scores.
        progress: is told how many seconds of audio have been scored, after each batch.
    Yields:
        The same readings, finished, in order: with as many scores as windows, or an error, which a
        window that the scorer refuses is for its own file alone.
    """
    upcoming = iter(readings)
    reading_now: deque[tuple[Recording, Future]] = deque()
    owed: deque[Recording] = deque()
    held: deque[tuple[Recording, np.ndarray]] = deque()

    def score_batch() -> None:
        parts, owners = [], []
        while held and len(owners) < scorer.batch_size:
            own, windows = held.popleft()
            if own.error:
                continue
            taken = windows[: scorer.batch_size - len(owners)]
            if len(taken) < len(windows):
                held.appendleft((own, windows[len(taken) :]))
            parts.append(taken)
            owners.extend([own] * len(taken))
        if owners:
            _score(scorer, np.concatenate(parts), owners)
            progress(len(owners) * scorer.window / SAMPLE_RATE)

    def complete() -> Iterator[Recording]:
        while (
            owed
            and owed[0].finished
            and (owed[0].error or len(owed[0].scores) >= owed[0].read_windows)
        ):
            yield owed.popleft()

    pool = ThreadPoolExecutor(WORKERS)
    try:
        while True:
            while len(reading_now) < AHEAD_FILES and (own := next(upcoming, None)) is not None:
                reading_now.append((own, pool.submit(own.read)))
            if not reading_now:
                break
            own, future = reading_now.popleft()
            while held and not future.done():
                score_batch()
                yield from complete()
            windows, last = future.result()
            if not owed or owed[-1] is not own:
                owed.append(own)
            if len(windows):
                held.append((own, windows))
            own.finished = last or own.error is not None
            if not own.finished:
                reading_now.appendleft((own, pool.submit(own.read)))
            while sum(len(windows) for _, windows in held) >= scorer.batch_size:
                score_batch()
            yield from complete()
        while held:
            score_batch()
            yield from complete()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _score(scorer: Scorer, windows: np.ndarray, owners: list[Recording]) -> None:
    """Scores a batch; one that is refused again window by window, to find whose fault it is."""
    try:
        scores = scorer.score_windows(windows)
    except UnusableError as error:
        if len(owners) == 1:
            owners[0].error = UnusableError(f"{owners[0].name}: {error}", error.kind)
            return
        for at, own in enumerate(owners):
            if not own.error:
                _score(scorer, windows[at : at + 1], [own])
        return
    for own, score in zip(owners, scores.tolist(), strict=True):
        own.scores.append(score)


def make_row(recording: Recording, scorer: Scorer) -> dict[str, Any]:
    """The row of a finished reading.

    Returns:
        `path`; `seconds`; `score`, the raw log-odds, mean over windows, of channels that are judged
        apart the highest; `llr` and `probability` of
        spoof, calibrated; `verdict`: `spoof` where score >= threshold, else `bonafide`, or
        `abstained`; `confidence`, the calibrated probability that the verdict is right:
        `probability` of a spoof, 1 - `probability` of a bonafide clip, None of an abstained one
        (near the threshold it may be below a half, since the threshold is chosen for equal error
        rates, not at a probability of a half); `evidence`: of the windows, at most
        `EVIDENCE_WINDOWS` that are not silent and speak most for the verdict, the strongest first,
        each `start` and `end` in seconds and `score`, and of a clip whose windows disagree the
        strongest of both sides; `reason` of an abstention, or what is wrong with the file;
        `status`: `ok`, `clipped` (more than a thousandth of the samples at full scale), or in a
        word why there is no score; `remarks`: what was noticed about the file, each `kind: what`.
        What there is not is None.
    """
    row: dict[str, Any] = dict.fromkeys(FIELDS)
    row |= {"path": recording.name, "evidence": [], "status": "ok", "remarks": [*recording.remarks]}
    if recording.error:
        return row | {"status": _status(recording.error), "reason": error_line(recording)}
    if not np.isfinite(recording.scores).all():
        raise ValueError(
            f"{recording.name}: scores must be finite. Received: NaN or infinity from "
            f"{scorer.name}. Are its weights damaged?"
        )
    channel, scores = recording.judged()
    if len(recording.channels) > 1:
        row["remarks"].append(f"channels: the score is that of {channel.name}")
    if channel.bandwidth.is_telephone():
        row["remarks"].append(TELEPHONE_REMARK)
    score = float(scores.mean())
    probability = float(scorer.calibration.probability(score))
    spoof = score >= scorer.threshold
    clipped = channel.clipped > CLIPPED_SHARE * channel.samples
    # A silent window has a part in the score, as in training, but says nothing by itself.
    heard = scores[~np.array(channel.silent)]
    counts = count_confident(scorer.calibration.probability(heard), heard >= scorer.threshold)
    reason = reason_to_abstain(channel.activity, counts)
    row |= {
        "seconds": channel.seconds,
        "score": score,
        "llr": float(scorer.calibration.llr(score)),
        "probability": probability,
        "reason": reason,
        "status": STATUSES[CLIPPED if clipped else OK],
    }
    if reason is None:
        row["verdict"] = "spoof" if spoof else "bonafide"
        row["confidence"] = probability if spoof else 1 - probability
        row["evidence"] = _strongest(channel, recording.window, scores, scorer.threshold, [spoof])
    else:
        row["verdict"] = "abstained"
        if reason.startswith("windows disagree"):
            row["evidence"] = _strongest(
                channel, recording.window, scores, scorer.threshold, [True, False]
            )
    return row


def error_line(recording: Recording) -> str:
    """What is wrong with a file, in one line."""
    return " ".join(str(recording.error).split())


def _strongest(
    channel: Channel, window: int, scores: np.ndarray, threshold: float, sides: list[bool]
) -> list[dict[str, float]]:
    """The windows furthest on each side of the threshold that is asked for: True is spoof's."""
    places, found = channel.places(window), []
    for spoof in sides:
        order = np.argsort(-scores if spoof else scores, kind="stable")
        own = [at for at in order if (scores[at] >= threshold) == spoof and not channel.silent[at]]
        found += own[: EVIDENCE_WINDOWS if len(sides) == 1 else 1]
    return [
        {"start": float(places[at, 0]), "end": float(places[at, 1]), "score": float(scores[at])}
        for at in found
    ]


def _status(error: Exception) -> str:
    if isinstance(error, UnusableError):
        return error.kind
    if isinstance(error, FileNotFoundError):
        return "missing"
    return "unreadable" if isinstance(error, OSError) else "not audio"
