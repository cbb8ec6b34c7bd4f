"""Prediction over files: what `tfpipeline predict` does, in order.

1. Files are read ahead in threads, cut into windows, and scored in batches (`predict_files`).
2. Each gets a row: score, probability, verdict or why there is none (`rows`).
3. Explanations and timelines are added, and the row goes to the terminal or to a file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfpipeline.prediction.inputs import audio_from_pipe, is_pipe
from tfpipeline.prediction.pictures import explanations, timelines
from tfpipeline.prediction.predict_files import error_line, make_row, score_files
from tfpipeline.prediction.progress import ProgressBar
from tfpipeline.prediction.recordings import Recording
from tfpipeline.prediction.rows import RowFile, TableLines, csv_line, json_line, printable
from tfpipeline.prediction.scorers import LocalScorer, RemoteScorer, Scorer

MOST_FEATURES = 8  # of an explanation, in the terminal


def open_scorer(
    run: Path | None, server: str | None = None, threshold: str | None = None
) -> LocalScorer | RemoteScorer:
    """Who judges: the run of a folder, or else a server of an exported run, by its address."""
    if run is not None:
        return LocalScorer(run, threshold)
    from tfpipeline.serving.client.client import open_client

    return RemoteScorer(open_client(server), server, threshold)


def judge_files(
    names: Sequence[str],
    scorer: LocalScorer | RemoteScorer,
    form: str = "table",
    out: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    explain_to: str | None = None,
    timeline_to: str | None = None,
) -> int:
    """Judges files, and prints their rows or writes them to a file.

    Args:
        names: of `list_inputs`.
        scorer: of `open_scorer`.
        form: of printed rows, `table`, `json` or `csv`.
        out: a file for the rows instead; `resume` and `overwrite` as of `RowFile`.
        explain_to, timeline_to: folders of pictures; None for none.
    Returns:
        How many files could not be judged, those of rows that were there already included.
    """
    extras: list[Callable] = []
    if explain_to:
        extras.append(explanations(names, Path(explain_to), scorer))
    if timeline_to:
        extras.append(timelines(names, Path(timeline_to), scorer.threshold))
    if not out:
        return predict_names(names, scorer, row_printer(names, form), extras, bool(timeline_to))
    judge = {"judge": scorer.name, "fingerprint": scorer.fingerprint}
    with closing(RowFile(Path(out), judge, resume, overwrite)) as file:
        earlier = sum(name in file.failed for name in names)
        names = [name for name in names if name not in file.done]
        return earlier + predict_names(names, scorer, file.add, extras, bool(timeline_to))


def predict_names(
    names: Sequence[str],
    scorer: Scorer,
    write_row: Callable[[dict], None],
    extras: Sequence[Callable[[Recording, dict], dict]] = (),
    spectrograms: bool = False,
) -> int:
    """Judges files, and hands their rows on in order.

    Args:
        names: paths, FIFOs, or `-` for audio on standard input.
        scorer: gives the scores.
        write_row: takes each row as it is ready.
        extras: from a finished recording and its row, what is added to the row.
        spectrograms: keep those of the recordings, for timelines.
    Returns:
        How many files could not be judged.
    """
    failed = 0
    with ExitStack() as stack:

        def recordings() -> Iterator[Recording]:
            for name in names:
                path = stack.enter_context(audio_from_pipe(name)) if is_pipe(name) else name
                yield Recording(path, name, scorer.window, spectrograms)

        bar = stack.enter_context(ProgressBar(names))
        for recording in score_files(recordings(), scorer, bar.scored):
            row = make_row(recording, scorer)
            for extra in extras:
                row |= extra(recording, row)
            bar.clear()
            if recording.error:
                failed += 1
                print(f"error: {error_line(recording)}", file=sys.stderr, flush=True)
            write_row(row)
            bar.judged()
    return failed


def row_printer(names: Sequence[str], form: str) -> Callable[[dict], None]:
    """What prints a row: as `json`, `csv`, or a line of a `table`."""
    if form == "json":
        return lambda row: print(json_line(row), flush=True)
    if form == "csv":
        if hasattr(sys.stdout, "reconfigure"):  # names that are no UTF-8 keep their bytes
            sys.stdout.reconfigure(errors="surrogateescape")
        print(csv_line(), flush=True)
        return lambda row: print(csv_line(row), flush=True)
    table = TableLines(names)
    header = [table.header()]

    def tell(row: dict) -> None:
        for line in (*header, table.line(row)):
            print(line, flush=True)
        header.clear()
        for remark in row["remarks"]:
            print(f"   {remark}", flush=True)
        if "contributions" in row:
            _print_explanation(row)
        for key in ("picture", "timeline"):
            if row.get(key):
                print(f"   {key}: {printable(row[key])}", flush=True)

    return tell


def _print_explanation(row: dict) -> None:
    """The features that did most for a score."""
    shown, rest = row["contributions"][:MOST_FEATURES], row["contributions"][MOST_FEATURES:]
    title = Text(f"{printable(row['path'])}: why {row['score']:+.3f}")
    table = Table(box=SIMPLE, title=title, title_justify="left")
    table.add_column("feature")
    table.add_column("value", justify="right")
    table.add_column("adds to the score", justify="right")
    table.add_row("(before any feature)", "", f"{row['base']:+.3f}")
    for entry in shown:
        table.add_row(entry["feature"], f"{entry['value']:.4g}", f"{entry['contribution']:+.3f}")
    if rest:
        total = sum(entry["contribution"] for entry in rest)
        table.add_row(f"({len(rest)} others)", "", f"{total:+.3f}")
    Console().print(table)
