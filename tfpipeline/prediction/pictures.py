"""What goes beside a row: timelines and explanations, one file a clip."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfpipeline.prediction.inputs import STDIN
from tfpipeline.prediction.recordings import Recording
from tfpipeline.prediction.scorers import LocalScorer

MOST_EXPLAINED_SECONDS = 600  # an explanation looks at the whole clip at once


def picture_paths(names: Sequence[str], folder: Path) -> Callable[[str], Path]:
    """Name of a file → where its picture goes; files of one name in several folders are numbered.

    Args:
        names: of all files.
        folder: of the pictures.
    """
    stems = Counter(map(_stem, names))
    places = {name: number for number, name in enumerate(names, start=1)}

    def path(name: str) -> Path:
        stem = _stem(name)
        return folder / f"{stem}-{places[name]}.png" if stems[stem] > 1 else folder / f"{stem}.png"

    return path


def timelines(names: Sequence[str], folder: Path, threshold: float) -> Callable[..., dict]:
    """(reading, row) → `timeline`, the path of the picture that was drawn; None without a score."""
    place = picture_paths(names, folder)

    def draw(recording: Recording, row: dict[str, Any]) -> dict[str, Any]:
        if row["score"] is None:
            return {"timeline": None}
        path = place(recording.name)
        draw_reading(recording, row, threshold, path)
        return {"timeline": str(path)}

    return draw


def draw_reading(recording: Recording, row: dict[str, Any], threshold: float, path: Path) -> None:
    """The timeline of a finished reading that kept its spectrogram."""
    import librosa

    from tfpipeline.data.audio import SAMPLE_RATE
    from tfpipeline.features.spectrogram import N_MELS
    from tfpipeline.reporting.timeline import BANDS_HZ, Timeline, draw_timeline

    channel, scores = recording.judged()
    spectrogram, column_seconds = channel.spectrogram.picture()
    centres = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)
    subtitle = f"score {row['score']:+.2f}, probability of spoof {row['probability']:.3f}"
    if row["reason"]:
        subtitle = f"{row['reason']}   ({subtitle})"
    draw_timeline(
        Timeline(
            Path(recording.name).name,
            row["verdict"],
            subtitle,
            channel.seconds,
            channel.places(recording.window),
            scores,
            threshold,
            spectrogram,
            column_seconds,
            np.interp(BANDS_HZ, centres, np.arange(-0.5, N_MELS + 1)),
        ),
        path,
    )


def explanations(names: Sequence[str], folder: Path, scorer: LocalScorer) -> Callable[..., dict]:
    """(reading, row) → what a row says of why: the path of a picture, or contributions.

    Args:
        names: of all files.
        folder: of the pictures, which networks are explained by.
        judge: whose run it is.
    Raises:
        ValueError: a model whose scores cannot be taken apart.
    """
    from tfpipeline.models.families import find_family
    from tfpipeline.prediction.explanation import draw_explanation, open_explainer

    place = picture_paths(names, folder)
    network = not find_family(scorer.run.config.model.name).is_classical
    explainer = (
        None
        if network
        else open_explainer(scorer.run.config.model.name, scorer.run.folder, scorer.detector)
    )

    def explain(recording: Recording, row: dict[str, Any]) -> dict[str, Any]:
        if row["score"] is None:
            return {}
        if row["seconds"] > MOST_EXPLAINED_SECONDS:
            print(
                f"note: {recording.name}: explanations are of clips up to "
                f"{MOST_EXPLAINED_SECONDS / 60:g} minutes. Cut out what it should be of.",
                file=sys.stderr,
            )
            return {}
        waveform = recording.judged_waveform()
        if explainer:
            found = explainer.explain(waveform)
            return {"base": found.base, "contributions": found.table.to_dict("records")}
        path = place(recording.name)
        draw_explanation(
            scorer.run.config,
            scorer.detector,
            waveform,
            scorer.threshold,
            Path(recording.name).name,
            path,
        )
        return {"picture": str(path)}

    return explain


def _stem(name: str) -> str:
    return "stdin" if name == STDIN else Path(name).stem
