"""Which clips can be used: each is decoded once and looked at before a run starts.

A clip that is unreadable, empty, too short, silent or holds NaN is skipped, with its reason. So
many of them that something else must be wrong stop the run.

Clips that could be read when a run was opened, and cannot any more.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.audio.bandwidth import TELEPHONE_REMARK, is_telephone
from tfpipeline.data.audio.decode import Decoded, decode
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import write_json
from tfpipeline.files.progress import Progress

MAX_SKIPPED_SHARE = 0.05
# Another version for other answers: a change of the decoder or of the checks raises it.
VERSION = 2
THREADS = (os.cpu_count() or 1) + 1
AHEAD = 4 * THREADS


@dataclass
class Screening:
    """What was learnt of some clips.

    Attributes:
        reasons: index → why a clip cannot be used.
        channels: index → how many channels are judged apart, of clips with more than one.
        remarks: index → what was noticed about a clip that can be used.
    """

    reasons: dict[int, str] = field(default_factory=dict)
    channels: dict[int, int] = field(default_factory=dict)
    remarks: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def add(self, index: int, found: Decoded | str) -> None:
        """Takes in what came of one clip."""
        if isinstance(found, str):
            self.reasons[index] = found
        else:
            self.note(index, len(found.channels), found.remarks)

    def note(self, index: int, channels: int, remarks: tuple[str, ...]) -> None:
        """Takes in what is known of a clip that can be used."""
        if channels > 1:
            self.channels[index] = channels
        if remarks:
            self.remarks[index] = remarks

    def usable(self, n_clips: int) -> np.ndarray:
        """Indices of those of so many clips that can be used, in order."""
        return np.delete(np.arange(n_clips), sorted(self.reasons))


def screen_clips(paths: Sequence[str], keep: Callable[[int, Decoded], None]) -> Screening:
    """Decodes clips in parallel and hands the good ones on, in order.

    Args:
        paths: of the clips.
        keep: called with the index and the waveform of each clip that can be used.
    """
    screening = Screening()
    with Progress("decoding", len(paths), "clips") as bar:
        for index, found in enumerate(_decoded(paths)):
            screening.add(index, found)
            if not isinstance(found, str):
                keep(index, found)
            bar.advance()
    return screening


def screen_once(paths: Sequence[str], folder: Path | None = None) -> Screening:
    """`screen_clips` for clips that are not kept: its answer is kept instead.

    The same list of unchanged files (by path, size and change time) is not decoded again, but for
    those that could not be used: what was missing may be there now.

    Args:
        paths: of the clips.
        folder: of the answers; default: `screened` in the user's cache.
    """
    digest = hashlib.sha256()
    for path in paths:
        absolute = os.path.abspath(path)
        try:
            stat = os.stat(absolute)
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "absent"
        digest.update(f"{absolute}\0{state}\n".encode())
    answer = (folder or cache_folder() / "screened") / f"{digest.hexdigest()[:24]}-v{VERSION}.json"
    if answer.exists():
        known = json.loads(answer.read_text("utf-8"))
        screening = Screening(
            channels={int(index): n for index, n in known["channels"].items()},
            remarks={int(index): tuple(lines) for index, lines in known["remarks"].items()},
        )
        again = known["failed"]
        for index, found in zip(again, _decoded([paths[index] for index in again]), strict=True):
            screening.add(index, found)
    else:
        again = None
        screening = screen_clips(paths, lambda index, decoded: None)
    if again is None or len(again) > len(screening.reasons):
        write_json(
            answer,
            {
                "failed": sorted(screening.reasons),
                "channels": screening.channels,
                "remarks": screening.remarks,
            },
        )
    return screening


def drop_skipped(
    clips: pd.DataFrame, reasons: dict[int, str], most: float = MAX_SKIPPED_SHARE
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Takes the skipped clips out of a manifest.

    Args:
        clips: a manifest; reasons are by its row numbers.
        reasons: row → why it is skipped.
        most: share of the clips that may be skipped.
    Returns:
        The clips that are left, and a table `path, reason` of those that are not.
    Raises:
        ValueError: more are.
    """
    rows = sorted(reasons)
    if len(rows) > most * len(clips):
        raise ValueError(
            f"at most {most:.0%} of the clips may be unusable. Received: {len(rows)} "
            f"of {len(clips)}. The first: {reasons[rows[0]]}"
        )
    skipped = skipped_table(clips["path"].iloc[rows].tolist(), [reasons[row] for row in rows])
    return clips.drop(index=clips.index[rows]).reset_index(drop=True), skipped


def skipped_table(paths: Sequence[str], reasons: Sequence[str]) -> pd.DataFrame:
    """The table `path, reason`; a reason's own mention of its path is left out."""
    shortened = [why.removeprefix(f"{path}: ") for path, why in zip(paths, reasons, strict=True)]
    return pd.DataFrame({"path": list(paths), "reason": shortened}, dtype=object)


def _decoded(paths: Sequence[str]) -> Iterator[Decoded | str]:
    """Each clip, or why it cannot be used, in order; a few are decoded ahead, in threads."""
    waiting: deque = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for path in paths:
            waiting.append(pool.submit(_try, path))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _try(path: str) -> Decoded | str:
    try:
        clip = decode(path)
    except (ValueError, OSError) as error:
        return str(error)
    if is_telephone(clip.waveform):
        return replace(clip, remarks=(*clip.remarks, TELEPHONE_REMARK))
    return clip


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
                "Bring them back, and run it again with --resume."
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
        import tensorflow as tf

        try:
            yield
        except tf.errors.NotFoundError as error:  # by tensorflow-io's way, which reads in the graph
            missing = error.message.splitlines()[0].partition("; No such file")[0]
            raise FileNotFoundError(
                f"{missing}: no such file any more. Bring it back, and run the command again with "
                "--resume, or --set data.decoder=auto, which leaves it out."
            ) from None
        except tf.errors.OpError:
            self.check()
            raise
