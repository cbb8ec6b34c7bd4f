"""Recordings become waveforms: 16 kHz, mono, float32 on the grid of 16 bits, in [-1, 1).

`decode` is the one function that every command reads a file with; it gives the waveform and what
was noticed about the file. The exported graph alone has a decoder of its own, `wav_graph`, for WAV
files in core operations, which gives the same.
"""

from __future__ import annotations

SAMPLE_RATE = 16_000
# Rates that are resampled by one filter in Python and in the exported graph; all others by soxr.
SOURCE_RATES = (
    8_000,
    11_025,
    12_000,
    16_000,
    22_050,
    24_000,
    32_000,
    44_100,
    48_000,
    88_200,
    96_000,
    176_400,
    192_000,
)
MIN_SECONDS = 0.05
SILENCE_DBFS = -80.0
# Integers of 32 bits that nobody scaled reach it. No recording is louder: such samples are bytes
# that were no floats, and from 1e18 on their power is infinite in float32.
LOUDEST = 2.0**31
STEPS = 2.0**15  # steps of the grid from 0 to 1
