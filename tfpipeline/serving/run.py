"""A complete run, opened to be used: code, config and weights; nothing stored is executed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tfpipeline.config import Config, load_run_config
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.models.classifiers.detector import load_feature_detector
from tfpipeline.models.detector import Detector, build_detector
from tfpipeline.training.classifiers import CLASSIFIERS


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


def open_run(folder: Path) -> Run:
    """Reads a run folder's records.

    Raises:
        FileNotFoundError: there is no such run; the message names those there are.
        ValueError: a record is missing or damaged.
    """
    if not (folder / "config.yaml").is_file():
        beside = folder.parent.glob("*/config.yaml") if folder.parent.is_dir() else []
        known = ", ".join(sorted(file.parent.name for file in beside)) or "none"
        raise FileNotFoundError(
            f"no run in {folder}. Runs in {folder.parent}: {known}. "
            "Train one with: python -m tfpipeline.train --model cnn"
        )
    config = load_run_config(folder / "config.yaml")
    try:
        calibration = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
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
    path = folder / "environment.json"
    try:
        environment = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected the run's record. Received: {error}.") from None
    if not isinstance(environment, dict):
        raise ValueError(f"{path}: expected the run's record. Received: {environment!r}.")
    return environment


def load_detector(run: Run) -> Detector:
    """Builds the run's network from its config and fills in its weights.

    Raises:
        ValueError: the weights file is missing, damaged or of another network.
    """
    if run.config.model.name in CLASSIFIERS:
        return load_feature_detector(run.config, run.folder)
    detector = build_detector(run.config)
    path = run.folder / "model.weights.h5"
    try:
        detector.model.load_weights(path)
    except (OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: expected the weights of {run.config.model.name}. Received: {reason[:200]}"
        ) from None
    return detector
