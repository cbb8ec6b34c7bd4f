"""Score files of other systems, brought to a score table: high = spoof, labels from their key.

`score_forms` says which forms there are and which way they point, `score_keys` how scores are
joined with a key and which trials count, `score_text` how text is read. ASVspoof's files are high
for bonafide; here, as in all score tables, high is spoof.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.evaluation.score_forms import LOGITS, POLARITIES, read_form
from tfpipeline.evaluation.score_keys import DEFAULT_SUBSET, choose_subset, match_ids, read_key
from tfpipeline.evaluation.scores import NUMBERS, check_scores
from tfpipeline.files.atomic import write_text


@dataclass(frozen=True)
class ScoreFile:
    """A score file brought to tfpipeline's form.

    Attributes:
        table: a score table; higher = more likely spoof.
        form: one of `score_forms`.
        polarity: what a high score meant in the file; of two logits, what `spoof - bonafide` means.
        unscored: clips of the key, of the chosen subset, that the file has no score for.
        layout: how its lines were understood, in words.
        notes: what a reader of the metrics must know.
    """

    table: pd.DataFrame
    form: str
    polarity: str
    unscored: int = 0
    layout: str = ""
    notes: tuple[str, ...] = ()


def read_score_file(
    path: str | Path,
    key: str | Path | None = None,
    polarity: str | None = None,
    subset: str | None = None,
    logits: str | None = None,
) -> ScoreFile:
    """Reads a score table of ours, or a score file of another system with its key.

    Args:
        path: of the scores.
        key: of the labels, where the scores have none.
        polarity: what a high score means, `spoof` or `bonafide`; default: the form's own.
        subset: which trials of the key count, see `score_keys.choose_subset`; default: `eval` where
            the key has such a subset, else all.
        logits: the order of two logits without a header, one of `LOGITS`; default: the first.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the form is not known, a key is needed or does not fit; the row is named.

    Example:
        >>> read = read_score_file("score.txt", "keys/LA/CM/trial_metadata.txt")  # doctest: +SKIP
        >>> read.form, read.polarity, len(read.table)  # doctest: +SKIP
        ('asvspoof2021', 'bonafide', 148176)
    """
    path = Path(path)
    for name, value, known in (("polarity", polarity, POLARITIES), ("logits", logits, LOGITS)):
        if value not in (None, *known):
            raise ValueError(f"{name} must be {' or '.join(known)}. Received: {value!r}.")
    scores, form, layout = read_form(path, logits)
    if form == "logits" and polarity is not None:
        raise ValueError(
            f"{path}: of two logits their order tells which way they point. Received: polarity "
            f"{polarity!r}. Name the order instead: --logits {' or '.join(LOGITS)}."
        )
    if form != "logits" and logits is not None:
        raise ValueError(
            f"{path}: --logits is about files with two logits a clip. Received: form {form}."
        )
    unscored, notes = 0, []
    if key is not None or "label" not in scores:
        scores, unscored, notes = _join(scores, str(path), key, subset)
    elif subset is not None:
        chosen = choose_subset(scores, subset, str(path))
        scores, notes = scores[chosen], [f"subset {subset}: {chosen.sum()} of {len(scores)} trials"]
    table = _checked(scores, str(path))
    if polarity is None:
        polarity = "spoof" if form in ("tfpipeline", "table", "logits") else "bonafide"
    if polarity == "bonafide":
        # What was derived from the file's own score would point the other way.
        table = table.assign(score=-table["score"], llr=np.nan, probability=np.nan)
    return ScoreFile(table, form, polarity, unscored, layout, tuple(notes))


def write_asvspoof5(path: str | Path, table: pd.DataFrame) -> None:
    """Writes `filename<TAB>cm-score` as ASVspoof 5 wants it: high = bonafide, every digit kept."""
    rows = (f"{c}\t{-s!r}" for c, s in zip(table["clip_id"], table["score"].tolist(), strict=True))
    write_text(path, "\n".join(["filename\tcm-score", *rows]) + "\n")


def _join(
    scores: pd.DataFrame, source: str, key: str | Path | None, subset: str | None
) -> tuple[pd.DataFrame, int, list[str]]:
    """Scores with the labels of their key, in the subset that counts."""
    if key is None:
        raise ValueError(
            f"{source}: the scores have no labels, so a key is needed. Received: none. "
            "Name it with --key, such as an ASVspoof protocol or a CSV of file,label."
        )
    labels = read_key(key)
    rows, notes = match_ids(
        scores["clip_id"].tolist(), labels["clip_id"].tolist(), source, str(key)
    )
    # The key's ids, so that files of several systems are of the same clips.
    labelled = labels.drop(columns=list(NUMBERS[1:]), errors="ignore").iloc[rows]
    labelled = labelled.set_axis(scores.index)
    if "label" in scores and (scores["label"] != labelled["label"]).any():
        row = int(np.flatnonzero(scores["label"] != labelled["label"])[0])
        raise ValueError(
            f"{source}, row {row + 1}: a label is that of the key. Received: "
            f"{scores['clip_id'].iloc[row]}, {scores['label'].iloc[row]} here and "
            f"{labelled['label'].iloc[row]} in {key}."
        )
    chosen = choose_subset(labels, subset, str(key)).to_numpy()
    if not chosen.all():
        why = "; --subset chooses others" if subset is None else ""
        count = f"{chosen.sum()} of the {len(labels)} trials of the key"
        notes.append(f"subset {subset or DEFAULT_SUBSET}: {count}{why}")
    kept = chosen[rows]
    unscored = int(chosen.sum() - kept.sum())
    return labelled.assign(score=scores["score"])[kept], unscored, notes


def _checked(scores: pd.DataFrame, source: str) -> pd.DataFrame:
    """`check_scores`, with the file's own row in what it says of a score."""
    numbers = pd.to_numeric(scores["score"], errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(float))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{source}, row {scores.index[row] + 1}: a score is a finite number. Received: "
            f"{scores['score'].iloc[row]} for {scores['clip_id'].iloc[row]}, {bad.sum()} such "
            "rows. Leave such clips out, or score them again."
        )
    return check_scores(scores, source)
