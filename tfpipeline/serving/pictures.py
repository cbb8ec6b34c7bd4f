"""What goes beside a row: timelines and explanations, one file a clip."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfpipeline.serving.inputs import STDIN
from tfpipeline.serving.judges import LocalJudge
from tfpipeline.serving.reading import Reading

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

    def draw(reading: Reading, row: dict[str, Any]) -> dict[str, Any]:
        if row["score"] is None:
            return {"timeline": None}
        path = place(reading.name)
        draw_reading(reading, row, threshold, path)
        return {"timeline": str(path)}

    return draw


def draw_reading(reading: Reading, row: dict[str, Any], threshold: float, path: Path) -> None:
    """The timeline of a finished reading that kept its spectrogram."""
    import librosa

    from tfpipeline.data.audio import SAMPLE_RATE
    from tfpipeline.evaluation.timeline import BANDS_HZ, Timeline, draw_timeline
    from tfpipeline.serving.spectrogram import N_MELS

    channel, scores = reading.judged()
    spectrogram, column_seconds = channel.spectrogram.picture()
    centres = librosa.mel_frequencies(N_MELS + 2, fmin=0, fmax=SAMPLE_RATE / 2)
    subtitle = f"score {row['score']:+.2f}, probability of spoof {row['probability']:.3f}"
    if row["reason"]:
        subtitle = f"{row['reason']}   ({subtitle})"
    draw_timeline(
        Timeline(
            Path(reading.name).name, row["verdict"], subtitle, channel.seconds,
            channel.places(reading.window), scores, threshold, spectrogram, column_seconds,
            np.interp(BANDS_HZ, centres, np.arange(-0.5, N_MELS + 1)),
        ),
        path,
    )  # fmt: skip


def explanations(names: Sequence[str], folder: Path, judge: LocalJudge) -> Callable[..., dict]:
    """(reading, row) → what a row says of why: the path of a picture, or contributions.

    Args:
        names: of all files.
        folder: of the pictures, which networks are explained by.
        judge: whose run it is.
    Raises:
        ValueError: a model whose scores cannot be taken apart.
    """
    from tfpipeline.models import NETWORKS
    from tfpipeline.serving.explanation import draw_explanation, open_explainer

    place = picture_paths(names, folder)
    network = judge.run.config.model.name in NETWORKS
    explainer = (
        None if network else open_explainer(judge.run.config.model.name, judge.run.folder,
                                            judge.detector)
    )  # fmt: skip

    def explain(reading: Reading, row: dict[str, Any]) -> dict[str, Any]:
        if row["score"] is None:
            return {}
        if row["seconds"] > MOST_EXPLAINED_SECONDS:
            print(
                f"note: {reading.name}: explanations are of clips up to "
                f"{MOST_EXPLAINED_SECONDS / 60:g} minutes. Cut out what it should be of.",
                file=sys.stderr,
            )
            return {}
        waveform = _whole(reading)
        if explainer:
            found = explainer.explain(waveform)
            return {"base": found.base, "contributions": found.table.to_dict("records")}
        path = place(reading.name)
        draw_explanation(
            judge.run.config, judge.detector, waveform, judge.threshold,
            Path(reading.name).name, path,
        )  # fmt: skip
        return {"picture": str(path)}

    return explain


def _whole(reading: Reading) -> np.ndarray:
    """The waveform of the channel that was judged."""
    from tfpipeline.data.audio.decode import decode

    whole = decode(reading.path, reading.name).waveform.reshape(len(reading.channels), -1)
    return whole[reading.channels.index(reading.judged()[0])]


def _stem(name: str) -> str:
    return "stdin" if name == STDIN else Path(name).stem
