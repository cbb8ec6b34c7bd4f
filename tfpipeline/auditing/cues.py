"""Cues that should not tell the label: what a clip's file and channel are like, not its speech.

Cues of the sound are taken from the decoded 16 kHz waveform, those of the file from its header.
Why: Müller et al. (2021), "Speech is silver, silence is golden", found leading silence to tell much
of ASVspoof 2019; level, bandwidth and codec do the same in other corpora.
"""

from __future__ import annotations

import os

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.clips import UNKNOWN

FRAME = 160  # samples: 10 ms
SILENCE_DB = 40.0  # below the loudest frame
BAND_DB = 60.0  # below the strongest band of the mean spectrum
N_FFT = 1024

# Cue → what to do if it tells the label.
ADVICE = {
    "leading silence": "trim silence from both ends of every clip, in both classes",
    "trailing silence": "trim silence from both ends of every clip, in both classes",
    "silence share": "trim pauses alike in both classes, or take fakes read with pauses",
    "duration": "cut both classes to the same lengths",
    "level": "level all clips alike, as front_end.level_dbfs does by default",
    "peak": "level all clips alike, as front_end.level_dbfs does by default",
    "crest factor": "look for a limiter, or a phase that one class has lost; try random all-passes",
    "clipping": "take originals that are not clipped, or clip both classes alike",
    "dc offset": "take the mean off every clip, as front_end.highpass_hz does by default",
    "noise floor": "add the same noise to both classes, or pass both through the same channel",
    "bandwidth": "filter both classes to the narrower band before anything else",
    "sample rate": "resample both classes to the lower rate, so that none keeps more band",
    "channels": "mix both classes down before they are stored",
    "bit depth": "store both classes with the same bit depth",
    "codec": "pass both classes through the same codecs",
    "file format": "store both classes in the same format",
    "bytes per second": "store both classes in the same format and at the same bit rate",
}
CATEGORIES = ("sample rate", "channels", "bit depth", "codec", "file format")


def sound_cues(waveform: np.ndarray) -> dict[str, float]:
    """Cues of a decoded clip.

    Args:
        waveform: float32 (samples,) at 16 kHz, at least 50 ms.
    Returns:
        Seconds, shares, dBFS, dB and Hz, by name.
    """
    frames = waveform[: len(waveform) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    levels = _decibels(np.mean(frames**2, axis=1))
    loud = np.flatnonzero(levels > levels.max() - SILENCE_DB)
    peak = float(np.max(np.abs(waveform)))
    level = _decibels(np.mean(waveform.astype(np.float64) ** 2))
    return {
        "leading silence": loud[0] * FRAME / SAMPLE_RATE,
        "trailing silence": (len(levels) - 1 - loud[-1]) * FRAME / SAMPLE_RATE,
        "silence share": 1 - len(loud) / len(levels),
        "duration": len(waveform) / SAMPLE_RATE,
        "level": float(level),
        "peak": float(_decibels(peak**2)),
        "crest factor": float(_decibels(peak**2) - level),
        "clipping": float(np.mean(np.abs(waveform) >= 0.999)),
        "dc offset": float(abs(np.mean(waveform, dtype=np.float64)) / (10 ** (level / 20))),
        "noise floor": float(np.quantile(levels, 0.05) - level),
        "bandwidth": _bandwidth(waveform),
    }


def file_cues(path: str) -> dict[str, object]:
    """Cues of a file's header, as libsndfile reads it; `-` for what it does not read, such as m4a.

    Returns:
        Texts, and bytes per second as a number (NaN where the length is not known).
    """
    import soundfile

    try:
        header = soundfile.info(path)
    except (OSError, RuntimeError):
        return {
            **dict.fromkeys(CATEGORIES, UNKNOWN),
            "file format": _ending(path),
            "bytes per second": np.nan,
        }
    return {
        "sample rate": f"{header.samplerate} Hz",
        "channels": str(header.channels),
        "bit depth": header.subtype if header.subtype.startswith("PCM") else UNKNOWN,
        "codec": header.subtype,
        "file format": header.format,
        "bytes per second": os.path.getsize(path) / header.duration if header.frames else np.nan,
    }


def _bandwidth(waveform: np.ndarray) -> float:
    """The highest frequency, in Hz, at which the mean spectrum is within `BAND_DB` of its peak."""
    if len(waveform) < N_FFT:
        waveform = np.pad(waveform, (0, N_FFT - len(waveform)))
    frames = np.lib.stride_tricks.sliding_window_view(waveform, N_FFT)[:: N_FFT // 2]
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(N_FFT))) ** 2, axis=0)
    inside = np.flatnonzero(_decibels(power) > _decibels(power.max()) - BAND_DB)
    return float(inside[-1] * SAMPLE_RATE / N_FFT)


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 1e-12))


def _ending(path: str) -> str:
    return path.rpartition(".")[2].lower() if "." in path else UNKNOWN
