"""Writes a run's next export: graph, contract, warmup; checked before it gets its name."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from tfpipeline.files.atomic import write_json, write_text
from tfpipeline.models.detector import Detector
from tfpipeline.serving.contract import EXTRA, build_contract, contract_text
from tfpipeline.serving.core_ops import check_core_ops
from tfpipeline.serving.export_check import Checked, check_export
from tfpipeline.serving.run import Run
from tfpipeline.serving.signatures import ServedDetector
from tfpipeline.serving.warmup import write_warmup

MOST_TRIES = 100  # of other exports that take the same number at the same moment


def export_version(
    run: Run, detector: Detector, base: Path, check: bool = True
) -> tuple[Path, Checked | None]:
    """Writes the detector as the next version under `base`, atomically.

    Args:
        run: whose calibration, threshold and scores belong to the detector.
        detector: of the run, float32.
        base: folder of versions, which are named 1, 2, …; none is ever replaced.
        check: compare the export's scores with those of the run before it gets its name. Without
            it, `checked.json` says that it was not.
    Returns:
        The version's folder, and what the check found.
    Raises:
        ValueError: the graph holds what TensorFlow Serving does not have, or its scores are not
            the run's.
        FileNotFoundError: none of the run's clips are here to check with.
    """
    contract = contract_text(build_contract(run, detector.window))
    served = ServedDetector(detector.model, detector.window, run.calibration, contract)
    base.mkdir(parents=True, exist_ok=True)
    partial = base / f".partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        tf.saved_model.save(served, str(partial), served.signatures())
        check_core_ops(partial)
        extra = partial / EXTRA
        extra.mkdir()
        write_text(extra / "contract.json", contract)
        write_warmup(extra, run.folder.name, detector.window)
        found = check_export(run, partial) if check else None
        write_json(extra / "checked.json", {"checked": check, **(asdict(found) if found else {})})
        return _name(partial, base), found
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def versions(base: Path) -> list[int]:
    """The versions in a folder, ascending."""
    if not base.is_dir():
        return []
    return sorted(int(f.name) for f in base.iterdir() if f.name.isdigit() and f.is_dir())


def _name(partial: Path, base: Path) -> Path:
    """Renames the finished folder to the next number, again if another export was faster."""
    for _ in range(MOST_TRIES):
        target = base / str(1 + max(versions(base), default=0))
        try:
            partial.rename(target)  # fails on a folder that is not empty
        except OSError:
            if not target.exists():
                raise
        else:
            return target
    raise FileExistsError(f"{base}: no free version number in {MOST_TRIES} tries. Try again.")
