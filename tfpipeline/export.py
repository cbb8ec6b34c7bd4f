"""Exports a run for TensorFlow Serving: `python -m tfpipeline.export --run saved_models/cnn`.

Writes the next version of the SavedModel: raw 16 kHz waveforms in, score and probability out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tfpipeline.flags import OK, add_run_flag, quiet_tensorflow, run_command, run_folder


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and exports; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.export", description=__doc__)
    add_run_flag(parser, "the run to export", required=True)
    parser.add_argument("--to", metavar="FOLDER", help="default: the run's serving folder")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    flags = parser.parse_args(argv)
    return run_command(lambda: _export(flags))


def _export(flags: argparse.Namespace) -> int:
    quiet_tensorflow()

    from tfpipeline.serving.run import load_detector, open_run
    from tfpipeline.serving.signatures import export_saved_model

    run = open_run(run_folder(flags.run))
    detector = load_detector(run)
    serving = Path(flags.to) if flags.to else run.folder / "serving"
    version = export_saved_model(detector.model, detector.window, run.calibration, serving)
    print(json.dumps({"saved_model": str(version)}) if flags.json else f"exported {version}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
