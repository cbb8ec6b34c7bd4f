"""Runs against corpora: each run on each corpus, on clips that it never saw.

In a run's own corpus (in-domain) only its test part counts, with the scores that the run already
has. On another corpus all its clips count; or, where some run of the matrix was trained on it, that
run's test clips, so that the cells of a column are of the same clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN, real_paths
from tfpipeline.data.mixing import corpus_labels
from tfpipeline.evaluation.evaluator import Evaluator
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.runs import layout
from tfpipeline.runs.run import Run
from tfpipeline.workflows.other_corpus import SEEN_PARTS, open_whole, score_clips

FIGURES = ("n_bonafide", "n_spoof", "auc", "auc_low", "auc_high", "eer", "eer_low", "eer_high")


def matrix_cells(runs: Sequence[Run], corpora: Sequence[str]) -> list[dict]:
    """Judges each run on each corpus.

    Args:
        runs: complete ones, of different names.
        corpora: `NAME[:PATH]` of each, as the runs' configs write it.
    Returns:
        One a run and corpus, run by run: `run`, `trained_on`, `tested_on`, `in_domain`, `clips`
        (which count, in words), `FIGURES` (None where there is none) and `notes`.
    Raises:
        ValueError: two runs of one name, or a corpus twice.
    """
    for what, names in (("run", [run.folder.name for run in runs]), ("corpus", list(corpora))):
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated:
            raise ValueError(f"a matrix has each {what} once. Received: {repeated} twice.")
    tables = {run.folder.name: read_scores(run.folder / layout.SCORES) for run in runs}
    cells = {}
    for corpus, label in zip(corpora, corpus_labels(corpora), strict=True):
        trained = [run for run in runs if corpus in run.config.data.corpora]
        tested = _test_rows(trained[0], tables[trained[0].folder.name], corpus) if trained else None
        opened = None
        for run in runs:
            table = tables[run.folder.name]
            if run in trained:
                rows, which = _test_rows(run, table, corpus), "its own test part"
            else:
                opened = open_whole(corpus) if opened is None else opened
                rows, which = _other_rows(run, table, opened, tested)
            if trained and run not in trained:
                which = which.replace("all", f"test part of {trained[0].folder.name}")
            evaluator = Evaluator()
            figures = evaluator.full(rows, label)
            cells[run.folder.name, corpus] = {
                "run": run.folder.name,
                "trained_on": " + ".join(corpus_labels(run.config.data.corpora)),
                "tested_on": label,
                "in_domain": run in trained,
                "clips": which,
                **{name: figures[name] for name in FIGURES},
                "notes": evaluator.notes,
            }
    return [cells[run.folder.name, corpus] for run in runs for corpus in corpora]


def _test_rows(run: Run, scores: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """The rows of a run's score table that are its test part in one of its corpora."""
    rows = scores[scores["part"] == "test"]
    names = run.config.data.corpora
    if len(names) > 1:
        rows = rows[rows["corpus"] == corpus_labels(names)[names.index(corpus)]]
    if not len(rows):
        raise ValueError(
            f"{run.folder}: a run has a test part in each of its corpora. Received: no test clip "
            f"of {corpus} in scores.csv. Leave this corpus out, or train again with a test part."
        )
    return rows


def _other_rows(
    run: Run, scores: pd.DataFrame, opened: tuple, tested: pd.DataFrame | None
) -> tuple[pd.DataFrame, str]:
    """A run's scores of another corpus, without clips that it saw under another name."""
    clips, audio, _ = opened
    paths = real_paths(clips["path"])
    seen = paths.isin(real_paths(scores.loc[scores["part"].isin(SEEN_PARTS), "path"]))
    wanted = ~seen if tested is None else ~seen & paths.isin(real_paths(tested["path"]))
    which = f"all but {seen.sum()} that it was trained on" if seen.any() else "all"
    at = np.flatnonzero(wanted)
    if not len(at):
        raise ValueError(
            f"{run.folder.name}: a corpus to be tested on needs clips that the run did not see. "
            f"Received: none of {len(clips)}."
        )
    table = score_clips(run, clips.iloc[at].reset_index(drop=True), audio.subset(at))
    return table.assign(part=UNKNOWN), which
