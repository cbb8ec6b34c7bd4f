"""A log-mel spectrogram of a recording of any length in bounded memory, for pictures."""

from __future__ import annotations

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE

N_FFT, HOP, N_MELS = 512, 128, 80  # 32 ms, 8 ms
MOST_COLUMNS = 2000  # more than a picture has pixels
FLOOR = 1e-10


class LongSpectrogram:
    """Mean power of mel bands over columns that double their width whenever they grow too many."""

    def __init__(self):
        self._samples = np.zeros(N_FFT // 2, np.float32)  # the first frame is centred on 0
        self._frames = np.zeros((0, N_MELS), np.float32)  # of a column that is not full
        self._columns = np.zeros((0, N_MELS), np.float32)
        self._width = 1  # frames in a column
        self._filters: np.ndarray | None = None

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples, float32 (samples,) at 16 kHz."""
        # In pieces, since a minute's frames are forty megabytes.
        for begin in range(0, len(block), 2**17):
            self._samples = np.concatenate([self._samples, block[begin : begin + 2**17]])
            self._take_frames()

    def picture(self) -> tuple[np.ndarray, float]:
        """The spectrogram; nothing may be added behind it.

        Returns:
            float32 (columns, n_mels) in dB, at most `MOST_COLUMNS` columns, and the seconds from
            one to the next.
        """
        missing = max(N_FFT - len(self._samples), 0) + N_FFT // 2
        self._samples = np.concatenate([self._samples, np.zeros(missing, np.float32)])
        self._take_frames()
        columns = self._columns
        if len(self._frames):
            columns = np.concatenate([columns, self._frames.mean(axis=0, keepdims=True)])
        return 10 * np.log10(columns[:MOST_COLUMNS] + FLOOR), self._width * HOP / SAMPLE_RATE

    def _take_frames(self) -> None:
        import scipy.fft

        if len(self._samples) < N_FFT:
            return
        if self._filters is None:
            from tfpipeline.features.filterbank import mel_filters

            self._filters = mel_filters(SAMPLE_RATE, N_FFT, N_MELS).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(self._samples, N_FFT)[::HOP]
        self._samples = self._samples[len(frames) * HOP :]
        spectrum = scipy.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32), axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) @ self._filters  # (frames, n_mels)
        self._frames = np.concatenate([self._frames, power])
        while len(self._frames) >= self._width:
            if len(self._columns) == MOST_COLUMNS:
                self._columns = self._columns.reshape(-1, 2, N_MELS).mean(axis=1)
                self._width *= 2
                continue
            count = min(len(self._frames) // self._width, MOST_COLUMNS - len(self._columns))
            block = self._frames[: count * self._width].reshape(count, self._width, N_MELS)
            self._columns = np.concatenate([self._columns, block.mean(axis=1)])
            self._frames = self._frames[count * self._width :]
