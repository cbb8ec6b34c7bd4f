"""`tfpipeline COMMAND …`, the same as `python -m tfpipeline.COMMAND …`."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "train": "fit a detector, and leave a run: scores, metrics, report, export",
    "predict": "judge recordings",
    "evaluate": "judge runs, or score files of other systems",
    "tune": "search for better settings",
    "export": "write a run for TensorFlow Serving",
    "audit": "find what tells the label without listening",
    "corpus": "list, inspect, verify and cache data sets",
    "pretrain": "teach a speech encoder without labels",
    "extract": "write hand-made features as Parquet",
    "app": "a page for the browser: verdicts in plain words",
}


def main(argv: list[str] | None = None) -> int:
    """Runs the command that the first argument names; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        return importlib.import_module(f"tfpipeline.{argv[0]}").main(argv[1:])
    if argv and argv[0] == "--version":
        from tfpipeline import __version__

        print(f"tfpipeline {__version__}")
        return 0
    asked = argv in ([], ["-h"], ["--help"])
    stream = sys.stdout if asked else sys.stderr
    if not asked:
        print(f"error: a command must be one of these. Received: {argv[0]}", file=stream)
    print("usage: tfpipeline COMMAND [--help] …\n", file=stream)
    for name, what in COMMANDS.items():
        print(f"  {name:10}{what}", file=stream)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main())
