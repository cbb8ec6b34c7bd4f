"""G.711, the codec of the telephone network: what its mu-law and A-law make of 16-bit samples."""

from __future__ import annotations

import numpy as np

MU_BIAS = 33  # of 14-bit magnitudes
MU_CLIP = 8159


def mu_law(samples: np.ndarray) -> np.ndarray:
    """16-bit samples after mu-law coding and decoding.

    Args:
        samples: integers in -32768 … 32767, any shape; the codec keeps 14 bits of them.
    Returns:
        int32 of the same shape.
    Reference:
        ITU-T G.711 (1988), table 2; ties as in Sun Microsystems' g711.c, which most programs use.
    """
    linear = np.asarray(samples, np.int32) >> 2
    magnitude = np.minimum(np.abs(linear), MU_CLIP) + MU_BIAS  # 33 … 8192
    # Segment k holds 32 · 2^k … 64 · 2^k - 1, in 16 steps.
    segment = np.minimum(np.floor(np.log2(magnitude)).astype(np.int32) - 5, 7)
    step = np.minimum(magnitude >> (segment + 1), 31) & 15
    decoded = (((2 * step + MU_BIAS) << segment) - MU_BIAS) << 2
    return np.where(linear < 0, -decoded, decoded)


def a_law(samples: np.ndarray) -> np.ndarray:
    """16-bit samples after A-law coding and decoding.

    Args:
        samples: integers in -32768 … 32767, any shape; the codec keeps 13 bits of them.
    Returns:
        int32 of the same shape; none is 0.
    Reference:
        ITU-T G.711 (1988), table 1; ties as in Sun Microsystems' g711.c.
    """
    linear = np.asarray(samples, np.int32) >> 3
    magnitude = np.where(linear < 0, -linear - 1, linear)  # 0 … 4095
    # Segments 0 and 1 have steps of 2, each further one twice as large.
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    width = np.maximum(segment, 1)
    decoded = (((magnitude >> width) << width) + (1 << (width - 1))) << 3
    return np.where(linear < 0, -decoded, decoded)


CODECS = {"mu": mu_law, "a": a_law}


def law_tables() -> np.ndarray:
    """What becomes of each 16-bit sample, float32 (2, 65536) in [-1, 1): mu-law, then A-law."""
    samples = np.arange(-32768, 32768)
    return np.stack([codec(samples) for codec in CODECS.values()]).astype(np.float32) / 32768
