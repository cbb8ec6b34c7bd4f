"""How well a run does on degraded recordings: one clip list, scored once for each degradation."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.audio.codecs import through_codec
from tfpipeline.data.clip_audio import Audio, open_audio
from tfpipeline.data.clips import UNKNOWN, corpus_fingerprint, real_paths
from tfpipeline.evaluation.breakdown import part_rows
from tfpipeline.evaluation.evaluator import Evaluator
from tfpipeline.evaluation.scores import read_scores, score_table
from tfpipeline.features.degradations import Degradation, choose_degradations, degraded
from tfpipeline.files.atomic import write_json, write_table, write_text
from tfpipeline.files.progress import Progress
from tfpipeline.models.detector import ClipScorer
from tfpipeline.prediction.scorers import files_digest
from tfpipeline.reporting.report import Evaluation, write_report
from tfpipeline.reporting.robustness import draw_robustness
from tfpipeline.runs import layout
from tfpipeline.runs.run import Run, load_detector
from tfpipeline.workflows.other_corpus import SEEN_PARTS, evaluate_table, load_whole, plain_name

VERSION = 1  # another one for other sounds: a change of degradations raises it
FIGURES = ("n_bonafide", "n_spoof", "auc", "eer", "miss_rate", "false_alarm_rate")


def evaluate_robustness(run: Run, data: str | None, kinds: Sequence[str], out: Path) -> dict:
    """Judges a run under each degradation, and writes `robustness.json`, `.png` and `report.html`.

    Scores are kept in `out`, so that a stopped evaluation resumes, and further kinds are added.

    Args:
        run: complete.
        data: `NAME[:PATH]` of the corpus; None: that of training. Of clips that the run knows,
            those of its test and unseen parts count.
        kinds: of degradation; none: all.
        out: the folder of the results.
    Returns:
        `run`, `data`, `threshold`; `cells`, each with `kind`, `strength`, `lost` clips and, in
        `parts`, `FIGURES` with `auc_change` and `eer_change`, what is beyond the clean clips';
        `notes`.
    Raises:
        ValueError: an unknown kind, or no clip to test on.
    """
    chosen = choose_degradations(kinds)
    name = data or _own_corpus(run)
    clips, audio, _ = open_audio(untouched_clips(run, name))
    scores = _ScoreFolder(out / "robustness-scores", run, clips)
    notes, cells, clean = [], [], None
    scorer = None
    print(f"{len(clips)} clips, {len(chosen)} times, with {run.folder.name}", file=sys.stderr)
    with Progress("degradations", len(chosen), "cells") as bar:
        for degradation in chosen:
            found = scores.read(degradation.name)
            if found is None and (reason := _unavailable(degradation)):
                notes.append(f"{degradation.name} is left out: {reason}")
                continue
            if found is None:
                if scorer is None:
                    detector = load_detector(run)
                    scorer = ClipScorer(detector.model, detector.window)
                found = _score(scorer, audio, clips, degradation)
                scores.write(degradation.name, found)
            bar.advance()
            there = np.isfinite(found)
            table = score_table(clips[there].reset_index(drop=True), found[there], run.calibration)
            figures = _figures(table, run.threshold)
            clean = (table, figures) if clean is None else clean
            cells.append(
                {
                    "kind": degradation.kind,
                    "strength": degradation.strength,
                    "lost": int((~there).sum()),
                    "parts": {
                        part: _compared(own, clean[1][part]) for part, own in figures.items()
                    },
                }
            )
    content = {
        "schema": 1,
        "run": run.folder.name,
        "data": name,
        "threshold": run.metrics["threshold"],
        "cells": cells,
        "notes": notes,
    }
    judged = evaluate_table(run, clean[0], name)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "robustness.json", content)
    draw_robustness(content, out / "robustness.png")
    own = Evaluation(
        judged.metrics, judged.table, judged.config, judged.importances, judged.explain, content
    )
    write_report(out / layout.REPORT, [own])
    return content


def robustness_folder(run: Run, data: str | None) -> Path:
    """Where the results go unless told."""
    name = plain_name(f"{data or _own_corpus(run)}-robustness")
    return run.folder / layout.EVALUATIONS / name


def untouched_clips(run: Run, name: str) -> pd.DataFrame:
    """The clips of a corpus that a run may be tested on.

    Of a corpus that the run knows, those of its test and unseen parts; of another one, all.

    Raises:
        ValueError: there is none.
    """
    clips = load_whole(name)
    if (run.folder / layout.SCORES).exists():
        own = read_scores(run.folder / layout.SCORES)
        parts = dict(zip(real_paths(own["path"]), own["part"], strict=True))
        known = real_paths(clips["path"]).map(parts)
    else:  # the run that comes with the project
        known = clips["part"] if name in run.config.data.corpora else pd.Series(None, clips.index)
    if known.notna().any():
        clips = clips.assign(part=known)[known.notna() & ~known.isin(SEEN_PARTS)]
    if not len(clips):
        raise ValueError(
            f"robustness is tested on clips that {run.folder.name} was not trained on. Received: "
            f"{name}, all of which it was trained, selected or calibrated on."
        )
    return clips.reset_index(drop=True)


def _own_corpus(run: Run) -> str:
    names = run.config.data.corpora
    if len(names) > 1:
        raise ValueError(
            f"--robustness takes one corpus. Received: none, and {run.folder.name} was trained on "
            f"{len(names)}. Name one of them, --data {names[0]}."
        )
    return names[0]


def _score(
    scorer: ClipScorer, audio: Audio, clips: pd.DataFrame, degradation: Degradation
) -> np.ndarray:
    return scorer.score_clips(degraded(audio, clips["clip_id"].tolist(), degradation))


def _unavailable(degradation: Degradation) -> str | None:
    """Why a codec cannot be used here; None where it can."""
    if degradation.codec is None:
        return None
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    try:
        through_codec(noise, degradation.codec)
    except ValueError as error:
        return str(error)
    return None


def _figures(table: pd.DataFrame, threshold: float) -> dict[str, dict]:
    """The figures of each part that can be judged."""
    found = {}
    for part in dict.fromkeys(table["part"]):
        figures = Evaluator(threshold, rounds=0).short(part_rows(table, part), part)
        found["all" if part == UNKNOWN else part] = {name: figures[name] for name in FIGURES}
    return found


def _compared(figures: dict, clean: dict) -> dict:
    changes = {
        f"{name}_change": None
        if None in (figures[name], clean[name])
        else figures[name] - clean[name]
        for name in ("auc", "eer")
    }
    return {**figures, **changes}


class _ScoreFolder:
    """Scores of finished degradations, of one state of run, clips and degradations."""

    def __init__(self, folder: Path, run: Run, clips: pd.DataFrame):
        text = f"{VERSION} {files_digest(run.folder)} {corpus_fingerprint(clips)}"
        mark = hashlib.sha256(text.encode()).hexdigest()
        self._folder, self._ids = folder, clips["clip_id"].tolist()
        state = folder / "state.txt"
        if not state.exists() or state.read_text("utf-8").strip() != mark:
            shutil.rmtree(folder, ignore_errors=True)
            write_text(state, mark + "\n")

    def read(self, name: str) -> np.ndarray | None:
        path = self._path(name)
        if not path.exists():
            return None
        table = pd.read_csv(path, dtype={"clip_id": str}, float_precision="round_trip")
        return table.set_index("clip_id")["score"].reindex(self._ids).to_numpy(float)

    def write(self, name: str, scores: np.ndarray) -> None:
        write_table(self._path(name), pd.DataFrame({"clip_id": self._ids, "score": scores}))

    def _path(self, name: str) -> Path:
        return self._folder / f"{plain_name(name)}.csv"
