"""Griffin-Lim copy-synthesis: speech rebuilt from its mel-spectrogram alone, phases guessed.

References: Griffin and Lim (1984), "Signal estimation from modified short-time Fourier transform";
Perraudin, Balazs and Søndergaard (2013) for the momentum; librosa.griffinlim.

WORLD copy-synthesis: speech taken apart into f0, envelope and aperiodicity, and rebuilt.

Reference: Morise, Yokomori and Ozawa (2016), "WORLD: a vocoder-based high-quality speech synthesis
system for real-time applications"; the C++ original, through pyworld.
"""

from __future__ import annotations

import numpy as np

N_FFT, HOP_LENGTH, N_MELS, ITERATIONS = 1024, 256, 80, 32


def griffin_lim(waveform: np.ndarray, sample_rate: int, seed: int) -> np.ndarray:
    """Resynthesises speech from an 80-band mel-spectrogram with 32 Griffin-Lim rounds.

    The mel bands are turned back into a linear spectrum by the filterbank's pseudo-inverse, as the
    Griffin-Lim back ends of Tacotron do: fast, and blurred as theirs is.

    Args:
        waveform: float32 (samples,) in [-1, 1].
        sample_rate: in Hz.
        seed: of the random phases that the rounds start from.
    Returns:
        float32 (samples,), as long as the input.
    """
    import librosa

    spectrum = np.abs(librosa.stft(waveform, n_fft=N_FFT, hop_length=HOP_LENGTH))
    basis = librosa.filters.mel(sr=sample_rate, n_fft=N_FFT, n_mels=N_MELS)
    linear = np.maximum(np.linalg.pinv(basis) @ (basis @ spectrum), 1e-10)
    rebuilt = librosa.griffinlim(
        linear.astype(np.float32),
        n_iter=ITERATIONS,
        hop_length=HOP_LENGTH,
        n_fft=N_FFT,
        length=len(waveform),
        random_state=seed,
    )
    return rebuilt.astype(np.float32)


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
