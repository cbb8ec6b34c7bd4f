"""The forms of score files: which columns there are, and by what they are recognized.

| form | lines | labels from | a high score means |
|---|---|---|---|
| `asvspoof5` | `filename<TAB>cm-score`, also with commas | a key | bonafide |
| `asvspoof2021` (and 2019, Speech DF Arena) | `id score` | a key | bonafide |
| `asvspoof2019` | `utterance attack key score` | itself | bonafide |
| `asvspoof5_aasist` | `speaker utterance score key` | itself | bonafide |
| `labelled` | `id label score` or `id score label` | itself | bonafide |
| `logits` | `id spoof_logit bonafide_logit`, or with a label before them | a key or itself | – |
| `tfpipeline` | our score table, CSV or Parquet | itself | spoof |
| `table` | `file,score`, or any table with an id and a score column | itself or a key | spoof |

Who writes them: `id score` github.com/TakHemlata/SSL_Anti-spoofing, main_SSL_LA.py, and RawNet2 of
github.com/asvspoof-challenge/2021; four columns github.com/clovaai/aasist, main.py, and
Baseline-AASIST/main.py of github.com/asvspoof-challenge/asvspoof5; all of them write output 1 of
the network, which is the logit of bonafide. So two logits are spoof and bonafide here; other
toolkits have them the other way round, and nothing in a file without a header tells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN
from tfpipeline.data.corpora.reading.names import label_from_name
from tfpipeline.evaluation.score_text import (
    ID_NAMES,
    SCORE_NAMES,
    TextTable,
    is_number,
    named_columns,
    read_labels,
    read_text_table,
    to_numbers,
)
from tfpipeline.evaluation.scores import NEEDED, NUMBERS, read_scores

POLARITIES = ("spoof", "bonafide")
LOGITS = ("spoof-bonafide", "bonafide-spoof")
# Lines without a header: form, columns; the first one whose labels and numbers fit is taken.
HEADLESS = (
    ("asvspoof2021", ("clip_id", "score")),
    ("labelled", ("clip_id", "label", "score")),
    ("labelled", ("clip_id", "score", "label")),
    ("logits", ("clip_id", "logit 1", "logit 2")),
    ("asvspoof2019", ("clip_id", "attack", "label", "score")),
    ("asvspoof5_aasist", ("speaker", "clip_id", "score", "label")),
    ("logits", ("clip_id", "label", "logit 1", "logit 2")),
)
LOGIT_NAMES = {
    label: (f"{label}_logit", f"logit_{label}", f"{label}_score", f"score_{label}")
    for label in POLARITIES
}


def read_form(path: Path, logits: str | None = None) -> tuple[pd.DataFrame, str, str]:
    """The columns that a file has, under our names, its form, and how it was understood.

    Args:
        path: of the scores.
        logits: the order of two logits without a header, one of `LOGITS`; default: the first.
    Returns:
        The table, whose `score` is as in the file (of two logits: spoof - bonafide); one of the
        forms above; and words for the user. What is no number is kept as text.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the form is not known, or a row does not fit it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Is the path right?")
    with path.open("rb") as opened:
        if opened.read(4) == b"PAR1":
            return read_scores(path), "tfpipeline", "Parquet"
    text = read_text_table(path)
    header = text.rows[0]
    if set(NEEDED) <= set(header) and text.separator == "," and "UTF-16" not in text.marks:
        return read_scores(path), "tfpipeline", text.words
    names = [cell.lower() for cell in header]
    pair = [next((n for n in LOGIT_NAMES[label] if n in names), None) for label in POLARITIES]
    scored = any(name in SCORE_NAMES for name in names)
    if scored or all(pair):
        table = named_columns(text)
        if "clip_id" not in table:
            raise ValueError(
                f"{path}: a score file has a column of ids, one of {', '.join(ID_NAMES)}. "
                f"Received: {', '.join(names)}."
            )
        if not len(table):
            raise ValueError(f"{path}: expected a row a clip. Received: 0 rows.")
        if not scored:
            if logits is not None:
                raise ValueError(
                    f"{path}: --logits is about lines without a header. Received: the columns "
                    f"{' and '.join(pair)}, which say themselves what they are."
                )
            table, form = table.rename(columns={pair[0]: "logit 1", pair[1]: "logit 2"}), "logits"
        elif set(NEEDED) <= set(header):
            form = "tfpipeline"
        else:
            form = "asvspoof5" if {"cm-score", "cm_score"} & set(names) else "table"
        layout = f"columns {' '.join(header)}"
    else:
        form, columns = _recognize(text)
        text.check_cells(len(columns))
        table = pd.DataFrame(text.rows, columns=list(columns), dtype=str)
        layout = f"lines `{' '.join(columns).replace('clip_id', 'id')}`"
    if "label" in table:
        table["label"] = read_labels(table["label"], path)
        if "attack" in table:
            table["attack"] = table["attack"].where(table["label"] == "spoof", UNKNOWN)
    decimal_commas = False
    for column in (*NUMBERS, "logit 1", "logit 2"):
        if column in table:
            cells = table[column].tolist()
            numbers, commas = to_numbers(cells, f"{path}, {column}")
            # What is no number is kept for the error message.
            kept = [c if np.isnan(n) and c else n for c, n in zip(cells, numbers, strict=True)]
            table[column] = kept if column == "score" or column.startswith("logit") else numbers
            decimal_commas |= commas
    if form == "logits":
        table, order = _difference(table, logits or LOGITS[0], path)
        layout += f", taken as {order}"
    words = f"{layout}; {text.words}{', decimal commas' * decimal_commas}"
    return table, form, words


