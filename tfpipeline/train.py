"""Trains a detector: `python -m tfpipeline.train --model cnn`.

Reads the corpus, fits the network, scores every part, calibrates on validation, and leaves a run
folder with scores, metrics, pictures and an exported graph.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tfpipeline.flags import (
    INTERRUPTED,
    OK,
    add_config_flags,
    add_run_flag,
    config_from_flags,
    quiet_tensorflow,
    run_command,
    run_folder,
)

TRAINING_AUDIT = 4000  # clips; `python -m tfpipeline.audit` looks at more


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.train", description=__doc__)
    add_config_flags(parser)
    add_run_flag(parser, "where the run goes (default: saved_models/<config's name>)")
    parser.add_argument("--overwrite", action="store_true", help="replace a complete run")
    parser.add_argument("--resume", action="store_true", help="go on with a stopped run")
    parser.add_argument("--json", action="store_true", help="print metrics.json instead of a table")
    flags = parser.parse_args(argv)
    return run_command(lambda: _train(flags), "stopped. Go on with the same command and --resume.")


def _train(flags: argparse.Namespace) -> int:
    from tfpipeline.training.run_folder import check_target

    config = config_from_flags(flags)
    target = run_folder(flags.run or config.name)
    check_target(target, flags.overwrite, flags.resume)
    quiet_tensorflow()

    from tfpipeline.data.clips import check_parts, corpus_fingerprint
    from tfpipeline.data.corpora import load_clips
    from tfpipeline.data.pipeline import open_audio
    from tfpipeline.evaluation.auditing import audit_clips, tell_in_a_line
    from tfpipeline.evaluation.summary import print_summary
    from tfpipeline.files.atomic import write_json, write_table
    from tfpipeline.training.fit import device_settings, fit_network
    from tfpipeline.training.run_folder import (
        CHECKPOINT,
        finish_run,
        start_run,
        write_environment,
    )

    clips = load_clips(config.data)
    check_parts(clips, config.data.corpus)
    clips, audio, skipped = open_audio(clips, config.data.cache)
    if len(skipped):
        all_clips, verb = len(clips) + len(skipped), "is" if len(skipped) == 1 else "are"
        print(
            f"{len(skipped)} of {all_clips} clips {verb} skipped, see skipped.csv", file=sys.stderr
        )
        check_parts(clips, f"{config.data.corpus} without its unusable clips")
    partial = start_run(target, config, flags.resume)
    settings = device_settings(config.training)
    write_environment(partial, config, corpus_fingerprint(clips), settings)
    print(f"training {config.model.name} on {settings}, run {target}", file=sys.stderr)

    audit = audit_clips(clips, audio, config.data.corpus, most_clips=TRAINING_AUDIT)
    write_json(partial / "audit.json", audit)
    tell_in_a_line(audit)
    detector, selection = fit_network(config, clips, audio, partial)
    if selection.interrupted:
        print("stopped; the run is completed with its best epoch so far", file=sys.stderr)
    metrics = _judge(config, target.name, clips, audio, detector, selection, partial)
    write_table(partial / "skipped.csv", skipped)
    if not selection.interrupted:
        (partial / CHECKPOINT).unlink()
    finish_run(partial, target)
    print(json.dumps(metrics, indent=2)) if flags.json else print_summary(metrics)
    print(f"run: {target}   served graph: {target / 'serving' / '1'}", file=sys.stderr)
    if selection.interrupted:
        print("Go on with the same command and --resume.", file=sys.stderr)
        return INTERRUPTED
    return OK


def _judge(config, run: str, clips, audio, detector, selection, folder: Path) -> dict:
    """Scores every clip, and writes all that a run folder holds beside its config."""
    from tfpipeline.config import config_to_yaml
    from tfpipeline.data.clips import LABELS
    from tfpipeline.evaluation.breakdown import break_down
    from tfpipeline.evaluation.calibration import fit_calibration
    from tfpipeline.evaluation.metrics import eer_threshold
    from tfpipeline.evaluation.report import Judged, write_report
    from tfpipeline.evaluation.scores import score_table, write_scores
    from tfpipeline.files.atomic import write_json, write_table
    from tfpipeline.models.scoring import ClipScorer
    from tfpipeline.serving.signatures import export_saved_model

    scores = ClipScorer(detector.model, detector.window).score_clips(audio)
    chosen = (clips["part"] == "validation").to_numpy()
    labels = clips["label"].map(LABELS)[chosen].to_numpy()
    calibration = fit_calibration(labels, scores[chosen])
    table = score_table(clips, scores, calibration)
    metrics = break_down(
        table, run, config.model.name, config.data.corpus, detector.model.count_params(),
        threshold={"value": eer_threshold(labels, scores[chosen]), "rule": "equal error rate",
                   "part": "validation"},
    )  # fmt: skip
    history = selection.history_table()

    detector.model.save_weights(folder / "model.weights.h5")
    write_json(folder / "calibration.json", asdict(calibration))
    write_scores(folder / "scores.csv", table)
    write_json(folder / "metrics.json", metrics)
    write_table(folder / "history.csv", history)
    write_report(folder / "report.html", [Judged(metrics, table, config_to_yaml(config))])
    _draw(clips, audio, detector, history, folder / "figures")
    export_saved_model(detector.model, detector.window, calibration, folder / "serving")
    return metrics


def _draw(clips, audio, detector, history, figures: Path) -> None:
    """The learning curve, and the spectrograms of one test original and its spoofs."""
    import tensorflow as tf

    from tfpipeline.evaluation.figures import draw_learning_curve, draw_spectrograms

    draw_learning_curve(history, figures / "learning_curve.png")
    tested = clips[clips["part"].isin(["test", "unseen"]) & (clips["source"] != "-")]
    source = tested.groupby("source")["attack"].nunique().idxmax() if len(tested) else None
    # One clip an attack, the original first ("-" sorts before letters).
    shown = tested[tested["source"] == source].sort_values(["attack", "clip_id"])
    shown = shown.drop_duplicates("attack")
    if shown.empty:
        return
    mel = detector.front_end.get_layer("log_mel")
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


if __name__ == "__main__":
    sys.exit(main())
