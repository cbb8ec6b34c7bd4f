"""The folder of a run: built under `.partial/`, and renamed into place when it is complete."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tfpipeline import __version__
from tfpipeline.config import Config, config_to_yaml, load_run_config
from tfpipeline.files.atomic import replace_folder, write_json, write_text

PACKAGES = (
    "tensorflow", "tensorflow-io", "keras", "keras-tuner", "numpy", "pandas", "scipy", "librosa",
    "soundfile", "soxr", "pyworld-prebuilt", "scikit-learn", "lightgbm", "catboost",
)  # fmt: skip


CHECKPOINT = "checkpoint.npz"


def check_target(target: Path, overwrite: bool, resume: bool) -> None:
    """Refuses to replace a complete run unless told to.

    A run that Ctrl-C ended early is complete too, but keeps its checkpoint, and may be resumed.

    Raises:
        ValueError: `target` exists, and neither flag lets it be replaced.
    """
    resumable = resume and (target / CHECKPOINT).exists()
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
        resume: go on in the folder of a stopped run.
    Returns:
        The folder to build in.
    Raises:
        ValueError: there is nothing to resume, or what there is has another config.
    """
    partial = target.parent / ".partial" / target.name
    if resume and (target / CHECKPOINT).exists() and not partial.exists():
        # Copied, not moved: until the longer run is complete, the shorter one stays usable.
        copy = partial.with_name(f".{partial.name}.copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(target, copy)
        copy.rename(partial)
    if resume:
        if not (partial / "config.yaml").exists():
            raise ValueError(f"--resume needs a stopped run. Received: none in {partial}.")
        if load_run_config(partial / "config.yaml") != config:
            raise ValueError(
                f"--resume goes on with the same config. Received: one that differs from "
                f"{partial / 'config.yaml'}. Start anew without --resume."
            )
        return partial
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    write_text(partial / "config.yaml", config_to_yaml(config))
    return partial


def finish_run(partial: Path, target: Path) -> None:
    """Moves the complete run into place."""
    replace_folder(partial, target)


def write_environment(folder: Path, config: Config, fingerprint: str, settings: dict) -> None:
    """Writes `environment.json`: what, beside the config, the result depends on."""
    write_json(
        folder / "environment.json",
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
