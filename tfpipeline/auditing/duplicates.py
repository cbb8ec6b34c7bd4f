"""The same recording twice: exact copies by hash, near ones by an audio fingerprint.

The fingerprint is Haitsma and Kalker's (2002, "A highly robust audio fingerprinting system"): each
frame has 32 bits, the signs of how the energy of neighbouring bands changes from frame to frame.
Gain does not change them, and resampling, filtering and coding change few. Two clips are taken for
one recording if the bits of at least .9 s of overlap differ in less than `MAX_BIT_ERRORS`.

Candidates share at least two frames' bits at one offset. They are found by sorting all frames'
bits: O(frames · log frames), never clip by clip; bits that many clips share are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tfpipeline.data.audio import SAMPLE_RATE

HOP, N_FFT = 320, 4096  # 20 ms, 256 ms
BANDS = np.geomspace(300, 3400, 34)
MAX_BIT_ERRORS = 0.25  # unrelated speech lies near .5; Haitsma and Kalker take .35 over 3 s
LEAST_FRAMES = 32  # .9 s, of what sounds
MOST_ALIKE = 40  # clips that may share a frame's bits


def digest(waveform: np.ndarray) -> str:
    """A hash of the samples, rounded to 16 bits, so that a lossless copy has the same."""
    return hashlib.sha1(np.round(waveform * 32767).astype("<i2").tobytes()).hexdigest()


def fingerprint(waveform: np.ndarray) -> np.ndarray:
    """Bits of each frame, uint32 (frames,); silent frames have 0, which is never matched.

    Args:
        waveform: float32 (samples,) at 16 kHz.
    """
    if len(waveform) < N_FFT + HOP:
        return np.zeros(0, np.uint32)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT).astype(np.float32))) ** 2
    edges = np.round(BANDS * N_FFT / SAMPLE_RATE).astype(int)
    energy = np.add.reduceat(power, edges, axis=1)[:, :-1]  # (frames, 33)
    change = np.diff(np.diff(energy, axis=1), axis=0) > 0  # (frames - 1, 32)
    bits = np.packbits(change, axis=1).view(">u4")[:, 0].astype(np.uint32)
    level = energy.sum(axis=1)[1:]
    return np.where(level > 1e-5 * level.max(), bits, 0).astype(np.uint32)


def near_duplicates(
    fingerprints: Sequence[np.ndarray], sides: Sequence[str]
) -> list[tuple[int, int, float]]:
    """Pairs of clips on different sides that hold the same recording.

    Args:
        fingerprints: of the clips.
        sides: of the clips; pairs on one side are not looked for.
    Returns:
        (first, second, share of bits that differ), first < second.
    """
    if not len(fingerprints):
        return []
    side = np.unique(np.asarray(sides, dtype=str), return_inverse=True)[1]
    lengths = np.array([len(prints) for prints in fingerprints])
    bits = np.concatenate(fingerprints)
    clip = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(bits)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    order = np.argsort(bits, kind="stable")
    order = order[bits[order] != 0]
    found = []
    for lag in range(1, MOST_ALIKE):
        one, other = order[:-lag], order[lag:]
        same = (bits[one] == bits[other]) & (side[clip[one]] != side[clip[other]])
        if not same.any() and lag > 1:
            continue
        one, other = one[same], other[same]
        found.append(np.stack([clip[one], clip[other], place[other] - place[one]]))
    matches = np.concatenate(found, axis=1)
    # The stable sort puts the earlier clip first, so each pair comes in one order only.
    pairs, counts = np.unique(matches, axis=1, return_counts=True)
    best: dict[tuple[int, int], float] = {}
    for first, second, offset in pairs[:, counts >= 2].T.tolist():
        errors = _bit_errors(fingerprints[first], fingerprints[second], offset)
        if errors < min(MAX_BIT_ERRORS, best.get((first, second), 1.0)):
            best[first, second] = errors
    return [(*pair, errors) for pair, errors in sorted(best.items())]


def _bit_errors(one: np.ndarray, other: np.ndarray, offset: int) -> float:
    """Share of bits that differ where both sound, `other` shifted by `offset`; 1 if too short."""
    begin = max(0, -offset)
    end = min(len(one), len(other) - offset)
    a, b = one[begin:end], other[begin + offset : end + offset]
    both = (a != 0) & (b != 0)
    if both.sum() < LEAST_FRAMES:
        return 1.0
    return float(np.unpackbits((a[both] ^ b[both]).view(np.uint8)).mean())
