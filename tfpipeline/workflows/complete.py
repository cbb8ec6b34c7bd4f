"""What makes a trained detector a run: scores, calibration, metrics, report, pictures, export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.config import Config, config_to_yaml
from tfpipeline.data.clip_audio import Audio
from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation.breakdown import break_down, remark_notes, write_remarks
from tfpipeline.evaluation.calibration import fit_calibration
from tfpipeline.evaluation.metrics import eer_threshold, false_alarm_threshold
from tfpipeline.evaluation.scores import score_table, write_scores
from tfpipeline.files.atomic import write_json
from tfpipeline.models.detector import ClipScorer, DetectorModel, mel_layer, without_lost
from tfpipeline.prediction.explanation import explain_in_words, read_importances
from tfpipeline.reporting.plots import draw_spectrograms
from tfpipeline.reporting.report import Evaluation, write_report
from tfpipeline.runs import layout
from tfpipeline.runs.run import open_run, read_environment
from tfpipeline.serving.savedmodel import export_version


def complete_run(
    config: Config,
    run: str,
    clips: pd.DataFrame,
    audio: Audio,
    detector: DetectorModel,
    parameters: int,
    folder: Path,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Scores every clip, and writes all that a run folder holds beside config and model.

    Args:
        config: of the run.
        run: its name.
        clips, audio: all parts.
        detector: trained.
        parameters: how many numbers were fitted.
        notes: that belong to every figure of the run.
        folder: that is being built; it holds `environment.json` already.
    Returns:
        The metrics and the score table.
    """
    scores = ClipScorer(detector.model, detector.window).score_clips(audio)
    clips, audio, scores = without_lost(clips, audio, scores)
    chosen = (clips["part"] == "validation").to_numpy()
    labels = clips["label"].map(LABELS)[chosen].to_numpy()
    calibration = fit_calibration(labels, scores[chosen])
    table = score_table(clips, scores, calibration)
    thresholds = validation_thresholds(labels, scores[chosen])
    metrics = break_down(
        table, run, config.model.name, config.data.corpus_name, parameters, thresholds["eer"]
    )
    metrics["thresholds"] = thresholds
    own_notes = [*notes, *remark_notes(table["part"], audio.remarks)]
    metrics["notes"] += own_notes
    # Where later evaluations of the run find them again.
    write_json(folder / layout.ENVIRONMENT, {**read_environment(folder), "notes": own_notes})
    judged = Evaluation(
        metrics,
        table,
        config_to_yaml(config),
        read_importances(folder),
        explain_in_words(config.model.name, folder, detector),
    )
    write_json(folder / layout.CALIBRATION, asdict(calibration))
    write_scores(folder / layout.SCORES, table)
    write_remarks(folder / layout.REMARKS, table, audio.remarks)
    write_json(folder / layout.METRICS, metrics)
    write_report(folder / layout.REPORT, [judged])
    _draw(config, clips, audio, folder / layout.FIGURES)
    export_version(open_run(folder), detector, folder / layout.SERVING)
    return judged


def validation_thresholds(labels: np.ndarray, scores: np.ndarray) -> dict[str, dict]:
    """The thresholds that a run offers, by name, fixed on its validation part."""
    values = {
        "eer": (eer_threshold(labels, scores), "equal error rate"),
        "far1": (false_alarm_threshold(labels, scores, 0.01), "at most 1 % false alarms"),
    }
    return {
        name: {"value": value, "rule": rule, "part": "validation"}
        for name, (value, rule) in values.items()
    }


def _draw(config: Config, clips: pd.DataFrame, audio: Audio, figures: Path) -> None:
    """The spectrograms of one test original and its spoofs."""
    import tensorflow as tf

    tested = clips[clips["part"].isin(["test", "unseen"]) & (clips["source"] != "-")]
    source = tested.groupby("source")["attack"].nunique().idxmax() if len(tested) else None
    # One clip an attack, the original first ("-" sorts before letters).
    shown = tested[tested["source"] == source].sort_values(["attack", "clip_id"])
    shown = shown.drop_duplicates("attack")
    if shown.empty:
        return
    mel = mel_layer(config)
    hop = mel.hop_length / mel.sample_rate
    # A second and a half out of the middle of a clip, wide enough for traces to be seen.
    whole = not shown["seconds"].min() >= 2  # an unknown length is NaN
    excerpt = slice(None) if whole else slice(round(0.5 / hop), round(2.0 / hop))
    spectrograms = {
        "original" if row.attack == "-" else row.attack: mel(
            audio.waveform(tf.constant(row.Index, tf.int64))[None]
        )[0, excerpt].numpy()
        for row in shown.itertuples()
    }
    draw_spectrograms(spectrograms, hop, figures / "spectrograms.png")
