"""Score files of other systems: what they look like, which way they point, and their keys.

| form | lines | labels from | a high score means |
|---|---|---|---|
| `asvspoof5` | `filename<TAB>cm-score` | a key | bonafide |
| `asvspoof2021` (and 2019) | `id score` | a key | bonafide |
| `asvspoof2019` | `utterance attack key score` | itself | bonafide |
| `tfpipeline` | our score table, CSV or Parquet | itself | spoof |
| `table` | `file,score`, or any table with an id and a score column | itself or a key | spoof |

A key is a CSV or tab table with an id and a label column (`filename<TAB>cm-label`, a manifest), or
an ASVspoof protocol (`*.trl.txt`, `trial_metadata.txt`, ASVspoof 5's `*.tsv`).

Reference: the evaluation packages github.com/asvspoof-challenge/asvspoof5 and /2021.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.data.corpora.reading.names import label_from_name
from tfpipeline.evaluation.scores import NEEDED, check_scores, read_scores
from tfpipeline.files.atomic import write_text

POLARITIES = ("spoof", "bonafide")
ID_NAMES = ("clip_id", "filename", "file", "utterance", "utt_id", "id", "name", "path")
SCORE_NAMES = ("score", "cm-score", "cm_score", "scores")
LABEL_NAMES = ("label", "cm-label", "cm_label", "key")


@dataclass(frozen=True)
class ScoreFile:
    """A score file brought to tfpipeline's form.

    Attributes:
        table: a score table; higher = more likely spoof.
        form: which row of the table above.
        polarity: what a high score meant in the file.
        unscored: clips of the key that the file has no score for.
    """

    table: pd.DataFrame
    form: str
    polarity: str
    unscored: int = 0


def read_score_file(
    path: str | Path, key: str | Path | None = None, polarity: str | None = None
) -> ScoreFile:
    """Reads a score table of ours, or a score file of another system with its key.

    Args:
        path: of the scores.
        key: of the labels, where the scores have none.
        polarity: what a high score means, `spoof` or `bonafide`; default: the form's own.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the form is not known, a key is needed or does not fit; the row is named.
    """
    path = Path(path)
    if polarity not in (None, *POLARITIES):
        raise ValueError(f"polarity must be spoof or bonafide. Received: {polarity!r}.")
    scores, form = _read_any(path)
    unscored = 0
    if key is not None or "label" not in scores:
        scores, unscored = _join(scores, str(path), key)
    table = check_scores(scores, str(path))
    if polarity is None:
        polarity = "bonafide" if form.startswith("asvspoof") else "spoof"
    if polarity == "bonafide":
        # What was derived from the file's own score would point the other way.
        table = table.assign(score=-table["score"], llr=np.nan, probability=np.nan)
    return ScoreFile(table, form, polarity, unscored)


def read_key(path: str | Path) -> pd.DataFrame:
    """The labels of a key or protocol: `clip_id`, `label`, and what else it tells.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no id or no label, or a label is not understood; the row is named.
    """
    path = Path(path)
    lines = _lines(path)
    cells = _split(lines[0])
    names = [cell.lower() for cell in cells]
    if any(name in LABEL_NAMES for name in names):
        table = _named(path, lines)
        if "clip_id" not in table:
            raise ValueError(
                f"{path}: a key has a column of ids, one of {', '.join(ID_NAMES)}. "
                f"Received: {', '.join(cells)}."
            )
    else:
        table = _protocol(path, lines)
    table["label"] = [_label(value, path, row) for row, value in enumerate(table["label"], 1)]
    table = table[table["label"] != ""]
    repeated = table["clip_id"].duplicated()
    if repeated.any():
        raise ValueError(
            f"{path}: a key names each clip once. Received: "
            f"{table['clip_id'][repeated].iloc[0]} twice."
        )
    return table.reset_index(drop=True)


def write_asvspoof5(path: str | Path, table: pd.DataFrame) -> None:
    """Writes `filename<TAB>cm-score` as ASVspoof 5 wants it: high = bonafide, every digit kept."""
    rows = (f"{c}\t{-s!r}" for c, s in zip(table["clip_id"], table["score"].tolist(), strict=True))
    write_text(path, "\n".join(["filename\tcm-score", *rows]) + "\n")


def _read_any(path: Path) -> tuple[pd.DataFrame, str]:
    """The columns that a file has, under our names, and its form."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Is the path right?")
    with path.open("rb") as opened:
        if opened.read(4) == b"PAR1":
            return read_scores(path), "tfpipeline"
    lines = _lines(path)
    names = [cell.lower() for cell in _split(lines[0])]
    if set(NEEDED) <= set(names):
        return read_scores(path), "tfpipeline"
    if any(name in SCORE_NAMES for name in names):
        form = "asvspoof5" if "cm-score" in names else "table"
        table = _named(path, lines)
        if "clip_id" not in table:
            raise ValueError(
                f"{path}: a score file has a column of ids, one of {', '.join(ID_NAMES)}. "
                f"Received: {', '.join(names)}."
            )
        if not len(table):
            raise ValueError(f"{path}: expected a row a clip. Received: 0 rows.")
        if "label" in table:
            table["label"] = [_label(v, path, row) for row, v in enumerate(table["label"], 1)]
        return table, form
    if len(names) == 2:
        return _columns(path, lines, ["clip_id", "score"]), "asvspoof2021"
    if len(names) == 4:
        table = _columns(path, lines, ["clip_id", "attack", "label", "score"])
        table["label"] = [_label(v, path, row) for row, v in enumerate(table["label"], 1)]
        table["attack"] = table["attack"].where(table["label"] == "spoof", UNKNOWN)
        return table, "asvspoof2019"
    raise ValueError(
        f"{path}: expected a header with {' or '.join(SCORE_NAMES[:2])}, or lines `id score` or "
        f"`utterance attack key score`. Received: {lines[0][:80]!r}."
    )


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Is the path right?")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected text in UTF-8. Received: other bytes.") from None
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise ValueError(f"{path}: expected a row a clip. Received: 0 rows.")
    return lines


