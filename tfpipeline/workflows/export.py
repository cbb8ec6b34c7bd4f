"""Runs as SavedModels for TensorFlow Serving: what `tfpipeline export` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tfpipeline.runs import layout
from tfpipeline.runs.run import load_detector, open_run
from tfpipeline.serving.savedmodel import export_version
from tfpipeline.serving.serving_root import IN_CONTAINER, check_name, read_labels, write_root


def export_runs(
    folders: Sequence[str | Path],
    *,
    to: str | Path | None = None,
    serving_root: str | Path | None = None,
    promote: bool = False,
    base_path: str = IN_CONTAINER,
    check: bool = True,
    announce: Callable[[dict], None] = lambda exported: None,
) -> tuple[list[dict], dict[str, dict[str, int]]]:
    """Writes the next version of each run.

    Args:
        folders: of the runs.
        to: the folder of versions, of one run alone; default: `serving` in the run folder.
        serving_root: instead, the folder that TensorFlow Serving is started on; its settings are
            written too.
        promote: label the new versions stable; else they are canary beside an older one.
        base_path: the serving root as the server sees it.
        check: compare each export's scores with its run's.
        announce: takes each run's row as soon as its version is there.
    Returns:
        A row each run: `saved_model` (the folder), `checked`, and where it was checked `clips`,
        `largest_difference` and `crossed`; and of a serving root model → label → version.
    Raises:
        FileNotFoundError: there is no such run, or none of its clips are here to check with.
        ValueError: these arguments do not go together, or the scores are not the run's.

    Example:
        >>> export_runs(["saved_models/cnn"])[0][0]["saved_model"]    # doctest: +SKIP
        'saved_models/cnn/serving/2'
    """
    if to and len(folders) > 1:
        raise ValueError("--to takes one run. Received: several; name --serving-root for them.")
    if promote and not serving_root:
        raise ValueError("--promote labels versions in a --serving-root. Received: none.")
    runs = [open_run(Path(folder)) for folder in folders]
    root = Path(serving_root) if serving_root else None
    if root:
        read_labels(root)  # a config that cannot be read is reported before the work
    exported = []
    for run in runs:
        base = Path(to) if to else run.folder / layout.SERVING
        if root:
            base = root / check_name(run.folder.name)
        version, checked = export_version(run, load_detector(run), base, check=check)
        row = {"saved_model": str(version), "checked": checked is not None}
        exported.append({**row, **(asdict(checked) if checked else {})})
        announce(exported[-1])
    if not root:
        return exported, {}
    promoted = tuple(run.folder.name for run in runs) if promote else ()
    return exported, write_root(root, promoted, base_path)


def in_a_line(row: dict) -> str:
    """A row of `export_runs` in a line for people."""
    if not row["checked"]:
        return f"exported {row['saved_model']}: NOT checked against the run's scores"
    crossed = f"; {row['crossed']} crossed a tree's threshold" if row["crossed"] else ""
    return (
        f"exported {row['saved_model']}: {row['clips']} clips of the run score the same, to "
        f"{row['largest_difference']:.1e}{crossed}"
    )
