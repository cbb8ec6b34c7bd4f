"""Judges recordings: `python -m tfpipeline.predict --run saved_models/cnn FILE-or-FOLDER…`.

One row a file: the raw score (log-odds), the calibrated probability of spoof, the verdict by the
threshold that the run fixed on its validation part, the windows where the evidence lies, or why
there is no verdict. Recordings may be of any length up to four hours.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tfpipeline.cli import (
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
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="audio files, folders, patterns in quotes ('clips/**/*.wav'), or - for audio on "
        "standard input",
    )
    parser.add_argument(
        "--files-from", metavar="FILE", help="a list of more, one path a line; - is standard input"
    )
    judges = parser.add_mutually_exclusive_group(required=True)
    add_run_flag(judges, "the run to judge by")
    judges.add_argument(
        "--server",
        metavar="URL",
        help="a server of an exported run instead: grpc://host:port/model or http://…",
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="one JSON object a line")
    shown.add_argument("--csv", action="store_true", help="CSV")
    shown.add_argument("--out", metavar="FILE", help="write the rows to a .csv or .jsonl file")
    parser.add_argument(
        "--resume", action="store_true", help="with --out: continue behind the rows that are there"
    )
    parser.add_argument("--overwrite", action="store_true", help="with --out: replace the file")
    parser.add_argument(
        "--timeline",
        dest="timeline_to",
        action="store_const",
        const="timelines",
        help="draw each file's score over time above its spectrogram, into the folder timelines",
    )
    parser.add_argument(
        "--timeline-to",
        metavar="FOLDER",
        help="the same, into another folder; or --timeline=FOLDER",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="tell why: what each hand-made feature added to the score, or, of a network, a "
        "picture of where in time and frequency the evidence lies",
    )
    parser.add_argument(
        "--explain-to",
        metavar="FOLDER",
        default="explanations",
        help="where the pictures go (default: explanations)",
    )
    flags = parser.parse_args(
        [
            own.replace("--timeline=", "--timeline-to=", 1)
            if own.startswith("--timeline=")
            else own
            for own in (sys.argv[1:] if argv is None else argv)
        ]
    )
    said = " With --out, what was judged stays: --resume continues." if flags.out else ""
    return run_command(lambda: _predict(flags), f"stopped.{said}")


def _predict(flags: argparse.Namespace) -> int:
    _check_flags(flags)
    from tfpipeline.prediction.inputs import list_inputs

    names = list_inputs(flags.files, flags.files_from)
    quiet_tensorflow()
    from tfpipeline.prediction.pictures import explanations, timelines
    from tfpipeline.prediction.rows import RowFile
    from tfpipeline.workflows.predict import predict_names, row_printer

    scorer = _open_scorer(flags)
    extras: list[Callable] = []
    if flags.explain:
        extras.append(explanations(names, Path(flags.explain_to), scorer))
    timelines_too = bool(flags.timeline_to)
    if timelines_too:
        extras.append(timelines(names, Path(flags.timeline_to), scorer.threshold))
    if not flags.out:
        form = "json" if flags.json else "csv" if flags.csv else "table"
        failed = predict_names(names, scorer, row_printer(names, form), extras, timelines_too)
        return SOME_FAILED if failed else OK
    judge = {"judge": scorer.name, "fingerprint": scorer.fingerprint}
    with closing(RowFile(Path(flags.out), judge, flags.resume, flags.overwrite)) as file:
        earlier = sum(name in file.failed for name in names)
        names = [name for name in names if name not in file.done]
        failed = predict_names(names, scorer, file.add, extras, timelines_too)
    return SOME_FAILED if earlier + failed else OK


def _check_flags(flags: argparse.Namespace) -> None:
    if (flags.resume or flags.overwrite) and not flags.out:
        raise ValueError("--resume and --overwrite are about a file. Name it with --out.")
    if flags.resume and flags.overwrite:
        raise ValueError("--resume continues a file, --overwrite replaces it. Take one of them.")
    if flags.explain and flags.server:
        raise ValueError("--explain needs the run itself. Take --run instead of --server.")


def _open_scorer(flags: argparse.Namespace):
    from tfpipeline.prediction.scorers import LocalScorer, RemoteScorer

    if flags.run:
        return LocalScorer(run_folder(flags.run))
    from tfpipeline.serving.client.client import open_client

    return RemoteScorer(open_client(flags.server), flags.server)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written and closed; to take TensorFlow down in order takes Python more than a second.
    os._exit(code)
