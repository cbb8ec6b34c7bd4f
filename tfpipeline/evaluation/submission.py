"""The file that a challenge with hidden labels is answered with: `id,is_tts`, a row a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.files.atomic import write_table

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
