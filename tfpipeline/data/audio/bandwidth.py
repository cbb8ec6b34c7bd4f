"""How high the frequencies of a recording reach, and whether it went through a telephone.

On NumPy and SciPy alone, block by block, in bounded memory and a fraction of a millisecond a clip,
so that every clip that is judged can be asked.
"""

from __future__ import annotations

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE

# Until a model is trained for it: those of the demo corpus call 70 % of such human speech fake.
TELEPHONE_REMARK = "band: nothing above 4 kHz, as from a telephone; the verdict is less certain"
FRAME = 512  # samples, 32 ms
HOP = 1024  # samples: every other frame tells as much as all
LOUD_DB = 40.0  # frames this far below the loudest still count: fricatives are among them
CLASS_DB = 4.0  # frames are gathered by their level, for the loudest is known at the end alone
CLASSES = 32
SILENCE_DBFS = -80.0  # a clip that is nowhere louder says nothing
BAND_HZ = 250.0  # power is looked at in bands of this width
PRESENT_DB = 60.0  # a band this far below the strongest holds nothing
# A telephone passes 300 to 3,400 Hz, and nothing from half its sample rate of 8 kHz on.
TELEPHONE_BAND_HZ = (2750.0, 3500.0)
TELEPHONE_END_HZ = 4750.0  # plain resamplers leave images up to here
# By which all above that lies below the band, measured on 68 recordings: at least 37 dB after nine
# kinds of telephone, at most 23 dB in speech.
CLIFF_DB = 36.0


class Bandwidth:
    """The mean power spectrum of a recording's loud frames, taken block by block.

    Memory does not grow with the recording: frames are summed in classes of level.

    Example:
        >>> bandwidth = Bandwidth()
        >>> for block in blocks:
        ...     bandwidth.add(block)
        >>> bandwidth.is_telephone()
        False
    """

    def __init__(self):
        self._rest = np.zeros(0, np.float32)  # too few for a frame
        self._power = np.zeros((CLASSES, FRAME // 2 + 1))
        self._frames = np.zeros(CLASSES, np.int64)
        # Periodic, and of power 1 on average.
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
        self._window = (window / np.sqrt(np.sum(window**2))).astype(np.float32)

    def add(self, block: np.ndarray) -> None:
        """Takes the next samples, float32 (samples,) at 16 kHz."""
        import scipy.fft

        # In pieces, since the frames of an hour are as large as the hour.
        for begin in range(0, len(block), 2**18):
            samples = np.concatenate([self._rest, block[begin : begin + 2**18]])
            whole = len(samples) // HOP * HOP
            self._rest = samples[whole:]
            if not whole:
                continue
            frames = samples[:whole].reshape(-1, HOP)[:, :FRAME]
            spectrum = scipy.fft.rfft(frames * self._window, axis=1)
            power = spectrum.real**2 + spectrum.imag**2  # (frames, FRAME // 2 + 1)
            # Without what lies below speech, or rumble would choose the frames.
            level = 2 / FRAME * power[:, 4:].sum(axis=1, dtype=np.float64)
            below = -10 * np.log10(np.maximum(level, 1e-12)) / CLASS_DB
            classes = np.clip(below.astype(np.int64), 0, CLASSES - 1)
            member = (classes == np.arange(CLASSES)[:, None]).astype(np.float32)
            self._power += member @ power
            self._frames += np.bincount(classes, minlength=CLASSES)

    def band_levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean power of the loud frames in bands of `BAND_HZ`.

        Returns:
            Upper edges of the bands in Hz, (bands,), and levels in dB, (bands,), 0 the strongest;
            both empty for silence, and for less than 64 ms.
        """
        filled = np.flatnonzero(self._frames)
        nothing = np.zeros(0), np.zeros(0)
        if not len(filled) or -filled[0] * CLASS_DB < SILENCE_DBFS:
            return nothing
        loud = slice(filled[0], filled[0] + round(LOUD_DB / CLASS_DB))
        mean = self._power[loud].sum(axis=0) / self._frames[loud].sum()
        size = round(BAND_HZ * FRAME / SAMPLE_RATE)
        bands = mean[: FRAME // 2].reshape(-1, size).sum(axis=1)
        bands[0] = 0  # an offset, rumble and hum are not of the voice
        edges = BAND_HZ * np.arange(1, len(bands) + 1)
        return edges, 10 * np.log10(np.maximum(bands, 1e-20) / bands.max())

    def highest_frequency(self) -> float:
        """Upper edge in Hz of the highest band that is not `PRESENT_DB` below the strongest.

        0 for silence, and for less than 64 ms.
        """
        edges, levels = self.band_levels()
        return float(edges[levels > -PRESENT_DB].max(initial=0.0))

    def is_telephone(self) -> bool:
        """Whether the recording holds nothing above 4 kHz, as G.711, GSM and AMR-NB leave it.

        What counts is a cliff: every band above lies far below the upper ones that a telephone
        passes. A voice that has little up there comes down in a slope; an MP3 of few bits ends in
        a cliff too, but higher. Noise that was added behind the telephone hides it from about 50 dB
        below speech on; a low-pass of 36 dB an octave at 3 kHz is taken for one. Silence is none.
        """
        edges, levels = self.band_levels()
        if not len(edges):
            return False
        low, high = TELEPHONE_BAND_HZ
        passed = levels[(edges > low) & (edges <= high)]
        above = levels[edges > TELEPHONE_END_HZ].max()
        return bool(above <= -PRESENT_DB and passed.max() - above > CLIFF_DB)


def highest_frequency(waveform: np.ndarray) -> float:
    """The highest frequency in Hz that a recording holds; 0 for silence.

    Args:
        waveform: float32 (samples,) at 16 kHz.
    """
    bandwidth = Bandwidth()
    bandwidth.add(waveform)
    return bandwidth.highest_frequency()


def is_telephone(waveform: np.ndarray) -> bool:
    """Whether a recording holds nothing above 4 kHz; see `Bandwidth.is_telephone`.

    Args:
        waveform: float32 (samples,) at 16 kHz.
    """
    bandwidth = Bandwidth()
    bandwidth.add(waveform)
    return bandwidth.is_telephone()
