"""The folder of a run: built under `.partial/`, and renamed into place when it is complete.

A complete run, opened to be used: code, config and weights; nothing stored is executed.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tfpipeline import __version__
from tfpipeline.config import Config, config_to_yaml, load_run_config
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.files.atomic import replace_folder, write_json, write_text
from tfpipeline.models.classical.detector import load_feature_detector
from tfpipeline.models.detector import DetectorModel, build_detector
from tfpipeline.models.families import find_family
from tfpipeline.runs import layout

PACKAGES = (
    "tensorflow",
    "tensorflow-io",
    "keras",
    "keras-tuner",
    "numpy",
    "pandas",
    "scipy",
    "librosa",
    "soundfile",
    "soxr",
    "pyworld-prebuilt",
    "scikit-learn",
    "lightgbm",
    "catboost",
)


def check_target(target: Path, overwrite: bool, resume: bool) -> None:
    """Refuses to replace a complete run unless told to.

    A run that Ctrl-C ended early is complete too, but keeps its checkpoint, and may be resumed.

    Raises:
        ValueError: `target` exists, and neither flag lets it be replaced.
    """
    resumable = resume and (target / layout.CHECKPOINT).exists()
    if target.exists() and not overwrite and not resumable:
        raise ValueError(
            f"a run is not replaced unasked. Received: {target}, which exists. "
            "Name another with --run, or replace it with --overwrite."
        )


def start_run(target: Path, config: Config, resume: bool) -> Path:
    """Makes the folder in which the run `target` is built, and writes its config there.

    Args:
        target: where the complete run will be.
        config: the resolved config.
        resume: resume in the folder of a stopped run.
    Returns:
        The folder to build in.
    Raises:
        ValueError: there is nothing to resume, or what there is has another config.
    """
    partial = target.parent / ".partial" / target.name
    if resume and (target / layout.CHECKPOINT).exists() and not partial.exists():
        # Copied, not moved: until the longer run is complete, the shorter one stays usable.
        copy = partial.with_name(f".{partial.name}.copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(target, copy)
        copy.rename(partial)
    if resume:
        if not (partial / layout.CONFIG).exists():
            raise ValueError(f"--resume needs a stopped run. Received: none in {partial}.")
        if load_run_config(partial / layout.CONFIG) != config:
            raise ValueError(
                f"--resume needs the same config. Received: one that differs from "
                f"{partial / 'config.yaml'}. Start anew without --resume."
            )
        return partial
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    write_text(partial / layout.CONFIG, config_to_yaml(config))
    return partial


def finish_run(partial: Path, target: Path) -> None:
    """Moves the complete run into place."""
    replace_folder(partial, target)


def write_environment(folder: Path, config: Config, fingerprint: str, settings: dict) -> None:
    """Writes `environment.json`: what, beside the config, the result depends on."""
    write_json(
        folder / layout.ENVIRONMENT,
        {
            "tfpipeline": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "seed": config.seed,
            "corpus": config.data.corpus_name,
            "corpus_fingerprint": fingerprint,
            "versions": {name: _version(name) for name in PACKAGES},
            **settings,
        },
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Run:
    """What a run folder says.

    Attributes:
        folder: the run's.
        config: as it was trained.
        calibration: scores into probabilities.
        threshold: on raw scores; a clip is called spoof where score >= threshold.
        metrics: the content of `metrics.json`.
    """

    folder: Path
    config: Config
    calibration: Calibration
    threshold: float
    metrics: dict

    @property
    def thresholds(self) -> dict[str, dict]:
        """All thresholds of the run, by name; a run of before has that of equal errors alone."""
        return self.metrics.get("thresholds", {"eer": self.metrics["threshold"]})


def open_run(folder: Path) -> Run:
    """Reads a run folder's records.

    Raises:
        FileNotFoundError: there is no such run; the message names those there are.
        ValueError: a record is missing or damaged.
    """
    if not (folder / layout.CONFIG).is_file():
        beside = folder.parent.glob("*/config.yaml") if folder.parent.is_dir() else []
        known = ", ".join(sorted(file.parent.name for file in beside)) or "none"
        raise FileNotFoundError(
            f"no run in {folder}. Runs in {folder.parent}: {known}. "
            "Train one with: python -m tfpipeline.train --model cnn"
        )
    config = load_run_config(folder / layout.CONFIG)
    try:
        calibration = json.loads((folder / layout.CALIBRATION).read_text(encoding="utf-8"))
        metrics = json.loads((folder / layout.METRICS).read_text(encoding="utf-8"))
        return Run(
            folder,
            config,
            Calibration(*(float(calibration[key]) for key in ("a", "b", "prior"))),
            float(metrics["threshold"]["value"]),
            metrics,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}: a run holds calibration.json and metrics.json. Received: {error}. "
            "Train it again with --overwrite."
        ) from None


def read_environment(folder: Path) -> dict:
    """A run's record of seeds, versions and corpus.

    Raises:
        ValueError: it is missing or damaged.
    """
    path = folder / layout.ENVIRONMENT
    try:
        environment = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected the run's record. Received: {error}.") from None
    if not isinstance(environment, dict):
        raise ValueError(f"{path}: expected the run's record. Received: {environment!r}.")
    return environment


def load_detector(run: Run) -> DetectorModel:
    """Builds the run's network from its config and fills in its weights.

    Raises:
        ValueError: the weights file is missing, damaged or of another network.
    """
    if find_family(run.config.model.name).is_classical:
        return load_feature_detector(run.config, run.folder)
    detector = build_detector(run.config)
    path = run.folder / layout.NETWORK
    try:
        detector.model.load_weights(path)
    except (OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: expected the weights of {run.config.model.name}. Received: {reason[:200]}"
        ) from None
    return detector
