"""Prediction over a stream: what `tfpipeline predict --follow` does.

The stream is read until it ends, its reader is gone, or Ctrl-C; each window's row is flushed.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfpipeline.cli import INTERRUPTED, OK, SOME_FAILED
from tfpipeline.data.audio.checks import UnusableError
from tfpipeline.data.audio.live import Layout, Read
from tfpipeline.prediction.follow import FIELDS, follow_stream, until_interrupted
from tfpipeline.prediction.inputs import STDIN
from tfpipeline.prediction.scorers import Scorer


def judge_stream(name: str, scorer: Scorer, layout: Layout | None, as_json: bool) -> int:
    """Judges a stream, and prints a row a window.

    Args:
        name: `-` for standard input, or the path of a pipe or file.
        scorer: of `open_scorer`.
        layout: of raw samples; None: WAV.
        as_json: JSON lines; else CSV.
    Returns:
        The exit code.
    """
    with _opened(name) as waiting, until_interrupted(waiting) as (read, was_interrupted):
        try:
            write = _writer(as_json)
            for row in follow_stream(read, scorer, layout):
                write(row)
        except BrokenPipeError:
            # Nobody reads any more. What is still buffered must not fail at the process's end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except UnusableError as error:
            if not was_interrupted():
                print(f"error: {name}: {error}", file=sys.stderr)
                return SOME_FAILED
        return INTERRUPTED if was_interrupted() else OK


def _writer(as_json: bool) -> Callable[[dict], None]:
    if as_json:
        return lambda row: print(json.dumps(row, allow_nan=False), flush=True)
    table = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")

    def write(row: dict) -> None:
        table.writerow(row | {"silent": int(row["silent"])})
        sys.stdout.flush()

    table.writeheader()
    sys.stdout.flush()
    return write


@contextmanager
def _opened(name: str) -> Iterator[Read]:
    """What reads a stream without waiting for more than there is."""
    if name == STDIN:
        yield sys.stdin.buffer.read1
        return
    with open(name, "rb", buffering=0) as file:
        yield file.read
