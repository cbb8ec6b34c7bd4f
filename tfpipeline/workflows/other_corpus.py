"""A run on a corpus that it was not trained on: opened, scored, judged, and written down."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfpipeline.config import DataConfig
from tfpipeline.data.clip_audio import Audio, open_audio
from tfpipeline.data.clips import real_paths
from tfpipeline.data.corpora import load_clips
from tfpipeline.evaluation.breakdown import break_down, remark_notes, write_remarks
from tfpipeline.evaluation.scores import read_scores, score_table, write_scores
from tfpipeline.files.atomic import write_json, write_table
from tfpipeline.models.detector import ClipScorer, without_lost
from tfpipeline.models.families import find_family
from tfpipeline.prediction.explanation import explain_in_words, read_importances
from tfpipeline.reporting.report import Evaluation, write_report
from tfpipeline.runs import layout
from tfpipeline.runs.run import Run, load_detector, read_environment

SEEN_PARTS = ("train", "validation")  # what a run was fitted, selected and calibrated on


def load_whole(name: str) -> pd.DataFrame:
    """The clips of the corpus `NAME[:PATH]`, with its own parts if it has some."""
    return load_clips(DataConfig(corpus=name), split=False)


def open_whole(name: str) -> tuple[pd.DataFrame, Audio, pd.DataFrame]:
    """The usable clips of `load_whole`, their audio, and a table of what cannot be used."""
    clips, audio, skipped = open_audio(load_whole(name))
    if len(skipped):
        print(f"{len(skipped)} clips cannot be scored, see skipped.csv", file=sys.stderr)
    return clips, audio, skipped


def refuse_seen(clips: pd.DataFrame, seen: pd.Series, name: str) -> None:
    """Refuses a corpus of which a run saw files in training, selection or calibration.

    Args:
        clips: of the corpus.
        seen: paths that the run saw.
        name: of the corpus, for the error.
    Raises:
        ValueError: they share files; the first one is named.
    """
    shared = clips.loc[real_paths(clips["path"]).isin(real_paths(seen)), "path"]
    if len(shared):
        raise ValueError(
            f"a corpus to test on is untouched in training. Received: {name}, of which "
            f"{len(shared)} of {len(clips)} clips are trained or selected on, such as "
            f"{shared.iloc[0]}. The run's own test part is judged anyway."
        )


def seen_paths(run: Run) -> pd.Series:
    """Paths of the clips that a run was fitted, selected or calibrated on.

    None for the run that comes with the project: its clips lie elsewhere on each machine.
    """
    if not (run.folder / layout.SCORES).exists():
        return pd.Series([], dtype=str)
    scores = read_scores(run.folder / layout.SCORES)
    return scores.loc[scores["part"].isin(SEEN_PARTS), "path"]


def score_clips(run: Run, clips: pd.DataFrame, audio: Audio) -> pd.DataFrame:
    """The score table of clips by a run, with its calibration; without clips lost on the way."""
    detector = load_detector(run)
    print(f"scoring {len(clips)} clips with {run.folder.name}", file=sys.stderr)
    scores = ClipScorer(detector.model, detector.window).score_clips(audio)
    clips, _, scores = without_lost(clips, audio, scores)
    return score_table(clips, scores, run.calibration)


def evaluate_table(
    run: Run, table: pd.DataFrame, name: str, by: Sequence[str] = (), notes: Sequence[str] = ()
) -> Evaluation:
    """Judges a score table of a run, at the run's own threshold.

    Args:
        run: that scored it.
        table: the score table.
        name: of the corpus.
        by: further columns to break down by.
        notes: that belong to every figure.
    """
    metrics = break_down(
        table,
        run.folder.name,
        run.config.model.name,
        name,
        run.metrics.get("parameters"),
        run.metrics["threshold"],
        by,
    )
    metrics["notes"] += notes
    config = (run.folder / layout.CONFIG).read_text(encoding="utf-8")
    explain = None
    if find_family(run.config.model.name).explained == "contributions":
        explain = explain_in_words(run.config.model.name, run.folder, load_detector(run))
    return Evaluation(metrics, table, config, read_importances(run.folder), explain)


def judge_own(run: Run, by: Sequence[str] = ()) -> Evaluation:
    """Judges a run on its own scores, with the notes that training left.

    Args:
        run: complete.
        by: further columns to break down by.
    Raises:
        ValueError: it comes without its scores, as the project's own does.
    """
    if not (run.folder / layout.SCORES).exists():
        raise ValueError(
            f"a run is judged by its scores. Received: {run.folder.name}, which comes without "
            f"{layout.SCORES}; its figures are in {layout.METRICS}. Name a corpus, --data NAME."
        )
    table = read_scores(run.folder / layout.SCORES)
    notes = read_environment(run.folder).get("notes", [])
    return evaluate_table(run, table, run.config.data.corpus_name, by, notes)


def evaluate_untouched(run: Run, name: str, opened: tuple) -> Evaluation:
    """Evaluates a complete run on a corpus untouched so far, into its `evaluations` folder.

    Args:
        run: complete.
        name: of the corpus.
        opened: of `open_whole`.
    Raises:
        ValueError: the run saw some of the clips.
    """
    clips, audio, skipped = opened
    refuse_seen(clips, seen_paths(run), name)
    note = f"{name} was untouched in training, selection and calibration of {run.folder.name}"
    notes = [note, *remark_notes(clips["part"], audio.remarks)]
    judged = evaluate_table(run, score_clips(run, clips, audio), name, notes=notes)
    out = evaluation_folder(run.folder, name)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / layout.SKIPPED, pd.concat([skipped, audio.lost.table()]))
    write_remarks(out / layout.REMARKS, clips, audio.remarks)
    write_scores(out / layout.SCORES, judged.table)
    write_json(out / layout.METRICS, judged.metrics)
    write_report(out / layout.REPORT, [judged])
    return judged


def evaluation_folder(run: Path, name: str) -> Path:
    """Where a run's evaluation on a corpus is kept."""
    return run / layout.EVALUATIONS / plain_name(name)


def plain_name(name: str) -> str:
    """A name that can stand in a path."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.") or "unnamed"
