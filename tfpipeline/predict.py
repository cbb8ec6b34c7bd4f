"""Judges recordings: `python -m tfpipeline.predict --run saved_models/cnn FILE…`.

One row a file: the raw score (log-odds), the calibrated probability of spoof, and the verdict by
the threshold that the run fixed on its validation part.
"""

from __future__ import annotations

import argparse
import json
import sys

from tfpipeline.flags import (
    OK,
    SOME_FAILED,
    add_run_flag,
    quiet_tensorflow,
    run_command,
    run_folder,
)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and predicts; returns the exit code: 1 if some files failed."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.predict", description=__doc__)
    add_run_flag(parser, "the run to judge by", required=True)
    parser.add_argument("files", nargs="+", metavar="FILE", help="WAV or FLAC")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    flags = parser.parse_args(argv)
    return run_command(lambda: _predict(flags))


def _predict(flags: argparse.Namespace) -> int:
    quiet_tensorflow()

    from tfpipeline.data.audio import read_clip
    from tfpipeline.models.scoring import ClipScorer
    from tfpipeline.serving.run import load_detector, open_run

    run = open_run(run_folder(flags.run))
    detector = load_detector(run)
    scorer = ClipScorer(detector.model, detector.window)
    rows, failed = [], 0
    for file in flags.files:
        try:
            score = scorer.score_waveform(read_clip(file))
        except (OSError, ValueError) as error:
            failed += 1
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            continue
        row = {
            "path": file,
            "score": score,
            "probability": float(run.calibration.probability(score)),
            "verdict": "spoof" if score >= run.threshold else "bonafide",
        }
        rows.append(row)
        if flags.json:
            print(json.dumps(row), flush=True)
    if rows and not flags.json:
        _print_table(rows)
    return SOME_FAILED if failed else OK


def _print_table(rows: list[dict]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE)
    table.add_column("file", overflow="fold")
    for name in ("score", "probability", "verdict"):
        table.add_column(name, justify="right")
    for row in rows:
        # A file's name is data: brackets in it are not markup.
        name = Text(row["path"])
        table.add_row(name, f"{row['score']:+.3f}", f"{row['probability']:.4f}", row["verdict"])
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
