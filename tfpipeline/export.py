"""Exports runs for TensorFlow Serving: `python -m tfpipeline.export --run saved_models/cnn`.

Writes the next version of the SavedModel: raw audio in, score, probability and status out, checked
against the run's own scores on real clips. `--serving-root` also writes what TensorFlow Serving is
started with.
"""

from __future__ import annotations

import argparse
import sys

from tfpipeline.cli import OK, CommandParser, print_result, run_command, run_folder


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and exports; returns the exit code."""
    parser = CommandParser(prog="python -m tfpipeline.export", description=__doc__)
    parser.add_argument(
        "--run", nargs="+", required=True, metavar="NAME-or-folder", help="the runs to export"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--to", metavar="FOLDER", help="folder of versions (default: <run>/serving)")
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
    from tfpipeline.workflows.export import export_runs, in_a_line

    exported, labels = export_runs(
        [run_folder(name) for name in flags.run],
        to=flags.to,
        serving_root=flags.serving_root,
        promote=flags.promote,
        base_path=flags.base_path,
        check=not flags.unchecked,
        announce=lambda row: None if flags.json else print(in_a_line(row)),
    )
    result = exported[0] if len(exported) == 1 else {"exported": exported}
    shown = {**result, "labels": labels} if flags.serving_root else result
    print_result(shown, flags.json, lambda shown: _print_labels(labels), indent=None)
    return OK


def _print_labels(labels: dict[str, dict[str, int]]) -> None:
    for name, versions in labels.items():
        print(f"{name}: " + ", ".join(f"{label} = version {n}" for label, n in versions.items()))


if __name__ == "__main__":
    sys.exit(main())
