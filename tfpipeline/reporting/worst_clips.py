"""The clips that were judged worst, to be looked at and listened to in a report."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.decode import decode

EACH = 4  # of each class
LONGEST = 6.0  # seconds of a clip that are kept in the page


@dataclass(frozen=True)
class WorstClip:
    """One clip of a report.

    Attributes:
        row: of the score table.
        picture, sound: data addresses (PNG, MP3), or None where the file cannot be read.
        reasons: what led to the score, in words; None where the model cannot tell.
    """

    row: pd.Series
    picture: str | None
    sound: str | None
    reasons: str | None = None


def worst_clips(
    rows: pd.DataFrame, each: int = EACH, explain: Callable[[np.ndarray], str] | None = None
) -> list[WorstClip]:
    """The human clips with the highest and the fakes with the lowest scores, worst first.

    Args:
        rows: of the score table.
        each: clips of a class.
        explain: waveform float32 (samples,) → what led to its score, in words.
    """
    human = rows[rows["label"] == "bonafide"].nlargest(each, "score")
    fake = rows[rows["label"] == "spoof"].nsmallest(each, "score")
    return [_show(row, explain) for _, row in pd.concat([human, fake]).iterrows()]


def _show(row: pd.Series, explain: Callable[[np.ndarray], str] | None) -> WorstClip:
    try:
        waveform = decode(row["path"]).waveform
    except (OSError, ValueError):
        return WorstClip(row, None, None)
    shown = waveform[: int(LONGEST * SAMPLE_RATE)]
    return WorstClip(row, _picture(shown), _sound(shown), explain(waveform) if explain else None)


def _picture(waveform: np.ndarray) -> str:
    """The log-mel spectrogram, 80 dB below its peak, without axes."""
    from matplotlib import colormaps
    from matplotlib.image import imsave

    from tfpipeline.features.mel import LogMel

    spectrogram = LogMel(n_fft=512, hop_length=160, n_mels=80)(waveform[None])[
        0
    ].numpy()  # (frames, n_mels)
    shade = np.clip((spectrogram.T[::-1] - spectrogram.max()) / 80 + 1, 0, 1)
    buffer = io.BytesIO()
    imsave(buffer, colormaps["magma"](shade), format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _sound(waveform: np.ndarray) -> str:
    """MP3, which every browser plays, and a tenth of WAV's size."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform, -1, 1), SAMPLE_RATE, format="MP3")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
