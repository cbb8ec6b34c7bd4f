"""One file on its way to a verdict: decoded bit by bit, looked at, cut into windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE, SILENCE_DBFS
from tfpipeline.data.audio.bandwidth import Bandwidth
from tfpipeline.data.audio.decode import decode, opened
from tfpipeline.data.audio.windows import stream_windows
from tfpipeline.data.cache import from_steps, to_steps
from tfpipeline.features.spectrogram import LongSpectrogram
from tfpipeline.prediction.abstention import Activity
from tfpipeline.serving.status import FULL_SCALE

AHEAD_WINDOWS = 15  # that one `read` gathers, or a little more: a minute
SILENT_PEAK = 10 ** (SILENCE_DBFS / 20)


class Channel:
    """What was heard of a channel that is judged; of most files there is one.

    Attributes:
        name: `left` and the like; `""` where there is one.
        samples: at `SAMPLE_RATE`, so far.
        clipped: how many of the samples are at full scale.
        activity: speech and level; bandwidth: how high its frequencies reach.
        spectrogram: if it is wanted.
        silent: of each window so far, whether it is silent.
    """

    def __init__(self, name: str, expected_seconds: float | None, spectrogram: bool):
        self.name = name
        self.samples = self.clipped = 0
        self.activity = Activity(expected_seconds)
        self.bandwidth = Bandwidth()
        self.spectrogram = LongSpectrogram() if spectrogram else None
        self.silent: list[bool] = []

    @property
    def seconds(self) -> float:
        """Length so far."""
        return self.samples / SAMPLE_RATE

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples."""
        self.samples += len(block)
        if max(block.max(), -block.min()) >= FULL_SCALE:
            self.clipped += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        self.activity.add(block)
        self.bandwidth.add(block)
        if self.spectrogram:
            self.spectrogram.add(block)

    def places(self, window: int) -> np.ndarray:
        """Start and end of each window in seconds, float64 (windows, 2), once all are read."""
        starts = np.arange(len(self.silent)) * window
        starts = np.minimum(starts, max(0, self.samples - window))
        ends = np.minimum(starts + window, self.samples)
        return np.stack([starts, ends], axis=1) / SAMPLE_RATE


class Recording:
    """A file that is being read.

    `read` may run in any thread, one at a time; `finished` is for whoever takes its results.

    Attributes:
        path: of the file; name: as the user named it.
        window: samples in a window.
        channels: that are judged, as far as they were read.
        remarks: what was noticed about the file.
        scores: of the windows that were scored, channel after channel; whoever scores them appends.
        finished: all windows have been taken.
        error: why it cannot be judged, None while that is not known.
    """

    def __init__(self, path: str | Path, name: str, window: int, spectrogram: bool = False):
        self.path, self.name, self.window = path, name, window
        self.channels: list[Channel] = []
        self.remarks: list[str] = []
        self.scores: list[float] = []
        self.finished = False
        self.error: Exception | None = None
        self._spectrogram = spectrogram
        self._steps: np.ndarray | None = None
        self._windows = self._all_windows()

    def __getstate__(self) -> dict:
        return {key: value for key, value in vars(self).items() if key != "_windows"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        read = self._steps is not None
        self._windows = iter([from_steps(self._steps)]) if read else self._all_windows()

    @property
    def read_windows(self) -> int:
        """How many windows there were so far."""
        return sum(len(channel.silent) for channel in self.channels)

    def read(self) -> tuple[np.ndarray, bool]:
        """The next windows, float32 (some, window), and whether they are the last.

        An error is kept, not raised, and ends the reading.
        """
        gathered, last = [], False
        try:
            while not last and sum(map(len, gathered)) < AHEAD_WINDOWS:
                windows = next(self._windows, None)
                if windows is None:
                    last = True
                else:
                    gathered.append(windows)
        except (OSError, ValueError) as error:
            self.error, last = error, True
        if len(gathered) == 1:
            return gathered[0], last
        return np.concatenate([np.zeros((0, self.window), np.float32), *gathered]), last

    def read_ahead(self) -> Recording:
        """The recording, read to its end, to be pickled and scored in another process.

        Its windows go along as 16-bit samples, which lose nothing. Of more than `AHEAD_WINDOWS`
        none go: the other process reads such a file itself, bit by bit.
        """
        read, last = [], False
        while not last:
            windows, last = self.read()
            read.append(to_steps(windows))
            if sum(map(len, read)) > AHEAD_WINDOWS:
                return Recording(self.path, self.name, self.window)
        self._steps = np.concatenate(read)
        return self

    def judged(self) -> tuple[Channel, np.ndarray]:
        """Of a finished file, the channel that looks most like spoof, and its windows' scores."""
        ends = np.cumsum([len(channel.silent) for channel in self.channels])
        scores = np.split(np.array(self.scores), ends[:-1])
        highest = int(np.argmax([channel_scores.mean() for channel_scores in scores]))
        return self.channels[highest], scores[highest]

    def judged_waveform(self) -> np.ndarray:
        """The whole waveform of the channel that `judged` names, float32 (samples,)."""
        whole = decode(self.path, self.name).waveform.reshape(len(self.channels), -1)
        return whole[self.channels.index(self.judged()[0])]

    def _all_windows(self) -> Iterator[np.ndarray]:
        with opened(self.path, self.name) as recording:
            self.remarks = recording.remarks
            for number, name in enumerate(recording.channels):
                channel = Channel(name, recording.seconds, self._spectrogram)
                self.channels.append(channel)
                heard = _heard(channel, recording.blocks(number))
                for windows in stream_windows(heard, self.window):
                    channel.silent += [max(row.max(), -row.min()) < SILENT_PEAK for row in windows]
                    yield windows
                channel.activity.end()


def _heard(channel: Channel, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        channel.add(block)
        yield block
