"""Waveforms as WAV files in memory, in which nothing is lost."""

from __future__ import annotations

import io

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE


def wav_bytes(waveform: np.ndarray) -> bytes:
    """A waveform, float32 (samples,) at `SAMPLE_RATE`, as a WAV file of floats."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()
