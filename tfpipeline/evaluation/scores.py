"""Score tables: one row a clip, the one seam between models and everything that judges them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.files.atomic import write_table

SCORE_COLUMNS = (
    "clip_id", "path", "part", "label", "attack", "speaker", "source", "language", "codec",
    "seconds", "score", "llr", "probability",
)  # fmt: skip


def score_table(clips: pd.DataFrame, scores: np.ndarray, calibration: Calibration) -> pd.DataFrame:
    """Joins a manifest and its raw scores into a score table.

    Args:
        clips: a manifest, one row a clip.
        scores: float64 (n_clips,), log-odds of spoof.
        calibration: fitted on the validation part.
    Raises:
        ValueError: a score is not finite; the clip is named.
    """
    if not np.isfinite(scores).all():
        clip = clips["clip_id"].iloc[int(np.flatnonzero(~np.isfinite(scores))[0])]
        raise ValueError(f"scores must be finite. Received: a NaN or infinity for {clip}.")
    table = clips.assign(
        score=scores, llr=calibration.llr(scores), probability=calibration.probability(scores)
    )
    return table[list(SCORE_COLUMNS)]


def write_scores(path: str | Path, table: pd.DataFrame) -> None:
    """Writes a score table as CSV, atomically, every float64 digit kept."""
    write_table(path, table)


def read_scores(path: str | Path) -> pd.DataFrame:
    """Reads a score table that `write_scores` wrote.

    Raises:
        ValueError: a column is missing.
    """
    text = {c: str for c in SCORE_COLUMNS if c not in ("seconds", "score", "llr", "probability")}
    table = pd.read_csv(
        path, keep_default_na=False, na_values={"seconds": [""]}, dtype=text,
        float_precision="round_trip",  # the fast parser is off by a last digit now and then
    )  # fmt: skip
    missing = [column for column in SCORE_COLUMNS if column not in table]
    if missing:
        raise ValueError(
            f"{path}: a score table has the columns {', '.join(SCORE_COLUMNS)}. "
            f"Received: none named {', '.join(missing)}."
        )
    return table
