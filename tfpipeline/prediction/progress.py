"""The progress of a prediction: in files, or of one file in seconds of audio."""

from __future__ import annotations

from collections.abc import Sequence

from tfpipeline.data.audio.decode import expected_seconds
from tfpipeline.files.progress import Progress


class ProgressBar(Progress):
    """A bar that leaves room for rows: call `clear` before one is printed.

    Args:
        names: of the files.
    """

    def __init__(self, names: Sequence[str]):
        self._alone = len(names) == 1
        total = expected_seconds(names[0]) if self._alone else len(names)
        super().__init__("judging", total and round(total), "s" if self._alone else "files")

    def scored(self, seconds: float) -> None:
        """So much more audio has its scores."""
        if self._alone:
            self.advance(round(seconds))

    def judged(self) -> None:
        """One more file has its row."""
        if not self._alone:
            self.advance()
