"""WORLD copy-synthesis: speech taken apart into f0, envelope and aperiodicity, and rebuilt.

Reference: Morise, Yokomori and Ozawa (2016), "WORLD: a vocoder-based high-quality speech synthesis
system for real-time applications"; the C++ original, through pyworld.
"""

from __future__ import annotations

import numpy as np


def world(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Analyses and resynthesises speech with WORLD (DIO, StoneMask, CheapTrick, D4C; 5 ms frames).

    Args:
        waveform: float32 (samples,) in [-1, 1].
        sample_rate: in Hz.
    Returns:
        float32 (samples,), as long as the input.
    """
    import pyworld

    samples = waveform.astype(np.float64)
    rough_f0, times = pyworld.dio(samples, sample_rate)
    f0 = pyworld.stonemask(samples, rough_f0, times, sample_rate)
    envelope = pyworld.cheaptrick(samples, f0, times, sample_rate)
    aperiodicity = pyworld.d4c(samples, f0, times, sample_rate)
    rebuilt = pyworld.synthesize(f0, envelope, aperiodicity, sample_rate)
    missing = max(0, len(samples) - len(rebuilt))
    return np.pad(rebuilt, (0, missing))[: len(samples)].astype(np.float32)
