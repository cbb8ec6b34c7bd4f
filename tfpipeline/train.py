"""Trains a detector: `python -m tfpipeline.train --model cnn`.

Reads the corpus, fits a network, or a classifier on hand-made features, scores every part,
calibrates on validation, and leaves a run folder with scores, metrics, report and an exported
graph. `--model trees` trains the nine classifiers and compares them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tfpipeline.cli import (
    INTERRUPTED,
    OK,
    add_config_flags,
    add_run_flag,
    config_from_flags,
    quiet_tensorflow,
    run_command,
    run_folder,
)

if TYPE_CHECKING:
    from tfpipeline.config import Config

TRAINING_AUDIT = 4000  # clips; `python -m tfpipeline.audit` looks at more
TREES = "trees"


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and trains; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.train", description=__doc__)
    add_config_flags(parser)
    add_run_flag(parser, "where the run goes (default: saved_models/<config's name>)")
    parser.add_argument("--overwrite", action="store_true", help="replace a complete run")
    parser.add_argument("--resume", action="store_true", help="resume a stopped run")
    parser.add_argument(
        "--test",
        action="append",
        default=[],
        metavar="NAME[:PATH]",
        help="evaluate the run on this other corpus too, untouched till then; may be repeated",
    )
    parser.add_argument(
        "--allow-overlap",
        action="store_true",
        help="train though speakers or sources overlap between splits; sets data.allow_overlap",
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json instead of a table")
    flags = parser.parse_args(argv)
    if flags.allow_overlap:
        flags.overrides.append("data.allow_overlap=true")
    body = _train_trees if flags.model == TREES else _train_one
    return run_command(lambda: body(flags), "stopped. Resume with the same command and --resume.")


def _train_one(flags: argparse.Namespace) -> int:
    from tfpipeline.runs.run import check_target

    config = config_from_flags(flags)
    target = run_folder(flags.run or config.name)
    check_target(target, flags.overwrite, flags.resume)
    quiet_tensorflow()
    _check_model(config)

    from tfpipeline.reporting.tables import print_summary

    judged, interrupted = _train(config, target, flags.resume, _open(config, flags.test))
    metrics = judged.metrics
    print(json.dumps(metrics, indent=2)) if flags.json else print_summary(metrics)
    for other in _test([target], flags.test):
        print(json.dumps(other, indent=2)) if flags.json else print_summary(other)
    print(f"run: {target}   report: {target / 'report.html'}", file=sys.stderr)
    if interrupted:
        print("Resume with the same command and --resume.", file=sys.stderr)
        return INTERRUPTED
    return OK


def _train_trees(flags: argparse.Namespace) -> int:
    """The nine classifiers on the same clips and features, and their comparison."""
    from tfpipeline.runs.run import check_target

    if flags.config or flags.resume:
        raise ValueError("--model trees takes neither --config nor --resume: name one classifier.")
    quiet_tensorflow()

    from tfpipeline.models.classical.fitting import CLASSIFIERS
    from tfpipeline.reporting.tables import print_comparison, print_summary
    from tfpipeline.training.fit_features import training_features

    # Options of one classifier are none of another's, so --set reaches what they share.
    configs = []
    for name in CLASSIFIERS:
        flags.model = name
        configs.append(config_from_flags(flags))
    base = run_folder(flags.run) if flags.run else None
    targets = [base / c.name if base else run_folder(c.name) for c in configs]
    for target in targets:
        check_target(target, flags.overwrite, resume=False)
    opened = _open(configs[0], flags.test)
    features = training_features(configs[0], *opened[:2])
    judged = []
    for config, target in zip(configs, targets, strict=True):
        own, _ = _train(config, target, False, opened, features)
        judged.append(own)
    seconds = {
        target.name: json.loads((target / "environment.json").read_text("utf-8"))["fit_seconds"]
        for target in targets
    }
    metrics = [own.metrics for own in judged]
    print(json.dumps(metrics, indent=2)) if flags.json else print_comparison(metrics, seconds)
    for other in _test(targets, flags.test):
        print(json.dumps(other, indent=2)) if flags.json else print_summary(other)
    return OK


def _check_model(config: Config) -> None:
    """Refuses an unknown model, or weights that are not to be had, before any clip is read."""
    from tfpipeline.models import NETWORKS
    from tfpipeline.models.backbones import BACKBONES
    from tfpipeline.models.classical.fitting import CLASSIFIERS
    from tfpipeline.models.detector import model_options
    from tfpipeline.models.weights import find_weights

    known = (*NETWORKS, *CLASSIFIERS)
    if config.model.name not in known:
        raise ValueError(
            f"model.name must be one of {', '.join(known)}. Received: {config.model.name!r}"
        )
    if config.model.name in BACKBONES:
        options = model_options(NETWORKS[config.model.name], config)
        find_weights(config.model.name, options.get("weights", "imagenet"))


def _open(config: Config, tests: Sequence[str] = ()) -> tuple:
    """The clips, their audio, what was skipped, and the audit of the rest.

    Corpora that the run will be tested on are only listed, to refuse those that share a file.
    """
    from tfpipeline.auditing.audit import audit_clips, tell_in_a_line
    from tfpipeline.data.clips import check_parts
    from tfpipeline.data.corpora import load_clips
    from tfpipeline.data.opening import open_audio
    from tfpipeline.data.split_rules import kept_apart
    from tfpipeline.workflows.other_corpus import SEEN_PARTS, load_whole, refuse_seen

    clips = load_clips(config.data)
    name, apart = config.data.corpus_name, kept_apart(config.data)
    check_parts(clips, name, apart)
    seen = clips.loc[clips["part"].isin(SEEN_PARTS), "path"]
    for test in tests:
        refuse_seen(load_whole(test), seen, test)
    clips, audio, skipped = open_audio(clips, config.data.cache, config.data.decoder)
    if len(skipped):
        number, verb = len(clips) + len(skipped), "is" if len(skipped) == 1 else "are"
        print(f"{len(skipped)} of {number} clips {verb} skipped, see skipped.csv", file=sys.stderr)
        check_parts(clips, f"{name} without its unusable clips", apart)
    audit = audit_clips(clips, audio, name, most_clips=TRAINING_AUDIT)
    tell_in_a_line(audit)
    return clips, audio, skipped, audit


def _test(targets: Sequence[Path], names: Sequence[str]) -> Iterator[dict]:
    """Evaluates complete runs on other corpora; yields what `metrics.json` holds of each."""
    from tfpipeline.runs.run import open_run
    from tfpipeline.workflows.other_corpus import evaluate_untouched, open_whole

    for name in names:
        opened = open_whole(name)
        for target in targets:
            yield evaluate_untouched(open_run(target), name, opened).metrics


def _train(config: Config, target: Path, resume: bool, opened: tuple, features=None) -> tuple:
    """Trains one model and leaves its run folder; returns its `Evaluation`, and whether Ctrl-C came."""
    import pandas as pd

    from tfpipeline.data.clips import corpus_fingerprint
    from tfpipeline.data.split_rules import split_notes
    from tfpipeline.files.atomic import write_json, write_table
    from tfpipeline.models.backbones import BACKBONES
    from tfpipeline.models.classical.fitting import CLASSIFIERS
    from tfpipeline.runs.run import finish_run, start_run, write_environment
    from tfpipeline.training.fit import device_settings
    from tfpipeline.workflows.complete import complete_run

    clips, audio, skipped, audit = opened
    partial = start_run(target, config, resume)
    settings = device_settings(config.training, config.model.name in BACKBONES)
    print(f"training {config.model.name} on {settings}, run {target}", file=sys.stderr)
    interrupted = False
    if config.model.name in CLASSIFIERS:
        detector, parameters, more = _fit_classifier(config, clips, audio, partial, features)
    else:
        detector, parameters, more, interrupted = _fit_network(config, clips, audio, partial)
    write_environment(partial, config, corpus_fingerprint(clips), {**settings, **more})
    notes = split_notes(clips, config.data)
    if more.get("pretrained", {}).get("source") == "none":
        notes.append("trained from scratch: no pretrained weights")
    judged = complete_run(config, target.name, clips, audio, detector, parameters, partial, notes)
    write_json(partial / "audit.json", audit)
    write_table(partial / "skipped.csv", pd.concat([skipped, audio.lost.table()]))
    finish_run(partial, target)
    return judged, interrupted


def _fit_network(config: Config, clips, audio, partial: Path) -> tuple:
    from tfpipeline.files.atomic import write_table
    from tfpipeline.reporting.plots import draw_learning_curve
    from tfpipeline.runs.run import CHECKPOINT
    from tfpipeline.training.fit import fit_network

    detector, selection, pretrained = fit_network(config, clips, audio, partial)
    history = selection.history_table()
    detector.model.save_weights(partial / "model.weights.h5")
    write_table(partial / "history.csv", history)
    draw_learning_curve(history, partial / "figures" / "learning_curve.png")
    if selection.interrupted:
        print("stopped; the run is completed with its best epoch so far", file=sys.stderr)
    else:
        (partial / CHECKPOINT).unlink()
    more = {} if pretrained is None else {"pretrained": asdict(pretrained)}
    return detector, detector.model.count_params(), more, selection.interrupted


def _fit_classifier(config: Config, clips, audio, partial: Path, features) -> tuple:
    from tfpipeline.training.fit_features import fit_on_features, training_features

    if features is None:
        features = training_features(config, clips, audio)
    detector, record = fit_on_features(config, clips, features, partial)
    return detector, detector.body.get_layer("score").model.n_parameters, record


if __name__ == "__main__":
    sys.exit(main())
