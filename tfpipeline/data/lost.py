"""Clips that could be read when a run was opened, and cannot any more."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import tensorflow as tf

from tfpipeline.data.screening import MAX_SKIPPED_SHARE, skipped_table


class LostClips:
    """Clips that could be read when a run was opened, and cannot any more.

    Args:
        paths: of all clips.
    """

    def __init__(self, paths: list[str]):
        self._paths = paths
        self._reasons: dict[int, str] = {}
        self._lock = threading.Lock()

    def add(self, index: int, reason: str) -> None:
        """Notes a clip, once, with a line.

        Raises:
            ValueError: there are too many.
        """
        with self._lock:
            if index not in self._reasons:
                self._reasons[index] = reason
                print(f"left out from here on: {reason}", file=sys.stderr)
        self.check()

    def check(self) -> None:
        """Raises ValueError if more than `MAX_SKIPPED_SHARE` of the clips are lost."""
        number = len(self._reasons)
        if number > MAX_SKIPPED_SHARE * len(self._paths):
            raise ValueError(
                f"at most {MAX_SKIPPED_SHARE:.0%} of the clips may get lost on the way. Received: "
                f"{number} of {len(self._paths)}, such as {next(iter(self._reasons.values()))} "
                "Bring them back, and go on with --resume."
            )

    def table(self) -> pd.DataFrame:
        """The table `path, reason`."""
        rows = sorted(self._reasons)
        return skipped_table(
            [self._paths[row] for row in rows], [self._reasons[row] for row in rows]
        )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turns TensorFlow's account of what `add` raised inside a pipeline into that one line."""
        try:
            yield
        except tf.errors.NotFoundError as error:  # by tensorflow-io's way, which reads in the graph
            missing = error.message.splitlines()[0].partition("; No such file")[0]
            raise FileNotFoundError(
                f"{missing}: no such file any more. Bring it back, and go on with --resume, or "
                "--set data.decoder=auto, which leaves it out."
            ) from None
        except tf.errors.OpError:
            self.check()
            raise
