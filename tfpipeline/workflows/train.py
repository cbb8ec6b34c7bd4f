"""Training from a config to a complete run: what `tfpipeline train` does, in order.

1. The clips are listed and checked; corpora to test on must not share a file with them.
2. Their audio is decoded and screened, and an audit looks for what tells the label by itself.
3. The model is fitted (`training`).
4. All clips are scored, calibrated, evaluated and reported, and the graph is exported (`complete`).
5. The run is judged on the other corpora (`other_corpus`).
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from tfpipeline.auditing.audit import audit_clips, tell_in_a_line
from tfpipeline.config import Config
from tfpipeline.data.clip_audio import Audio, open_audio
from tfpipeline.data.clips import check_parts, corpus_fingerprint
from tfpipeline.data.corpora import load_clips
from tfpipeline.data.splits import kept_apart, split_notes
from tfpipeline.files.atomic import write_json, write_table
from tfpipeline.models.detector import DetectorModel, model_options, weights_source
from tfpipeline.models.families import FAMILIES, find_family
from tfpipeline.models.pretrained import ensure_weights
from tfpipeline.reporting.plots import draw_learning_curve
from tfpipeline.reporting.report import Evaluation
from tfpipeline.runs import layout
from tfpipeline.runs.run import (
    check_target,
    finish_run,
    open_run,
    start_run,
    write_environment,
)
from tfpipeline.training.cluster import Cluster, join_cluster, read_cluster
from tfpipeline.training.fit import device_settings, fit_network
from tfpipeline.training.fit_classical import fit_on_features, training_features
from tfpipeline.workflows.complete import complete_run
from tfpipeline.workflows.other_corpus import (
    SEEN_PARTS,
    evaluate_untouched,
    load_whole,
    open_whole,
    refuse_seen,
)

AUDITED_CLIPS = 4000  # `tfpipeline audit` looks at more


@dataclass(frozen=True)
class Corpus:
    """What a run is trained on.

    Attributes:
        clips: the manifest of those that can be used.
        audio: of the same clips.
        skipped: `path, reason` of the others.
        audit: the content of `audit.json`.
    """

    clips: pd.DataFrame
    audio: Audio
    skipped: pd.DataFrame
    audit: dict


@dataclass(frozen=True)
class _Fitted:
    detector: DetectorModel
    parameters: int
    record: dict
    interrupted: bool = False


def train_run(
    config: Config,
    target: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    tests: Sequence[str] = (),
    clips: pd.DataFrame | None = None,
) -> tuple[Evaluation | None, bool]:
    """Trains one model, and leaves its run folder.

    With `TF_CONFIG` in the environment, together with other machines: all call this, and the chief
    leaves the run.

    Args:
        config: of the run.
        target: its folder.
        overwrite: replace a complete run.
        resume: continue a stopped one.
        tests: corpora, `NAME[:PATH]`, that the run will be tested on.
        clips: the manifest; default: that of the config's corpus.
    Returns:
        What came of it, None on a machine that is not the chief; and whether Ctrl-C ended the
        training early.
    Raises:
        ValueError, OSError: what a user can fix, in one line.
    """
    cluster = _join_cluster(config)
    check_model(config)
    if cluster and not cluster.is_chief:
        _train_along(config, cluster, tests, clips)
        return None, False
    check_target(target, overwrite, resume)
    return _train(config, target, open_corpus(config, tests, clips), resume, cluster=cluster)


def _join_cluster(config: Config) -> Cluster | None:
    if read_cluster() is None:
        return None
    training = config.training
    if find_family(config.model.name).is_classical:
        raise ValueError(
            "TF_CONFIG names several machines, which train networks. Received: "
            f"{config.model.name}, which one machine fits. Unset TF_CONFIG."
        )
    if training.devices or training.cached_passes or config.mel.place == "pipeline":
        raise ValueError(
            "TF_CONFIG names several machines, each of which takes all its devices. Received: "
            "training.devices, training.cached_passes or mel.place=pipeline, which are for one."
        )
    return join_cluster()


def _train_along(
    config: Config, cluster: Cluster, tests: Sequence[str], clips: pd.DataFrame | None
) -> None:
    """What a machine does that is not the chief: all but writing, and in silence."""
    print(f"worker {cluster.index} of {cluster.workers}: the chief reports", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        corpus = open_corpus(config, tests, clips)
        fit_network(config, corpus.clips, corpus.audio, Path(folder), cluster=cluster)


def classical_models() -> list[str]:
    """The models on hand-made features, which train on the same clips at once."""
    return [name for name, family in FAMILIES.items() if family.is_classical]


def train_classical(
    configs: Sequence[Config], targets: Sequence[Path], overwrite: bool, tests: Sequence[str]
) -> tuple[list[Evaluation], dict[str, float]]:
    """Trains classical models on the same clips and features.

    Args:
        configs: one a model, alike in all but the model.
        targets: their run folders.
        overwrite, tests: as for `train_run`.
    Returns:
        What came of each, and the name of each run with the seconds that its fit took.
    """
    for config, target in zip(configs, targets, strict=True):
        _join_cluster(config)
        check_target(target, overwrite, resume=False)
    corpus = open_corpus(configs[0], tests)
    features = training_features(configs[0], corpus.clips, corpus.audio)
    evaluations = [
        _train(config, target, corpus, features=features)[0]
        for config, target in zip(configs, targets, strict=True)
    ]
    seconds = {
        target.name: json.loads((target / layout.ENVIRONMENT).read_text("utf-8"))["fit_seconds"]
        for target in targets
    }
    return evaluations, seconds


def evaluate_on(targets: Sequence[Path], names: Sequence[str]) -> Iterator[dict]:
    """Evaluates complete runs on other corpora; yields what `metrics.json` holds of each."""
    for name in names:
        opened = open_whole(name)
        for target in targets:
            yield evaluate_untouched(open_run(target), name, opened).metrics


def check_model(config: Config) -> None:
    """Refuses an unknown model, or weights that are not to be had, before any clip is read."""
    family = find_family(config.model.name)
    model_options(family.build, config)
    if family.is_pretrained:
        ensure_weights(config.model.name, weights_source(config))


def open_corpus(
    config: Config, tests: Sequence[str] = (), clips: pd.DataFrame | None = None
) -> Corpus:
    """The clips that can be used, their audio, and what was found out about them.

    Corpora that the run will be tested on are only listed, to refuse those that share a file.
    """
    clips = load_clips(config.data) if clips is None else clips
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
    audit = audit_clips(clips, audio, name, most_clips=AUDITED_CLIPS)
    tell_in_a_line(audit)
    return Corpus(clips, audio, skipped, audit)


def _train(
    config: Config,
    target: Path,
    corpus: Corpus,
    resume: bool = False,
    features: pd.DataFrame | None = None,
    cluster: Cluster | None = None,
) -> tuple[Evaluation, bool]:
    partial = start_run(target, config, resume)
    family = find_family(config.model.name)
    settings = device_settings(config.training, family.kind == "image")
    if cluster:
        settings |= {"jit": False, "workers": cluster.workers}
    print(f"training {config.model.name} on {settings}, run {target}", file=sys.stderr)
    fitted = (
        _fit_classical(config, corpus, partial, features)
        if family.is_classical
        else _fit_network(config, corpus, partial, cluster)
    )
    record = {**settings, **fitted.record}
    write_environment(partial, config, corpus_fingerprint(corpus.clips), record)
    notes = split_notes(corpus.clips, config.data)
    if record.get("pretrained", {}).get("source") == "none":
        notes.append("trained from scratch: no pretrained weights")
    evaluation = complete_run(
        config,
        target.name,
        corpus.clips,
        corpus.audio,
        fitted.detector,
        fitted.parameters,
        partial,
        notes,
    )
    write_json(partial / layout.AUDIT, corpus.audit)
    write_table(partial / layout.SKIPPED, pd.concat([corpus.skipped, corpus.audio.lost.table()]))
    finish_run(partial, target)
    return evaluation, fitted.interrupted


def _fit_network(config: Config, corpus: Corpus, partial: Path, cluster: Cluster | None) -> _Fitted:
    detector, selection, pretrained = fit_network(
        config, corpus.clips, corpus.audio, partial, cluster=cluster
    )
    history = selection.history_table()
    detector.model.save_weights(partial / layout.NETWORK)
    write_table(partial / layout.HISTORY, history)
    draw_learning_curve(history, partial / layout.FIGURES / "learning_curve.png")
    if selection.interrupted:
        print("stopped; the run is completed with its best epoch so far", file=sys.stderr)
    else:
        (partial / layout.CHECKPOINT).unlink()
    record = {} if pretrained is None else {"pretrained": asdict(pretrained)}
    return _Fitted(detector, detector.model.count_params(), record, selection.interrupted)


def _fit_classical(
    config: Config, corpus: Corpus, partial: Path, features: pd.DataFrame | None
) -> _Fitted:
    if features is None:
        features = training_features(config, corpus.clips, corpus.audio)
    detector, record = fit_on_features(config, corpus.clips, features, partial)
    return _Fitted(detector, detector.body.get_layer("score").model.n_parameters, record)
