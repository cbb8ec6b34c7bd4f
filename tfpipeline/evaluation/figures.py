"""Pictures of a run: its learning curve, and the spectrograms of an original and its spoofs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.files.atomic import atomic_file


def draw_learning_curve(history: pd.DataFrame, path: Path) -> None:
    """Training loss and validation AUC over epochs; the best epoch is marked.

    Args:
        history: columns `epoch`, `loss`, `val_auc`, `val_eer`, `best`.
        path: of the PNG.
    """
    figure, (left, right) = _subplots(1, 2, figsize=(9, 3.2))
    left.plot(history["epoch"], history["loss"], color="C0")
    left.set(xlabel="epoch", ylabel="training loss", title="Loss")
    right.plot(history["epoch"], history["val_auc"], color="C1", label="AUC")
    right.plot(history["epoch"], history["val_eer"], color="C2", label="EER")
    best = history.loc[history["best"], "epoch"]
    if len(best):
        right.axvline(best.iloc[-1], color="0.6", linestyle=":", label="weights kept")
    right.set(xlabel="epoch", ylim=(-0.02, 1.02), title="Validation")
    right.legend(loc="center right")
    _save(figure, path)


def draw_spectrograms(
    spectrograms: Mapping[str, np.ndarray], hop_seconds: float, path: Path
) -> None:
    """Log-mel spectrograms side by side, each from its own peak to 80 dB below.

    Args:
        spectrograms: title → dB (frames, n_mels).
        hop_seconds: from one frame to the next.
        path: of the PNG.
    """
    size = (3 * len(spectrograms) + 1, 3)
    figure, axes = _subplots(1, len(spectrograms), figsize=size, squeeze=False, sharey=True)
    for axis, (title, spectrogram) in zip(axes[0], spectrograms.items(), strict=True):
        frames, bands = spectrogram.shape
        image = axis.imshow(
            (spectrogram - spectrogram.max()).T, origin="lower", aspect="auto", cmap="magma",
            vmin=-80, vmax=0, extent=(0, frames * hop_seconds, 0, bands),
        )  # fmt: skip
        axis.set(title=title, xlabel="seconds")
    axes[0][0].set_ylabel("mel band")
    figure.colorbar(image, ax=axes[0].tolist(), label="dB below the peak")
    _save(figure, path)


def draw_evidence(
    spectrogram: np.ndarray, evidence: np.ndarray, hop_seconds: float, start: float, title: str,
    path: Path,
) -> None:  # fmt: skip
    """A spectrogram, and over it where the evidence for a score lies.

    Args:
        spectrogram: (frames, n_mels), in grey.
        evidence: the same shape; red above 0 (towards fake), blue below (towards human).
        hop_seconds: from one frame to the next.
        start: of the first frame, in seconds.
        title: of the picture.
        path: of the PNG.
    """
    frames, bands = spectrogram.shape
    figure, axes = _subplots(2, 1, figsize=(9, 5.6), sharex=True)
    area = (start, start + frames * hop_seconds, 0, bands)
    shown = {"origin": "lower", "aspect": "auto", "extent": area}
    largest = max(float(np.abs(evidence).max()), 1e-12)
    axes[0].imshow(spectrogram.T, cmap="magma", **shown)
    axes[1].imshow(spectrogram.T, cmap="gray", **shown)
    image = axes[1].imshow(
        evidence.T, cmap="RdBu_r", vmin=-largest, vmax=largest,
        alpha=(0.75 * np.abs(evidence.T) / largest), **shown,
    )  # fmt: skip
    axes[0].set(title=title.replace("$", r"\$"), ylabel="mel band")
    axes[1].set(xlabel="seconds", ylabel="mel band")
    bar = figure.colorbar(image, ax=axes[1], label="evidence", ticks=[-largest, 0, largest])
    bar.ax.set_yticklabels(["human", "none", "fake"])
    _save(figure, path)


def _subplots(*args, **kwargs):
    """Figure and axes that belong to no screen and no global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=kwargs.pop("figsize"), layout="constrained")
    return figure, figure.subplots(*args, **kwargs)


def _save(figure, path: Path) -> None:
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=120)
