"""Why a clip got its score: what each hand-made feature added to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.config import Config
from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.windows import cut_windows
from tfpipeline.models.attribution import explain_window
from tfpipeline.models.classical.contributions import check_own_file, contributions
from tfpipeline.models.detector import DetectorModel, mel_layer
from tfpipeline.models.families import FAMILIES, find_family
from tfpipeline.reporting.plots import draw_evidence
from tfpipeline.runs import layout
from tfpipeline.runs.run import read_environment

IN_WORDS = 3  # features named for each side


@dataclass(frozen=True)
class Explanation:
    """A score taken apart: `base` and the contributions sum to it.

    Attributes:
        base: log-odds before any feature is known.
        table: columns `feature`, `value` (mean over windows) and `contribution` (log-odds, above 0
            towards spoof), the largest first.
    """

    base: float
    table: pd.DataFrame

    def in_words(self) -> str:
        """One line: the features that did most for each side."""
        sides = []
        for name, sign in (("fake", 1), ("human", -1)):
            rows = self.table[sign * self.table["contribution"] > 0].head(IN_WORDS)
            words = ", ".join(f"{r.feature} {r.contribution:+.2f}" for r in rows.itertuples())
            sides.append(f"towards {name}: {words or 'nothing'}")
        return "; ".join(sides)


class Explainer:
    """Explains scores of a detector on hand-made features.

    Args:
        detector: of a model whose `explained` is `contributions`.
        own_file: of LightGBM or CatBoost, already checked.
    """

    def __init__(self, detector: DetectorModel, own_file: Path | None = None):
        self._detector = detector
        self._own_file = own_file
        self._fitted = detector.body.get_layer("score").model
        self._names = detector.model.get_layer("front_end").get_layer("features").names

    def explain(self, waveform: np.ndarray) -> Explanation:
        """Takes the score of one waveform, float32 (samples,) at 16 kHz, apart."""
        windows = cut_windows(waveform[None], self._detector.window)[0]  # (windows, window)
        rows = self._detector.front_end(windows).numpy()
        parts = contributions(self._fitted, rows, self._own_file).mean(axis=0)
        table = pd.DataFrame(
            {"feature": self._names, "value": rows.mean(axis=0), "contribution": parts[:-1]}
        )
        order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
        return Explanation(float(parts[-1]), table.loc[order].reset_index(drop=True))


def read_importances(folder: Path) -> pd.DataFrame | None:
    """The importances that training left in a run; None of a network."""
    path = folder / layout.IMPORTANCES
    return pd.read_csv(path) if path.is_file() else None


def explain_in_words(
    model: str, folder: Path, detector: DetectorModel
) -> Callable[[np.ndarray], str] | None:
    """Waveform → one line on its score, for a report; None where the model cannot tell."""
    if find_family(model).explained != "contributions":
        return None
    explainer = open_explainer(model, folder, detector)
    return lambda waveform: explainer.explain(waveform).in_words()


def draw_explanation(
    config: Config,
    detector: DetectorModel,
    waveform: np.ndarray,
    threshold: float,
    name: str,
    path: Path,
) -> None:
    """A picture of where in time and frequency a network's evidence lies.

    Args:
        config: of the run.
        detector: of a network.
        waveform: float32 (samples,) at 16 kHz.
        threshold: of the run.
        name: of the clip.
        path: of the PNG.
    """
    found = explain_window(detector, waveform, threshold, mel_layer(config))
    hop = config.mel.hop_length / SAMPLE_RATE
    start = found.start / SAMPLE_RATE
    side = "fake" if found.score >= threshold else "human"
    title = (
        f"{name}: {found.score:+.2f} (threshold {threshold:+.2f}), towards {side}, in the window "
        f"from {start:.1f} s"
    )
    draw_evidence(found.spectrogram, found.evidence, hop, start, title, path)


def open_explainer(model: str, folder: Path, detector: DetectorModel) -> Explainer:
    """The explainer of a run.

    Args:
        model: its name.
        folder: of the run.
        detector: loaded from it.
    Raises:
        ValueError: a model whose scores cannot be taken apart, or its file is missing or another.
    """
    if find_family(model).explained != "contributions":
        known = (name for name, family in FAMILIES.items() if family.explained == "contributions")
        raise ValueError(
            f"scores can be taken apart of {', '.join(known)}. Received: a run of {model}."
        )
    record = read_environment(folder).get("own_file")
    if not record:
        return Explainer(detector)
    path = folder / Path(record["file"]).name
    check_own_file(path, record["sha256"])
    return Explainer(detector, path)
