"""Two models on the same clips: the difference of their AUCs, with a paired interval."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation.bootstrap import ROUNDS, bootstrap_auc, interval, resampling_groups
from tfpipeline.evaluation.breakdown import part_rows
from tfpipeline.evaluation.metrics import roc_auc


def compare(one: pd.DataFrame, other: pd.DataFrame, rounds: int = ROUNDS) -> dict:
    """How much higher the AUC of `one` is, on the clips that both scored.

    The bootstrap draws the same speakers for both, so what is hard for both cancels out.

    Args:
        one, other: score tables; clips are matched by `clip_id`.
        rounds: of the bootstrap.
    Returns:
        `n_clips`, `difference`, `low`, `high` (95 %); None where a class is missing.
    Raises:
        ValueError: a clip has another label in the other table.
    """
    both = one.merge(other[["clip_id", "label", "score"]], on="clip_id", suffixes=("", "_other"))
    differs = both["label"] != both["label_other"]
    if differs.any():
        raise ValueError(
            "two tables are compared on clips with the same labels. Received: "
            f"{both['clip_id'][differs].iloc[0]} as bonafide and as spoof."
        )
    labels = both["label"].map(LABELS).to_numpy()
    if len(set(labels)) < 2:
        return {"n_clips": len(both), "difference": None, "low": None, "high": None}
    groups, _ = resampling_groups(both)
    scores = both["score"].to_numpy(), both["score_other"].to_numpy()
    difference = roc_auc(labels, scores[0]) - roc_auc(labels, scores[1])
    draws = [bootstrap_auc(labels, run_scores, groups, rounds) for run_scores in scores]
    low, high = interval(draws[0] - draws[1], difference) or (None, None)
    return {"n_clips": len(both), "difference": difference, "low": low, "high": high}


def compare_runs(tables: Mapping[str, pd.DataFrame], part: str) -> list[dict]:
    """The run with the highest AUC on a part against each of the others.

    Args:
        tables: run → its score table.
        part: as `breakdown.part_rows` understands it; `all` for tables without parts.
    Returns:
        One `{"run", "n_clips", "difference", "low", "high"}` a run; the best has difference 0 and
        no interval.
    """
    rows = {run: _rows(table, part) for run, table in tables.items()}
    aucs = {
        run: roc_auc(table["label"].map(LABELS).to_numpy(), table["score"].to_numpy())
        for run, table in rows.items()
        if table["label"].nunique() == 2
    }
    if not aucs:
        return []
    best = max(aucs, key=aucs.get)
    compared = []
    for run in aucs:
        if run == best:
            compared.append(
                {
                    "run": run,
                    "n_clips": len(rows[run]),
                    "difference": 0.0,
                    "low": None,
                    "high": None,
                }
            )
        else:
            compared.append({"run": run, **compare(rows[best], rows[run])})
    return compared


def other_clips(tables: Mapping[str, pd.DataFrame], part: str) -> str | None:
    """A warning where the models' figures on a part are not of the same clips, else None."""
    sets = [frozenset(_rows(table, part)["clip_id"]) for table in tables.values()]
    if len(set(sets)) == 1:
        return None
    shared = len(frozenset.intersection(*sets))
    return (
        f"the models were not judged on the same clips ({shared} are shared by all): their AUCs "
        "cannot be set side by side; only the last column compares two models on the clips that "
        "both scored"
    )


def common_part(tables: Mapping[str, pd.DataFrame]) -> str:
    """The part that a leaderboard is ordered by: `test` if all have it, else one that all have."""
    found = [set(table["part"].replace("-", "all")) for table in tables.values()]
    shared = set.intersection(*found)
    if not shared:
        raise ValueError(
            "models are compared on one part. Received: tables without a common one: "
            + "; ".join(
                f"{run}: {', '.join(sorted(parts))}"
                for run, parts in zip(tables, found, strict=True)
            )
        )
    return next((part for part in ("test", "all") if part in shared), sorted(shared)[0])


def _rows(table: pd.DataFrame, part: str) -> pd.DataFrame:
    return part_rows(table, "-" if part == "all" and "all" not in set(table["part"]) else part)
