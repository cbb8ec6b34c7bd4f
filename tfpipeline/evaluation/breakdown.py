"""What a score table says, by part and by group: the content of `metrics.json`.

What was noticed about clips when they were read, in a run's notes and as a table.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.evaluation.bootstrap import ROUNDS
from tfpipeline.evaluation.evaluator import Evaluator
from tfpipeline.files.atomic import write_table

PARTS = ("train", "validation", "test", "unseen")
GROUPS = ("attack", "corpus", "source", "speaker", "language", "codec", "duration")
MOST_VALUES = 200  # of a column that is broken down unasked
BANDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds
GROUP_ROUNDS = 500  # of the bootstrap of a group: there are many


def break_down(
    scores: pd.DataFrame,
    run: str,
    model: str,
    data: str,
    parameters: int | None,
    threshold: dict | None,
    by: Sequence[str] = (),
    rounds: int = ROUNDS,
) -> dict:
    """The content of `metrics.json` for a score table.

    `unseen` holds spoofs alone and is judged against the bonafide clips of `test`; so is each
    attack against all bonafide clips of its part. In other columns a value is judged on its own
    clips.

    Args:
        scores: a score table.
        run, model, data: names.
        parameters: trainable ones of the model, if known.
        threshold: `{"value", "rule", "part"}`, fixed before these scores were seen, or None.
        by: columns to break down by besides `attack` and those of `GROUPS` that are known for some
            clips and have few values.
        rounds: of the bootstrap; 0 leaves intervals out.
    Returns:
        JSON-ready values; what is undefined is None, its reason in `notes`.
    Raises:
        ValueError: a column in `by` is not in the table.
    """
    scores = scores.assign(duration=duration_bands(scores["seconds"]))
    for column in by:
        if column not in scores:
            raise ValueError(
                f"--by names columns of the scores. Received: {column!r}. "
                f"Columns: {', '.join(scores.columns)}."
            )
    evaluator = Evaluator(None if threshold is None else threshold["value"], rounds)
    parts = {part: evaluator.full(rows, part) for part, rows in _parts(scores)}
    small = Evaluator(evaluator.threshold, min(rounds, GROUP_ROUNDS))
    groups: dict[str, dict[str, dict[str, dict]]] = {}
    for column in _columns(scores, by):
        found = groups.setdefault(column, {})
        for part, rows in _parts(scores):
            for value, group in group_rows(rows, column):
                where = f"{part}, {column} {value}"
                found.setdefault(value, {})[part] = small.short(group, where)
    return {
        "schema": 1,
        "run": run,
        "model": model,
        "data": data,
        "parameters": parameters,
        "threshold": threshold,
        "parts": parts,
        "groups": groups,
        "macro": {column: _macro(values) for column, values in groups.items()},
        "notes": evaluator.notes
        + _few([note for note in small.notes if note not in evaluator.notes]),
    }


def duration_bands(seconds: pd.Series) -> pd.Series:
    """A name a clip: `under 1 s`, `1 to 2 s`, … `over 16 s`; `-` where the length is unknown."""
    names = [f"under {BANDS[0]:g} s"]
    names += [f"{low:g} to {high:g} s" for low, high in itertools.pairwise(BANDS)]
    names.append(f"over {BANDS[-1]:g} s")
    lengths = pd.to_numeric(seconds, errors="coerce").to_numpy(float)
    # 4.0 s, the window's length, belongs to the band that ends there.
    place = np.searchsorted(BANDS, lengths, side="left")
    return pd.Series(
        [UNKNOWN if np.isnan(s) else names[p] for s, p in zip(lengths, place, strict=True)],
        index=seconds.index,
        dtype=object,
    )


def part_rows(scores: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows that judge a part: its own, and for `unseen` the bonafide ones of `test` too."""
    rows = scores[scores["part"] == part]
    if part == "unseen" and (rows["label"] == "spoof").all():
        tested = scores[(scores["part"] == "test") & (scores["label"] == "bonafide")]
        rows = pd.concat([tested, rows])
    return rows


def group_rows(rows: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows that judge each known value of a column, in a part's rows."""
    if column == "attack":
        bonafide = rows[rows["label"] == "bonafide"]
        for attack, spoofs in rows[rows["label"] == "spoof"].groupby("attack"):
            yield str(attack), pd.concat([bonafide, spoofs])
        return
    known = rows[rows[column].astype(str) != UNKNOWN]
    yield from known.groupby(known[column].astype(str))


def _parts(scores: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Parts in the order of `PARTS`, then a data set's own by name; `all` where none is named."""
    found = [str(part) for part in scores["part"].unique()]
    order = [part for part in PARTS if part in found]
    for part in order + sorted(set(found) - set(order)):
        yield "all" if part == UNKNOWN else part, part_rows(scores, part)


def _columns(scores: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """`attack`, the other usual columns that tell something, and those that are asked for."""
    columns = ["attack"]
    for column in GROUPS[1:]:
        if column not in scores:  # `corpus` is there when there are several
            continue
        values = scores.loc[scores[column].astype(str) != UNKNOWN, column].nunique()
        if column in by or (1 < values <= MOST_VALUES and column not in ("source", "speaker")):
            columns.append(column)
    return columns + [column for column in by if column not in columns]


def _macro(values: dict[str, dict[str, dict]]) -> dict[str, dict]:
    """Of each part the plain mean over a column's values that have both classes."""
    means = {}
    for part in dict.fromkeys(part for by_part in values.values() for part in by_part):
        rows = [by_part[part] for by_part in values.values() if part in by_part]
        rows = [row for row in rows if row["auc"] is not None]
        means[part] = {
            "n_values": len(rows),
            "auc": float(np.mean([row["auc"] for row in rows])) if rows else None,
            "eer": float(np.mean([row["eer"] for row in rows])) if rows else None,
        }
    return means


def _few(notes: list[str], most: int = 10) -> list[str]:
    """The first notes, and how many more there are."""
    more = [f"and {len(notes) - most} more notes like these"] if len(notes) > most else []
    return notes[:most] + more


def remark_notes(parts: pd.Series, remarks: dict[int, tuple[str, ...]]) -> list[str]:
    """A note for each kind of remark: how many clips of which part have it, and one of them.

    Args:
        parts: of the clips.
        remarks: row → remarks, each `kind: what`.
    """
    counts: dict[str, Counter] = defaultdict(Counter)
    examples: dict[str, str] = {}
    for row, lines in remarks.items():
        for remark in lines:
            kind, _, what = remark.partition(": ")
            counts[kind][parts.iloc[row]] += 1
            examples.setdefault(kind, what)
    return [
        f"{kind}: remarks on {', '.join(f'{n} clips of {part}' for part, n in found.items())}, "
        f"such as: {examples[kind]}; see remarks.csv"
        for kind, found in sorted(counts.items())
    ]


def write_remarks(path: Path, table: pd.DataFrame, remarks: dict[int, tuple[str, ...]]) -> None:
    """Writes `path, part, remark`, one row a remark; no file where there is none."""
    rows = [
        (table["path"].iloc[row], table["part"].iloc[row], remark)
        for row, lines in sorted(remarks.items())
        for remark in lines
    ]
    if rows:
        write_table(path, pd.DataFrame(rows, columns=["path", "part", "remark"]))
