"""Keys: the labels of trials, which of them count, and how scores are joined with them.

A key is a table with an id and a label column (`filename<TAB>cm-label`, a manifest, the Speech DF
Arena's `file_name,label`), lines `id label`, or an ASVspoof protocol (`*.trl.txt`,
`trial_metadata.txt`, ASVspoof 5's `*.tsv`).

The join is that of the organizers' packages: by the trial's id, every scored trial must be in the
key, none may be scored twice, and only then a subset is taken (`join_protocol_score` and
`evaluation_API` in github.com/asvspoof-challenge/2021, eval-package/pd_tools.py and main.py;
`load_cm_scores_keys` in github.com/asvspoof-challenge/asvspoof5, evaluation-package/util.py). Those
stop at trials without a score; here they are counted, and the caller tells the user.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.data.corpora import asvspoof5, asvspoof2019_la, asvspoof2021_df, asvspoof2021_la
from tfpipeline.data.corpora.reading.names import label_from_name
from tfpipeline.evaluation.score_text import (
    ID_NAMES,
    LABEL_NAMES,
    TextTable,
    is_number,
    named_columns,
    read_labels,
    read_text_table,
)

SUBSET_NAMES = ("subset", "phase")
DEFAULT_SUBSET, ALL = "eval", "all"
SPELLINGS = {"hidden_track": "hidden"}  # of the organizers' first package of 2021

PA_2021 = (
    *("speaker", "clip_id", "room", "microphone", "distance", "attacker_room"),
    *("attacker_microphone", "attacker_device", "attacker_distance", "label", "trim", "subset"),
)
# Protocols by the number of their fields; the label of 2021 cannot be told by its word alone, since
# a bona fide trial has `bonafide` for its attack, and in DF for its vocoder, too.
PROTOCOLS = {
    5: asvspoof2019_la.COLUMNS,
    6: ("speaker", "clip_id", "sex", "codec", "attack", "label"),  # ASVspoof 5, first phase
    8: asvspoof2021_la.COLUMNS,
    10: asvspoof5.COLUMNS,
    12: PA_2021,
    13: asvspoof2021_df.COLUMNS,
}
VERIFICATION = ("target", "nontarget")  # labels of the keys beside those of countermeasures
AUDIO_SUFFIX = re.compile(r"(?<=[^/])\.(?:flac|wav|mp3|ogg|oga|opus|m4a|aac|mp4)$", re.IGNORECASE)


def read_key(path: str | Path) -> pd.DataFrame:
    """The labels of a key: `clip_id`, `label`, and what else it tells, such as `subset`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no id or no label, or a label is not understood; the row is named.
    """
    text = read_text_table(path)
    names = [cell.lower() for cell in text.rows[0]]
    if any(name in LABEL_NAMES for name in names):
        table = named_columns(text)
        if "clip_id" not in table:
            raise ValueError(
                f"{path}: a key has a column of ids, one of {', '.join(ID_NAMES)}. "
                f"Received: {', '.join(text.rows[0])}."
            )
    else:
        table = _protocol(text)
    table["label"] = read_labels(table["label"], text.path)
    repeated = table["clip_id"].duplicated()
    if repeated.any():
        raise ValueError(
            f"{path}: a key names each clip once. Received: "
            f"{table['clip_id'][repeated].iloc[0]} twice."
        )
    if "attack" in table:
        table["attack"] = table["attack"].where(table["label"] == "spoof", UNKNOWN)
    return table


def choose_subset(key: pd.DataFrame, subset: str | None, source: str) -> pd.Series:
    """Which trials of a key count.

    Args:
        key: of `read_key`.
        subset: a value of its column `subset` (or `phase`, or a manifest's `part`); the path of a
            list of trials, one a line, as ASVspoof 5 has for its progress phase; `all`; or None:
            `eval` where the key has such a subset, else all.
        source: what the key was read from, named in errors.
    Returns:
        bool (n_trials,).
    Raises:
        ValueError: the key has no such subset, or does not name a trial of the list.
    """
    every = pd.Series(True, index=key.index)
    column = next((name for name in SUBSET_NAMES if name in key), None)
    if subset == ALL or (subset is None and column is None):
        return every
    if column is None and "part" in key:
        column = "part"
    if subset is None:
        chosen = key[column] == DEFAULT_SUBSET
        return chosen if chosen.any() else every
    wanted = SPELLINGS.get(subset, subset)
    if column is not None and (key[column] == wanted).any():
        return key[column] == wanted
    if Path(subset).is_file():
        listed = [row[1] if len(row) > 1 else row[0] for row in read_text_table(subset).rows]
        rows, _ = match_ids(listed, key["clip_id"].tolist(), str(subset), source)
        return every.index.to_series().isin(rows)
    known = "none" if column is None else ", ".join(sorted(key[column].unique()))
    raise ValueError(
        f"--subset names a subset of {source}, or a file that lists trials. Received: {subset!r}. "
        f"Subsets of this key: {known}; or {ALL}."
    )


def match_ids(
    ids: list[str], known: list[str], source: str, key: str
) -> tuple[list[int], list[str]]:
    """The row of each trial in a key, whether it is named by its path, its file or its id.

    An id is itself; else it is a path whose audio suffix does not count. Of paths in different
    folders, the one that has the most folders in common from the end is meant.

    Args:
        ids: of the trials.
        known: ids of the key.
        source, key: what they were read from, named in errors.
    Returns:
        A row a trial, and notes.
    Raises:
        ValueError: a trial is not in the key, may be one of several, or is there twice.
    """
    exact = {name: row for row, name in enumerate(known)}
    rows = [exact.get(name) for name in ids]
    lacking = [place for place, row in enumerate(rows) if row is None]
    loose = 0
    if lacking:
        by_name = defaultdict(list)
        for row, name in enumerate(known):
            steps = _steps(name)
            by_name[steps[0]].append((row, steps))
        for place in lacking:
            steps = _steps(ids[place])
            found = [
                (_common(steps, other), row, other)
                for row, other in by_name.get(steps[0], ())
                if not _contradict(steps, other)
            ]
            best = max((common for common, _, _ in found), default=0)
            meant = [(row, other) for common, row, other in found if common == best]
            if len(meant) > 1:
                raise ValueError(
                    f"{source}, row {place + 1}: a scored clip is one clip of the key. Received: "
                    f"{ids[place]}, which may be {known[meant[0][0]]} or {known[meant[1][0]]} of "
                    f"{key}. Write more of the path."
                )
            if meant:
                rows[place] = meant[0][0]
                loose += best < min(len(steps), len(meant[0][1]))
    absent = [place for place, row in enumerate(rows) if row is None]
    if absent:
        raise ValueError(
            f"{source}, row {absent[0] + 1}: every scored clip stands in the key. Received: "
            f"{ids[absent[0]]}, which {key} does not name; {len(absent)} such rows. "
            "Is it the key of this data set?"
        )
    seen: dict[int, int] = {}
    for place, row in enumerate(rows):
        if row in seen:
            raise ValueError(
                f"{source}, row {place + 1}: each clip has one score. Received: {ids[place]} again "
                f"(row {seen[row] + 1}), {len(rows) - len(set(rows))} such rows. Several baselines "
                "append to their score file: was it written twice?"
            )
        seen[row] = place
    note = f"{loose} clips lie in other folders than the key says, and were found by their names"
    return rows, [note] if loose else []


def _protocol(text: TextTable) -> pd.DataFrame:
    """Lines without a header: an ASVspoof protocol, `id label`, or `id label number`."""
    columns = _protocol_columns(text)
    at = columns.index("label")
    for number, row in enumerate(text.rows, 1):
        if len(row) <= at or label_from_name(row[at]) is None:
            asv = len(row) > at and row[at] in VERIFICATION
            raise ValueError(
                f"{text.path}, row {number}: expected bonafide or spoof as cell {at + 1}, as in "
                f"the first row. Received: {' '.join(row)[:80]!r}."
                + " This is a key of speaker verification: take CM/trial_metadata.txt."
                * asv
            )
    text.check_cells(len(columns))
    return pd.DataFrame(text.rows, columns=columns, dtype=str)


def _protocol_columns(text: TextTable) -> list[str]:
    first = text.rows[0]
    columns = PROTOCOLS.get(len(first))
    if columns and first[columns.index("label")] in (*LABELS, *VERIFICATION):
        return list(columns)
    if len(first) in (2, 3) and label_from_name(first[1]) and all(map(is_number, first[2:])):
        return ["clip_id", "label", "number"][: len(first)]
    words = [place for place, cell in enumerate(first) if cell in LABELS and place >= 2]
    if not words:
        raise ValueError(
            f"{text.path}, row 1: expected a header with {' or '.join(LABEL_NAMES[:2])}, or a "
            f"protocol line that holds bonafide or spoof. Received: {' '.join(first)[:80]!r}."
        )
    # A bona fide line may hold the word twice: the label is what every line has.
    always = [at for at in words if all(len(r) > at and r[at] in LABELS for r in text.rows)]
    at = (always or words)[-1]
    columns = ["speaker", "clip_id", *(f"field {number}" for number in range(3, len(first) + 1))]
    columns[at] = "label"
    if at > 2:
        columns[at - 1] = "attack"
    return columns


def _steps(name: str) -> list[str]:
    """The file's name without its audio suffix, then its folders upwards."""
    return AUDIO_SUFFIX.sub("", name.replace("\\", "/")).removeprefix("./").split("/")[::-1]


def _common(one: list[str], other: list[str]) -> int:
    """How many steps two paths have in common from their end."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _contradict(one: list[str], other: list[str]) -> bool:
    """Whether the folders of two files say different labels: `real/1.wav` is not `fake/1.wav`."""
    pairs = [(label_from_name(a), label_from_name(b)) for a, b in zip(one, other, strict=False)]
    return any(a and b and a != b for a, b in pairs)
