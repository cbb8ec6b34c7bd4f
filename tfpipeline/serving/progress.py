"""A progress bar that leaves room for rows on the same terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tqdm import tqdm

from tfpipeline.data.audio.decode import expected_seconds


class ProgressBar:
    """Progress on stderr, after two seconds: in files, or of one file in seconds of audio.

    Args:
        names: of the files.
    """

    def __init__(self, names: Sequence[str]):
        self._alone = len(names) == 1
        total = expected_seconds(names[0]) if self._alone else len(names)
        self._bar = tqdm(
            total=total and round(total), desc="judging", unit="s" if self._alone else "file",
            ascii=" #", delay=2, leave=False,
        )  # fmt: skip
        self._began = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._bar.close()

    def clear(self) -> None:
        """Makes room for a row; before its time the bar must not be touched, or it shows."""
        if time.monotonic() - self._began > self._bar.delay:
            self._bar.clear()

    def scored(self, seconds: float) -> None:
        """So much more audio has its scores."""
        if self._alone:
            self._bar.update(round(seconds))

    def judged(self) -> None:
        """One more file has its row."""
        if not self._alone:
            self._bar.update()
