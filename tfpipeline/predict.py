"""Judges recordings: `python -m tfpipeline.predict --run saved_models/cnn FILE…`.

One row a file: the raw score (log-odds), the calibrated probability of spoof, and the verdict by
the threshold that the run fixed on its validation part.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from tfpipeline.flags import (
    OK,
    SOME_FAILED,
    add_run_flag,
    quiet_tensorflow,
    run_command,
    run_folder,
)

MOST_FEATURES = 8  # of an explanation, in the terminal


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and predicts; returns the exit code: 1 if some files failed."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.predict", description=__doc__)
    add_run_flag(parser, "the run to judge by", required=True)
    parser.add_argument("files", nargs="+", metavar="FILE", help="WAV or FLAC")
    parser.add_argument(
        "--explain", action="store_true",
        help="tell why: what each hand-made feature added to the score, or, of a network, a "
        "picture of where in time and frequency the evidence lies",
    )  # fmt: skip
    parser.add_argument(
        "--explain-to", metavar="FOLDER", default="explanations",
        help="where the pictures go (default: explanations)",
    )  # fmt: skip
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
    explain = _explanations(flags, run, detector) if flags.explain else None
    rows, failed = [], 0
    for file in flags.files:
        try:
            waveform = read_clip(file)
            score = scorer.score_waveform(waveform)
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
        if explain:
            row |= explain(file, waveform)
        rows.append(row)
        if flags.json:
            print(json.dumps(row), flush=True)
    if rows and not flags.json:
        _print_table(rows)
        for row in rows:
            if "contributions" in row:
                _print_explanation(row)
            elif "picture" in row:
                print(f"{row['path']}: {row['picture']}")
    return SOME_FAILED if failed else OK


def _explanations(flags: argparse.Namespace, run, detector) -> Callable[..., dict]:
    """(file, waveform) → what a row says of why."""
    from tfpipeline.models import NETWORKS
    from tfpipeline.serving.explanation import draw_explanation, open_explainer

    if run.config.model.name in NETWORKS:
        folder = Path(flags.explain_to)
        names = [Path(file).stem for file in flags.files]

        def picture(file, waveform):
            # Files of one name in several folders are numbered.
            stem = Path(file).stem
            name = f"{stem}-{flags.files.index(file) + 1}" if names.count(stem) > 1 else stem
            path = folder / f"{name}.png"
            draw_explanation(run.config, detector, waveform, Path(file).name, path)
            return {"picture": str(path)}

        return picture
    explainer = open_explainer(run.config.model.name, run.folder, detector)

    def parts(file, waveform):
        explanation = explainer.explain(waveform)
        return {
            "base": explanation.base,
            "contributions": explanation.table.to_dict("records"),
        }

    return parts


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


def _print_explanation(row: dict) -> None:
    """The features that did most for a score."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown, rest = row["contributions"][:MOST_FEATURES], row["contributions"][MOST_FEATURES:]
    table = Table(box=SIMPLE, title=Text(f"{row['path']}: why {row['score']:+.3f}"),
                  title_justify="left")  # fmt: skip
    table.add_column("feature")
    table.add_column("value", justify="right")
    table.add_column("adds to the score", justify="right")
    table.add_row("(before any feature)", "", f"{row['base']:+.3f}")
    for own in shown:
        table.add_row(own["feature"], f"{own['value']:.4g}", f"{own['contribution']:+.3f}")
    if rest:
        total = sum(own["contribution"] for own in rest)
        table.add_row(f"({len(rest)} others)", "", f"{total:+.3f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
