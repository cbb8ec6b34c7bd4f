"""Score tables: one row a clip, the one seam between models and everything that judges them.

The file that a challenge with hidden labels is answered with: `id,is_tts`, a row a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.files.atomic import atomic_file, write_table

SCORE_COLUMNS = (
    "clip_id",
    "path",
    "part",
    "label",
    "attack",
    "speaker",
    "source",
    "language",
    "codec",
    "seconds",
    "score",
    "llr",
    "probability",
)
NUMBERS = ("seconds", "score", "llr", "probability")
NEEDED = ("clip_id", "label", "score")


def score_table(
    clips: pd.DataFrame, scores: np.ndarray, calibration: Calibration | None
) -> pd.DataFrame:
    """Joins a manifest and its raw scores into a score table.

    Args:
        clips: a manifest, one row a clip; columns of its own are kept behind the others.
        scores: float64 (n_clips,), log-odds of spoof.
        calibration: fitted on the validation part; None leaves `llr` and `probability` NaN.
    Raises:
        ValueError: a score is not finite; the clip is named.
    """
    if not np.isfinite(scores).all():
        clip = clips["clip_id"].iloc[int(np.flatnonzero(~np.isfinite(scores))[0])]
        raise ValueError(f"scores must be finite. Received: a NaN or infinity for {clip}.")
    table = calibrated(clips.assign(score=np.asarray(scores, np.float64)), calibration)
    return table[[*SCORE_COLUMNS, *(c for c in table if c not in SCORE_COLUMNS)]]


def calibrated(table: pd.DataFrame, calibration: Calibration | None) -> pd.DataFrame:
    """The table with `llr` and `probability` by a calibration; NaN without one."""
    if calibration is None:
        return table.assign(llr=np.nan, probability=np.nan)
    scores = table["score"].to_numpy()
    return table.assign(llr=calibration.llr(scores), probability=calibration.probability(scores))


def write_scores(path: str | Path, table: pd.DataFrame) -> None:
    """Writes a score table atomically, every float64 digit kept: Parquet if so named, else CSV."""
    if Path(path).suffix == ".parquet":
        with atomic_file(path) as partial:
            table.to_parquet(partial, index=False)
    else:
        write_table(path, table)


def read_scores(path: str | Path) -> pd.DataFrame:
    """Reads a score table, CSV or Parquet (the first bytes tell which), and checks it.

    `clip_id`, `label` and `score` must be there; what else is missing is filled in with `-`, and
    `seconds`, `llr` and `probability` with NaN.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such table, has no rows, or a row fails; the first one is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Is the path right?")
    with path.open("rb") as opened:
        parquet = opened.read(4) == b"PAR1"
    try:
        if parquet:
            table = pd.read_parquet(path)
            for column in table.columns.difference(list(NUMBERS)):
                table[column] = table[column].astype(object).fillna("").astype(str)
        else:
            table = pd.read_csv(
                path,
                keep_default_na=False,
                converters=dict.fromkeys(NUMBERS, _cell),  # exact
                dtype={c: str for c in SCORE_COLUMNS if c not in NUMBERS},
            )
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: expected a score table, CSV or Parquet. Received: {reason}"
        ) from None
    return check_scores(table, str(path))


def check_scores(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Checks a score table and fills in the columns that may be missing.

    Args:
        table: at least `clip_id`, `label` and `score`.
        source: what it was read from, named in errors.
    Raises:
        ValueError: a column is missing, there are no rows, an id stands in it twice, a label is
            neither `bonafide` nor `spoof`, or a score is not a finite number.
    """
    missing = [column for column in NEEDED if column not in table]
    if missing:
        raise ValueError(
            f"{source}: a score table has the columns {', '.join(SCORE_COLUMNS)}, of which "
            f"{', '.join(NEEDED)} must be there. Received: none named {', '.join(missing)}."
        )
    if not len(table):
        raise ValueError(f"{source}: expected a row a clip. Received: 0 rows.")
    table = table.reset_index(drop=True)
    repeated = table["clip_id"].duplicated()
    if repeated.any():
        row = _first(repeated)
        raise ValueError(
            f"{source}, row {row}: each clip has one score. Received: "
            f"{table['clip_id'][row - 1]} again, {repeated.sum()} such rows. Keep one of them."
        )
    unknown = ~table["label"].isin(LABELS)
    if unknown.any():
        row = _first(unknown)
        raise ValueError(
            f"{source}, row {row}: label must be bonafide or spoof. "
            f"Received: {table['label'][row - 1]!r}, {unknown.sum()} such rows."
        )
    numbers = table["score"].map(_number).astype(np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = _first(bad)
        raise ValueError(
            f"{source}, row {row}: a score is a finite number. Received: "
            f"{table['score'][row - 1]} for {table['clip_id'][row - 1]}, {bad.sum()} such rows. "
            "Leave such clips out, or score them again."
        )
    table = table.assign(score=numbers)
    for column in SCORE_COLUMNS:
        if column not in table:
            table[column] = np.nan if column in NUMBERS else UNKNOWN
    return table[[*SCORE_COLUMNS, *(c for c in table if c not in SCORE_COLUMNS)]]


def _number(text: object) -> float:
    """The nearest float64; Python's parser, since pandas' own is off by a last digit at times."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _cell(text: str) -> float | str:
    """A number of a CSV file; what is none is kept for the error message."""
    try:
        return float(text or "nan")
    except ValueError:
        return text


def _first(rows: pd.Series) -> int:
    """The number of the first row that is marked, from 1."""
    return int(np.flatnonzero(rows)[0]) + 1


UNDECIDED = 0.5  # for a clip that cannot be judged: a submission has a row for every clip


def submission_table(ids: Sequence[str], probabilities: np.ndarray) -> pd.DataFrame:
    """The rows of a submission.

    Args:
        ids: of all clips, in the order that the challenge has them in.
        probabilities: float (n_clips,), of spoof; NaN becomes `UNDECIDED`.
    Raises:
        ValueError: lengths differ, an id stands there twice, or a probability is not in 0 … 1.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if len(ids) != len(probabilities):
        raise ValueError(
            f"each id has one probability. Received: {len(ids)} ids, {len(probabilities)} of these."
        )
    repeated = pd.Series(list(ids)).duplicated()
    if repeated.any():
        first = list(ids)[int(np.flatnonzero(repeated)[0])]
        raise ValueError(f"each clip stands in a submission once. Received: {first} twice.")
    filled = np.where(np.isnan(probabilities), UNDECIDED, probabilities)
    outside = (filled < 0) | (filled > 1)
    if outside.any():
        at = int(np.flatnonzero(outside)[0])
        raise ValueError(f"a probability lies in 0 … 1. Received: {filled[at]} for {ids[at]}.")
    return pd.DataFrame({"id": list(ids), "is_tts": filled})


def write_submission(path: str | Path, ids: Sequence[str], probabilities: np.ndarray) -> None:
    """Writes a submission as CSV, atomically; see `submission_table`."""
    write_table(path, submission_table(ids, probabilities))