def _split(line: str) -> list[str]:
    """Cells of a line: at tabs, else at commas, else at spaces."""
    if "\t" in line:
        return [cell.strip() for cell in line.split("\t")]
    return [c.strip() for c in next(csv.reader([line]))] if "," in line else line.split()


def _columns(path: Path, lines: list[str], names: list[str]) -> pd.DataFrame:
    """Lines without a header, all of the same number of cells."""
    rows = [_split(line) for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, row {number}: expected {len(names)} cells, as in the first row. "
                f"Received: {lines[number - 1][:80]!r}."
            )
    return pd.DataFrame(rows, columns=names)


def _named(path: Path, lines: list[str]) -> pd.DataFrame:
    """Lines below a header; ids, scores and labels under our names, other columns as they are."""
    header = [cell.lower() for cell in _split(lines[0])]
    for ours, known in (("clip_id", ID_NAMES), ("score", SCORE_NAMES), ("label", LABEL_NAMES)):
        found = next((name for name in known if name in header), None)
        if found and ours not in header:
            header[header.index(found)] = ours
    if len(lines) == 1:
        return pd.DataFrame(columns=header, dtype=str)
    return _columns(path, lines[1:], header)


def _protocol(path: Path, lines: list[str]) -> pd.DataFrame:
    """An ASVspoof protocol: the id is the second cell; the label is found by its word.

    `LA_0039 LA_E_2834763 - A11 spoof` (2019), `LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim
    eval` (2021; only the subset `eval` is kept), `D_4461 D_0000000169 F - - - AC1 A14 spoof -` (5).
    """
    rows = [line.split() for line in lines]
    at = next((place for place, cell in enumerate(rows[0]) if cell in LABELS), None)
    if at is None or at < 2:
        raise ValueError(
            f"{path}, row 1: expected a header with {' or '.join(LABEL_NAMES[:2])}, or a protocol "
            f"line that holds bonafide or spoof. Received: {lines[0][:80]!r}."
        )
    for number, row in enumerate(rows, 1):
        if len(row) <= at or row[at] not in LABELS:
            raise ValueError(
                f"{path}, row {number}: expected bonafide or spoof as cell {at + 1}, as in the "
                f"first row. Received: {lines[number - 1][:80]!r}."
            )
    table = pd.DataFrame(
        {
            "clip_id": [row[1] for row in rows],
            "label": [row[at] for row in rows],
            "speaker": [row[0] for row in rows],
            "attack": [row[at - 1] if row[at] == "spoof" else UNKNOWN for row in rows],
        }
    )
    if at == 5:  # 2021
        table["codec"] = [row[2] for row in rows]
        table = table[[len(row) < 8 or row[7] == "eval" for row in rows]]
    return table


def _label(value: str, path: Path, row: int) -> str:
    label = label_from_name(str(value))
    if label is None:
        raise ValueError(
            f"{path}, row {row}: a label is bonafide or spoof. Received: {value!r}. "
            "Numbers mean different things in different corpora: write the word."
        )
    return label


def _join(scores: pd.DataFrame, source: str, key: str | Path | None) -> tuple[pd.DataFrame, int]:
    """Scores with the labels of their key."""
    if key is None:
        raise ValueError(
            f"{source}: the scores have no labels, so a key is needed. Received: none. "
            "Name it with --key, such as an ASVspoof protocol or a CSV of file,label."
        )
    labels = read_key(key)
    # A key may name files where scores name utterances, or the other way round.
    known = dict(zip(labels["clip_id"], labels.index, strict=True))
    by_stem = {Path(clip).stem: row for clip, row in known.items()}
    rows = [known.get(c, by_stem.get(c, by_stem.get(Path(c).stem))) for c in scores["clip_id"]]
    for number, row in enumerate(rows, 1):
        if row is None:
            raise ValueError(
                f"{source}, row {number}: every scored clip stands in the key. Received: "
                f"{scores['clip_id'].iloc[number - 1]}, which {key} does not name; "
                f"{rows.count(None)} such rows. Is it the key of this data set?"
            )
    told = labels.drop(columns="clip_id").iloc[rows].reset_index(drop=True)
    own = scores[["clip_id", "score"]].reset_index(drop=True)
    told = told.drop(columns=[c for c in ("score", "llr", "probability") if c in told])
    return pd.concat([own, told], axis=1), len(labels) - len(set(rows))
