"""When a score should not be taken for a verdict: too short, too quiet, no speech, disagreement.

Speech is told from other sound by two properties: it is voiced in part, and it moves. A frame
counts where it is loud enough, periodic at a pitch of 70 to 400 Hz, and of another spectrum than a
tenth of a second before or behind; such frames must stand close together, and what lies within
a seventh of a second of them, consonants mostly, is speech too. Noise and chords are not periodic,
tones and hum do not move. A melody of one instrument is both, and passes for speech; a whisper is
neither voiced nor taken for speech.

The constants were set on the clips of the demo corpus, on their own and under noise, and on made-up
sounds that are no speech.
"""

from __future__ import annotations

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.checks import MAX_SECONDS

MIN_CLIP_SECONDS = 0.5  # a syllable or two; below, there is nothing that a window could repeat
QUIET_DBFS = -60.0  # of the loudest frame: some 35 dB above the steps of 16 bits
# Speech that is needed: half a second; of a shorter clip a quarter, since pauses and unvoiced
# sounds may make up much of it; of a long one a hundredth, else the score is that of other sound.
MIN_SPEECH_SECONDS, SHORT_SHARE, LONG_SHARE = 0.5, 0.25, 0.01
# Windows disagree where a quarter of them or more say each of the two with this probability.
CONFIDENT, DISAGREEING_SHARE = 0.9, 0.25

