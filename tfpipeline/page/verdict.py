"""A recording's verdict as the page shows it: in words, with the score over time.

The scores and rows are those of `predict`; here they are only put into words.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.decode import expected_seconds
from tfpipeline.prediction.pictures import MOST_EXPLAINED_SECONDS, explanations
from tfpipeline.prediction.predict_files import make_row, score_files
from tfpipeline.prediction.recordings import Recording
from tfpipeline.prediction.rows import csv_line, printable
from tfpipeline.prediction.scorers import LocalScorer
from tfpipeline.reporting.timeline import spectrogram_png
from tfpipeline.serving.status import CLIPPED, STATUSES

Tell = Callable[[dict[str, Any]], None]

CARDS = ("model_card.md", "MODEL_CARD.md", "README.md")  # of a run folder
SURE = 0.8  # probability of the verdict; below, it only leans
MOST_FEATURES = 8  # of an explanation
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

SOUNDS = {"spoof": "synthetic", "bonafide": "human"}
MEANINGS = {
    "spoof": (
        "The detector found what it knows from synthetic voices: speech that a computer made or "
        "changed."
    ),
    "bonafide": (
        "The detector found nothing that it knows from synthetic voices. A voice made in a way "
        "that it has not learned can sound human to it."
    ),
}
ABSTENTIONS = {
    "too short": "The recording is too short.",
    "too quiet": "The recording is too quiet.",
    "no speech": "There is too little speech in it. Whispering does not count as speech.",
    "windows disagree": (
        "Some parts sound human and others synthetic. Voices may have been mixed or cut "
        "together: listen to the parts below."
    ),
}
FAULTS = {
    "not audio": "This file cannot be read as a recording.",
    "empty": "There is nothing in this file.",
    "too short": "The recording is too short.",
    "too long": "The recording is too long.",
    "silent": "The recording is silent.",
    "not finite": "The recording is damaged.",
}


def judge_file(
    path: Path, name: str, scorers: list[LocalScorer], tell: Tell, picture: bool = True
) -> dict[str, Any]:
    """Judges a file by each run.

    Args:
        path: of the file.
        name: as the user named it.
        scorers: of the runs.
        tell: takes `{"progress": share or None, "seconds": judged so far}` after each batch; what
            it raises ends the judging.
        picture: with the spectrogram.
    Returns:
        `name`; `results`, one a run, of `put_into_words`; `picture`, the spectrogram as a data
        address, or None.
    """
    length, done = expected_seconds(path), 0.0

    def progress(seconds: float) -> None:
        nonlocal done
        done += seconds
        # Channels that are judged apart take longer than the header tells.
        share = min(done / (length * len(scorers)), 1) if length else None
        tell({"progress": share, "seconds": done})

    results, png = [], None
    for scorer in scorers:
        recording = Recording(path, printable(name), scorer.window, picture and png is None)
        (recording,) = score_files([recording], scorer, progress)
        row = make_row(recording, scorer)
        results.append(put_into_words(row, recording, scorer))
        if recording.error:
            continue
        channel, _ = recording.judged()
        if channel.spectrogram:
            png = spectrogram_png(channel.spectrogram.picture()[0])
    return {"name": printable(name), "results": results, "picture": png and _address(png)}


def put_into_words(
    row: dict[str, Any], recording: Recording, scorer: LocalScorer
) -> dict[str, Any]:
    """What the page shows of a row of `predict`.

    Returns:
        `run`; `verdict` and `seconds` of the row; `headline`, `meaning` and `detail` in words;
        `probability`, `percent` for people, and `threshold` on its scale; `remarks`, sentences;
        `windows`, each start, end and probability; `evidence`, the strongest of them; `csv`, the
        row as `predict --csv` prints it, but for names that a spreadsheet would take for a formula.
    """
    shown = {
        "run": scorer.name,
        "verdict": row["verdict"],
        "seconds": row["seconds"],
        "headline": _headline(row),
        "meaning": _meaning(row),
        "detail": row["reason"],
        "probability": row["probability"],
        "percent": None if row["score"] is None else in_percent(row["probability"]),
        "remarks": _remarks(row, scorer.window),
        "windows": [],
        "evidence": [],
        "csv": csv_line(row | {key: _no_formula(row[key]) for key in ("path", "reason")}),
    }
    if row["score"] is None:
        return shown
    probability = scorer.calibration.probability
    channel, scores = recording.judged()
    places = np.column_stack([channel.places(recording.window), probability(scores)])
    evidence = [
        [own["start"], own["end"], in_percent(probability(own["score"]))] for own in row["evidence"]
    ]
    return shown | {
        "threshold": float(probability(scorer.threshold)),
        "windows": np.round(places, 3).tolist(),
        "evidence": evidence,
    }


def explain_file(path: Path, scorer: LocalScorer) -> dict[str, Any]:
    """Why a file gets its score.

    Returns:
        `picture`, a data address, of a network; `features`, names and contributions in log-odds,
        of a model on hand-made features; or `note`, why there is neither.
    Raises:
        ValueError: it cannot be judged, or the model's scores cannot be taken apart.
    """
    name = "recording"
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(path, name, scorer.window)
        (recording,) = score_files([recording], scorer)
        if recording.error:
            raise recording.error
        row = make_row(recording, scorer)
        found = explanations([name], Path(folder), scorer)(recording, row)
        if "picture" in found:
            return {"picture": _address(Path(found["picture"]).read_bytes())}
    if "contributions" in found:
        own = found["contributions"][:MOST_FEATURES]
        return {"features": [[item["feature"], item["contribution"]] for item in own]}
    return {
        "note": f"Only recordings up to {MOST_EXPLAINED_SECONDS // 60} minutes can be explained. "
        "Cut out the part that matters."
    }


def describe_run(scorer: LocalScorer) -> dict[str, Any]:
    """What the page says of a run: `name`, how often it `errs` in its own test, and its `card`."""
    metrics = scorer.run.metrics
    return {
        "name": scorer.name,
        "errs": _errors(metrics),
        "card": model_card(scorer) is not None,
    }


def model_card(scorer: LocalScorer) -> Path | None:
    """The file in the run folder that describes the model; None if there is none."""
    paths = (scorer.run.folder / name for name in CARDS)
    return next((path for path in paths if path.is_file()), None)


def in_percent(probability: float) -> str:
    """A probability in whole percent, never 0 or 100."""
    if probability < 0.01:
        return "less than 1 %"
    return "more than 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def _headline(row: dict[str, Any]) -> str:
    if row["score"] is None:
        return "Cannot be judged"
    if row["verdict"] == "abstained":
        return "No verdict"
    return f"{'Sounds' if row['confidence'] >= SURE else 'Leans towards'} {SOUNDS[row['verdict']]}"


def _meaning(row: dict[str, Any]) -> str:
    if row["score"] is None:
        return FAULTS.get(row["status"], "This file could not be judged.")
    if row["verdict"] == "abstained":
        return ABSTENTIONS[row["reason"].partition(":")[0]]
    text = MEANINGS[row["verdict"]]
    if row["confidence"] < SURE:
        text += " It is not sure: the recording lies near the line between both."
    return text


def _remarks(row: dict[str, Any], window: int) -> list[str]:
    """What was noticed about the file, as sentences."""
    told = [remark.partition(": ")[2] or remark for remark in row["remarks"]]
    seconds = window / SAMPLE_RATE
    if row["score"] is not None and row["seconds"] < seconds:
        told.append(
            f"shorter than the {seconds:g} s that the detector hears at once, so it was repeated; "
            "the verdict is less certain"
        )
    if row["status"] == STATUSES[CLIPPED]:
        told.append("overdriven: its loudest parts are cut off; the verdict is less certain")
    return [f"{text[:1].upper()}{text[1:]}." for text in told]


def _errors(metrics: dict[str, Any]) -> list[str]:
    """How often the run erred on the parts that it was tested on, one sentence a fact."""
    test, unseen = (metrics.get("parts", {}).get(part) or {} for part in ("test", "unseen"))
    rates = (
        (test, "n_bonafide", "false_alarm_rate", "human recordings were taken for synthetic"),
        (test, "n_spoof", "miss_rate", "synthetic recordings were taken for human"),
        (
            unseen,
            "n_spoof",
            "miss_rate",
            "synthetic ones made in a way new to it were taken for human",
        ),
    )
    return [
        f"{round(part[rate] * part[count])} of {part[count]} {what}."
        for part, count, rate, what in rates
        if part.get(rate) is not None
    ]


def _no_formula(text: str | None) -> str | None:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text and text.startswith(FORMULA_STARTS) else text


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
