"""Progress bars: drawn on stderr where it is a terminal, for work that takes over two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

DELAY = 2.0  # seconds before a bar is drawn
PAUSE = 0.1  # seconds between two drawings
BYTES = "bytes"


class Progress:
    """The progress of one task; a context, at whose end the bar disappears.

    It is drawn by `advance` alone: call `clear` before anything else is printed.

    Args:
        task: the name of the task.
        total: units of work; None where the number is not known.
        unit: what is counted; `BYTES` are shown as kB, MB or GB, with their rate.
        done: units that were done before.
    """

    def __init__(self, task: str, total: float | None, unit: str, done: float = 0):
        self._began = self._drawn = time.monotonic()
        self._bar = _rich_bar(unit) if sys.stderr.isatty() else None
        if self._bar:
            self._task = self._bar.add_task(task, total=total, completed=done)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def advance(self, amount: float = 1) -> None:
        """Counts work that is done."""
        if not self._bar:
            return
        self._bar.advance(self._task, amount)
        now = time.monotonic()
        if now - self._began >= DELAY and now - self._drawn >= PAUSE:
            self._drawn = now
            self._bar.start()
            self._bar.refresh()

    def clear(self) -> None:
        """Erases the bar, so that a line can be printed; the next `advance` may draw it again."""
        if self._bar and self._bar.live.is_started:
            self._bar.stop()


def track(items: Sequence[T], task: str, unit: str) -> Iterator[T]:
    """The items, with a bar of how many are done."""
    with Progress(task, len(items), unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _rich_bar(unit: str):
    from rich import progress
    from rich.console import Console

    name = progress.TextColumn("{task.description}", markup=False)
    if unit == BYTES:
        count = (progress.DownloadColumn(), progress.TransferSpeedColumn())
    else:
        count = (progress.MofNCompleteColumn(), progress.TextColumn(unit, markup=False))
    times = (progress.TimeElapsedColumn(), progress.TimeRemainingColumn())
    # Without redirection: rich would send what is printed on stdout to this console, stderr.
    return progress.Progress(
        name,
        progress.BarColumn(),
        *count,
        *times,
        console=Console(stderr=True),
        get_time=lambda: time.monotonic(),  # one clock for both
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