def _recognize(text: TextTable) -> tuple[str, tuple[str, ...]]:
    """The form of lines without a header, by what most lines have in each column."""
    first = text.rows[0]
    rows = [row for row in text.rows if len(row) == len(first)]
    whole = len(rows) / 2
    words = [sum(label_from_name(r[at]) is not None for r in rows) for at in range(len(first))]
    numbers = [sum(is_number(row[at]) for row in rows) for at in range(len(first))]
    for form, columns in HEADLESS:
        fits = len(columns) == len(first) and all(
            (words[at] if name == "label" else numbers[at]) > whole
            for at, name in enumerate(columns)
            if name in ("label", "score", "logit 1", "logit 2")
        )
        if not fits:
            continue
        if form == "logits":
            _refuse_doubtful_logits(text, [row[-2:] for row in rows])
        return form, columns
    forms = ", ".join(f"`{' '.join(columns)}`" for _, columns in HEADLESS)
    raise ValueError(
        f"{text.path}: expected a header with {' or '.join(SCORE_NAMES[:2])}, or lines {forms}. "
        f"Received: {' '.join(first)[:80]!r}."
    )


def _refuse_doubtful_logits(text: TextTable, pairs: list[list[str]]) -> None:
    """Two columns of numbers may be a label and a score, or one number with a decimal comma."""
    shown = " | ".join(text.rows[0])[:80]
    whole = all(a.lstrip("+-").isdigit() and b.isdigit() for a, b in pairs)
    if text.separator == "," and whole:
        raise ValueError(
            f"{text.path}: expected two logits a line. Received: {shown!r}, which may be one score "
            "with a decimal comma. Write points, or separate cells by tabs."
        )
    for column in zip(*pairs, strict=True):
        if set(column) <= {"0", "1", "0.0", "1.0"}:
            raise ValueError(
                f"{text.path}: expected two logits a line. Received: {shown!r}, of which one "
                "column holds 0 and 1 only. If it is a label, write the word."
            )


def _difference(table: pd.DataFrame, order: str, path: Path) -> tuple[pd.DataFrame, str]:
    """The log-odds of spoof out of two logits; NaN where one of them is no number."""
    one, other = (pd.to_numeric(table[f"logit {n}"], errors="coerce") for n in (1, 2))
    names = order.split("-")
    score = one - other if names[0] == "spoof" else other - one
    return table.drop(columns=["logit 1", "logit 2"]).assign(score=score), f"{order} logits"
