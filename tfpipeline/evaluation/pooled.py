"""One system on several data sets, as Speech DF Arena reports it: EER of each, mean, pooled.

*Mean* is the plain mean of the data sets' EERs, each at a threshold of its own. *Pooled* is the EER
of all clips together, so at one threshold for all; a data set counts by its clips. A system whose
scores lie elsewhere on each data set has a good mean and a bad pooled EER.

Reference: github.com/Speech-Arena/speech_df_arena, utils/metrics.py (`compute_metrics`,
`compute_pooled_eer`) and README.md ("simply averaging").
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation.metrics import eer_threshold, equal_error_rate, rates_at


def pooled_report(tables: Mapping[str, pd.DataFrame]) -> dict:
    """EER of each data set, their mean, and the EER of all clips at one threshold.

    Args:
        tables: data set → its score table; higher = more likely spoof, on one scale.
    Returns:
        `data_sets`: one row each of `data_set, n_bonafide, n_spoof, eer` and, at the pooled
        threshold, `miss_rate, false_alarm_rate`; `mean`: `{"n_data_sets", "eer"}`; `pooled`:
        `{"n_bonafide", "n_spoof", "eer", "threshold"}`; `notes`. Fractions, not percent; what is
        undefined is None, its reason in `notes`.

    Example:
        >>> table = pd.DataFrame({"label": ["bonafide", "spoof"], "score": [-1.0, 2.0]})
        >>> pooled_report({"a": table, "b": table.assign(score=[5.0, 6.0])})["pooled"]["eer"]
        0.5
    """
    arrays = {
        name: (table["label"].map(LABELS).to_numpy(), table["score"].to_numpy(np.float64))
        for name, table in tables.items()
    }
    labels, scores = (np.concatenate(column) for column in zip(*arrays.values(), strict=True))
    pooled = _eer(labels, scores)
    threshold = None if pooled is None else eer_threshold(labels, scores)
    rows, notes = [], []
    for name, (own_labels, own_scores) in arrays.items():
        row = {"data_set": name, **_counts(own_labels), "eer": _eer(own_labels, own_scores)}
        if row["eer"] is None:
            there = "spoof" if row["n_spoof"] else "bonafide"
            notes.append(
                f"{name}: {there} clips only, so no EER; it counts in the pooled one alone"
            )
        rates = (None, None) if threshold is None else rates_at(own_labels, own_scores, threshold)
        names = ("miss_rate", "false_alarm_rate")
        row.update(
            {n: r if r is None or r == r else None for n, r in zip(names, rates, strict=True)}
        )
        rows.append(row)
    defined = [row["eer"] for row in rows if row["eer"] is not None]
    return {
        "data_sets": rows,
        "mean": {
            "n_data_sets": len(defined),
            "eer": float(np.mean(defined)) if defined else None,
        },
        "pooled": {**_counts(labels), "eer": pooled, "threshold": threshold},
        "notes": notes,
    }


def _counts(labels: np.ndarray) -> dict[str, int]:
    return {"n_bonafide": int((labels == 0).sum()), "n_spoof": int((labels == 1).sum())}


def _eer(labels: np.ndarray, scores: np.ndarray) -> float | None:
    return equal_error_rate(labels, scores) if len(set(labels.tolist())) == 2 else None
