"""Exports runs for TensorFlow Serving: `python -m tfpipeline.export --run saved_models/cnn`.

Writes the next version of the SavedModel: raw audio in, score, probability and status out, checked
against the run's own scores on real clips. `--serving-root` also writes what TensorFlow Serving is
started with.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tfpipeline.cli import OK, CommandParser, quiet_tensorflow, run_command, run_folder
from tfpipeline.runs import layout


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and exports; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.export", description=__doc__)
    parser.add_argument(
        "--run", nargs="+", required=True, metavar="NAME-or-folder", help="the runs to export"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--to", metavar="FOLDER", help="folder of versions (default: the run's serving folder)"
    )
    where.add_argument(
        "--serving-root",
        metavar="FOLDER",
        help="folder for TensorFlow Serving: <run>/<version>, models.config, compose.yaml …",
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="label the new version stable; else it is canary beside an older one",
    )
    parser.add_argument(
        "--base-path",
        metavar="PATH",
        default="/models",
        help="the serving root as the server sees it (default: /models, as in compose.yaml)",
    )
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="where the run's clips are not here: do not compare scores, and say so",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    flags = parser.parse_args(argv)
    return run_command(lambda: _export(flags))


def _export(flags: argparse.Namespace) -> int:
    if flags.to and len(flags.run) > 1:
        raise ValueError("--to takes one run. Received: several; name --serving-root for them.")
    if flags.promote and not flags.serving_root:
        raise ValueError("--promote labels versions in a --serving-root. Received: none.")
    quiet_tensorflow()

    from tfpipeline.runs.run import load_detector, open_run
    from tfpipeline.serving.savedmodel import export_version
    from tfpipeline.serving.serving_root import check_name, read_labels, write_root

    runs = [open_run(run_folder(name)) for name in flags.run]
    root = Path(flags.serving_root) if flags.serving_root else None
    if root:
        read_labels(root)  # a config that cannot be read is told before the work
    exported = []
    for run in runs:
        base = Path(flags.to) if flags.to else run.folder / layout.SERVING
        if root:
            base = root / check_name(run.folder.name)
        version, found = export_version(run, load_detector(run), base, check=not flags.unchecked)
        exported.append(
            {
                "saved_model": str(version),
                "checked": found is not None,
                **(
                    {
                        "clips": found.clips,
                        "largest_difference": found.largest_difference,
                        "crossed": found.crossed,
                    }
                    if found
                    else {}
                ),
            }
        )
        if not flags.json:
            print(f"exported {version}: {_tell(found)}")
    labels = {}
    if root:
        promoted = tuple(run.folder.name for run in runs) if flags.promote else ()
        labels = write_root(root, promoted, flags.base_path)
    if flags.json:
        result = exported[0] if len(exported) == 1 else {"exported": exported}
        print(json.dumps({**result, **({"labels": labels} if root else {})}))
    else:
        for name, own in labels.items():
            told = ", ".join(f"{label} = version {version}" for label, version in own.items())
            print(f"{name}: {told}")
    return OK


def _tell(found) -> str:
    if found is None:
        return "NOT checked against the run's scores"
    return f"{found.clips} clips of the run score the same, to {found.largest_difference:.1e}" + (
        f"; {found.crossed} crossed a tree's threshold" if found.crossed else ""
    )


if __name__ == "__main__":
    sys.exit(main())
