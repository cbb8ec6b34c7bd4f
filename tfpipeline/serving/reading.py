"""One file on its way to a verdict: decoded bit by bit, looked at, cut into windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE, SILENCE_DBFS, check_file
from tfpipeline.data.streaming import read_header, stream_clip, stream_windows
from tfpipeline.serving.abstention import Activity
from tfpipeline.serving.ragged import FULL_SCALE
from tfpipeline.serving.spectrogram import LongSpectrogram

AHEAD_WINDOWS = 15  # that one `read` gathers, or a little more: a minute
SILENT_PEAK = 10 ** (SILENCE_DBFS / 20)
MOST_BYTES_PASSED = 8 * 2**20  # of a WAV file that is sent as it is: some four minutes


class Reading:
    """A file that is being read.

    `read` may run in any thread, one at a time; `finished` is for whoever takes its results.

    Attributes:
        path: of the file; name: as the user named it.
        samples: at `SAMPLE_RATE`, so far.
        clipped: how many of the samples are at full scale.
        activity: of what was read.
        spectrogram: of what was read, if it is wanted.
        contents: the bytes of the file, if it is a WAV file that is to be sent as it is; then
            `read` gives no windows, but counts them.
        scores: of the windows that were scored; whoever scores them appends.
        silent: of each window so far, whether it is silent.
        finished: all windows have been taken.
        error: why it cannot be judged, None while that is not known.
    """

    def __init__(
        self, path: str | Path, name: str, window: int, spectrogram: bool = False,
        pass_bytes: bool = False,
    ):  # fmt: skip
        self.path, self.name, self.window = path, name, window
        self.samples = self.clipped = 0
        self.silent: list[bool] = []
        self.activity = Activity()  # another once the file is open
        self.spectrogram = LongSpectrogram() if spectrogram else None
        self.contents: bytes | None = None
        self.scores: list[float] = []
        self.finished = False
        self.error: Exception | None = None
        self._pass_bytes = pass_bytes
        self._windows = stream_windows(self._blocks(), window)

    @property
    def read_windows(self) -> int:
        """How many windows there were so far."""
        return len(self.silent)

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self.samples / SAMPLE_RATE

    def read(self) -> tuple[np.ndarray, bool]:
        """The next windows, float32 (some, window), and whether they are the last.

        An error is kept, not raised, and ends the reading.
        """
        gathered, last = [], False
        try:
            if self._pass_bytes and not self.samples:
                self.contents = _wav_contents(self.path, self.name)
            while not last and sum(map(len, gathered)) < AHEAD_WINDOWS:
                windows = next(self._windows, None)
                if windows is None:
                    last = True
                else:
                    self.silent += [
                        max(own.max(), -own.min()) < SILENT_PEAK for own in windows
                    ]  # fmt: skip
                    gathered.append(windows if self.contents is None else windows[:0])
        except (OSError, ValueError) as error:
            self.error, last = error, True
        if len(gathered) == 1:
            return gathered[0], last
        return np.concatenate([np.zeros((0, self.window), np.float32), *gathered]), last

    def places(self) -> np.ndarray:
        """Start and end of each window in seconds, float64 (windows, 2); of a finished file."""
        starts = np.arange(self.read_windows) * self.window
        starts = np.minimum(starts, max(0, self.samples - self.window))
        ends = np.minimum(starts + self.window, self.samples)
        return np.stack([starts, ends], axis=1) / SAMPLE_RATE

    def _blocks(self) -> Iterator[np.ndarray]:
        header = read_header(self.path)
        self.activity = Activity(header.seconds)
        for block in stream_clip(self.path, self.name, header):
            self.samples += len(block)
            if max(block.max(), -block.min()) >= FULL_SCALE:
                self.clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
            self.activity.add(block)
            if self.spectrogram:
                self.spectrogram.add(block)
            yield block
        self.activity.end()


def _wav_contents(path: str | Path, name: str) -> bytes | None:
    """The bytes of a WAV file that is short enough to be sent; None of any other."""
    check_file(path, name)
    path = Path(path)
    if path.stat().st_size > MOST_BYTES_PASSED:
        return None
    contents = path.read_bytes()
    return contents if contents[:4] == b"RIFF" and contents[8:12] == b"WAVE" else None