PIECE = 2 * SAMPLE_RATE  # looked at at once; loudness is relative to the loudest frame in it
DECIMATION = 4  # voicing is looked for below 2 kHz
RATE = SAMPLE_RATE // DECIMATION
FRAME, HOP, N_FFT = 256, 80, 320  # 64 ms, 20 ms; a frame and its longest period fit in
LOWEST_BIN = 3  # 37 Hz: what is below is rumble
SHORTEST, LONGEST = RATE // 400, RATE // 70  # periods
PERIODIC = 0.6  # share of the power that repeats after a period
LOUD_DB, LOUD_DBFS = -40.0, -70.0  # below the loudest frame, and below full scale
BEFORE = 5  # frames: 0.1 s
MOVING_DB = 3.0  # mean change over bands; speech has 7, steady sounds below 1
BAND_EDGES = np.unique(np.geomspace(LOWEST_BIN, N_FFT // 2 + 1, 17).astype(int))
NEAR, ENOUGH = 9, 5  # of so many frames around one, so many must count
AROUND = 15  # frames: 0.14 s to either side
QUIETEST = 1e-20
WINDOW = np.hanning(FRAME).astype(np.float32)


class Activity:
    """Whether there is enough speech in a waveform that comes in blocks.

    Once there is as much as is needed, no more is looked for.

    Attributes:
        speech_seconds: so far; no less, and no more unless there is too little.
        loudest_dbfs: level of the loudest frame of 64 ms that was looked at.

    Args:
        expected_seconds: of the whole waveform; None where that is not known.
    """

    def __init__(self, expected_seconds: float | None = None):
        self._held: list[np.ndarray] = []
        self._waiting = 0
        # The speech that is enough of a recording of whatever length is that of the longest.
        self._enough = needed_speech(expected_seconds or MAX_SECONDS)
        self._samples = 0  # a sum of seconds would drift
        self.speech_seconds = 0.0
        self.loudest_dbfs = -np.inf

    @property
    def seconds(self) -> float:
        """Heard so far."""
        return self._samples / SAMPLE_RATE

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples, float32 (samples,)."""
        self._samples += len(block)
        self._held.append(block)
        self._waiting += len(block)
        if self._waiting >= PIECE:
            samples = np.concatenate(self._held) if len(self._held) > 1 else block
            whole = len(samples) // PIECE * PIECE
            for begin in range(0, whole, PIECE):
                self._look(samples[begin : begin + PIECE])
            self._held, self._waiting = [samples[whole:]], len(samples) - whole

    def end(self) -> None:
        """Looks at what is left."""
        if self._waiting:
            self._look(np.concatenate(self._held))
        self._held, self._waiting = [], 0

    def _look(self, piece: np.ndarray) -> None:
        if self.speech_seconds >= self._enough and self.loudest_dbfs >= QUIET_DBFS:
            return
        speech, loudest = speech_frames(piece)
        self.speech_seconds += min(speech.sum() * HOP / RATE, len(piece) / SAMPLE_RATE)
        self.loudest_dbfs = max(self.loudest_dbfs, loudest)


def speech_frames(waveform: np.ndarray) -> tuple[np.ndarray, float]:
    """Which frames hold speech.

    Args:
        waveform: float32 (samples,) at 16 kHz.
    Returns:
        bool (frames,), a frame every 20 ms, and the level of the loudest frame in dBFS.
    """
    import scipy.fft

    samples = len(waveform) // DECIMATION
    parts = waveform[: samples * DECIMATION].reshape(samples, DECIMATION)
    low = sum(parts[:, place] for place in range(DECIMATION)) / DECIMATION  # mean(axis=1) is slow
    low = np.pad(low, (0, max(0, FRAME - samples)))
    frames = np.lib.stride_tricks.sliding_window_view(low, FRAME)[::HOP]  # (frames, FRAME)
    spectrum = scipy.fft.rfft(frames * WINDOW, N_FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2  # (frames, bins)
    power[:, :LOWEST_BIN] = 0
    # By Parseval's theorem the mean square of a frame, as if it had no window.
    mean_square = power.sum(axis=1) * (2 / N_FFT / np.sum(WINDOW**2))
    level = 10 * np.log10(mean_square + QUIETEST)

    loudest = float(level.max())
    loud = (level > loudest + LOUD_DB) & (level > LOUD_DBFS)
    counted = loud & (_periodicity(power) > PERIODIC) & (_change(power) > MOVING_DB)
    counted = (_around(counted, NEAR) >= ENOUGH) & counted
    return _around(counted, AROUND) > 0, loudest


def _around(marks: np.ndarray, frames: int) -> np.ndarray:
    """How many of so many frames around each are marked, an odd number of them."""
    total = np.cumsum(np.pad(marks, (frames // 2 + 1, frames // 2)))
    return total[frames:] - total[:-frames]


def _periodicity(power: np.ndarray) -> np.ndarray:
    """The highest peak of each frame's normalized autocorrelation, (frames,); -1 without one."""
    import scipy.fft

    own = np.fft.irfft(np.abs(np.fft.rfft(WINDOW, N_FFT)) ** 2)[: LONGEST + 2]
    correlation = scipy.fft.irfft(power, N_FFT, axis=1)[:, : LONGEST + 2]
    # Divided by the window's own, so that a long period is worth as much as a short one.
    correlation = correlation / (correlation[:, :1] + QUIETEST) / (own / own[0]).astype(np.float32)
    before, here, after = correlation[:, :-2], correlation[:, 1:-1], correlation[:, 2:]
    peaks = np.where((here >= before) & (here > after), here, -1.0)
    return peaks[:, SHORTEST - 1 :].max(axis=1)


def _change(power: np.ndarray) -> np.ndarray:
    """How much each frame's spectrum differs from that of 0.1 s before or behind, in dB."""
    bands = np.add.reduceat(power[:, : BAND_EDGES[-1]], BAND_EDGES[:-1], axis=1)
    # Down to 30 dB below the loudest band, and without the frame's level.
    shape = 10 * np.log10(bands / (bands.max(axis=1, keepdims=True) + QUIETEST) + 1e-3)
    shape -= shape.mean(axis=1, keepdims=True)
    change = np.zeros(len(shape), np.float32)
    if len(shape) > BEFORE:
        step = np.abs(shape[BEFORE:] - shape[:-BEFORE]).mean(axis=1)
        change[BEFORE:] = step
        change[:-BEFORE] = np.maximum(change[:-BEFORE], step)
    return change


def needed_speech(seconds: float) -> float:
    """Seconds of speech that a clip of so many seconds must hold."""
    return max(min(MIN_SPEECH_SECONDS, SHORT_SHARE * seconds), LONG_SHARE * seconds)


def count_confident(probabilities: np.ndarray, called_spoof: np.ndarray) -> np.ndarray:
    """How many windows say spoof and bonafide with confidence, and how many there are; int (3,).

    Args:
        probabilities: float (windows,), calibrated, of spoof.
        called_spoof: bool (windows,), whether a window's score is on spoof's side of the
            threshold; one that is confident on the other side speaks for neither.
    """
    spoof = np.sum((probabilities >= CONFIDENT) & called_spoof)
    bonafide = np.sum((probabilities <= 1 - CONFIDENT) & ~called_spoof)
    return np.array([spoof, bonafide, len(probabilities)])


def reason_to_abstain(activity: Activity, counts: np.ndarray) -> str | None:
    """Why a clip should have no verdict; None if it may have one.

    Args:
        activity: of the whole clip.
        counts: of `count_confident`, over all windows.
    """
    seconds, speech = activity.seconds, activity.speech_seconds
    if seconds < MIN_CLIP_SECONDS:
        return f"too short: {seconds:.2f} s of {MIN_CLIP_SECONDS:g} s"
    if activity.loudest_dbfs < QUIET_DBFS:
        return f"too quiet: {activity.loudest_dbfs:.0f} dBFS at its loudest, below {QUIET_DBFS:.0f}"
    if speech < needed_speech(seconds):
        return f"no speech: {speech:.2f} s of {needed_speech(seconds):.2f} s"
    spoof, bonafide, windows = counts.tolist()
    if min(spoof, bonafide) >= DISAGREEING_SHARE * windows:
        return (
            f"windows disagree: of {windows}, {spoof} say spoof and {bonafide} bonafide "
            f"with {CONFIDENT:.0%} or more"
        )
    return None
