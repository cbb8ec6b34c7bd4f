"""What every layer that takes waveforms asks of them."""

from __future__ import annotations

import tensorflow as tf


def check_waveforms(waveform: tf.Tensor) -> None:
    """Raises ValueError if waveforms are not float (batch, samples)."""
    if waveform.shape.rank != 2:
        raise ValueError(
            "waveform must have the shape (batch, samples). "
            f"Received: {waveform.shape}. One clip needs waveform[None]; drop a channel axis."
        )
    if not waveform.dtype.is_floating:
        raise ValueError(
            "waveform must be float in [-1, 1]. "
            f"Received: {waveform.dtype.name}. Is this PCM, to be divided by 32768?"
        )
