"""Charts of a report, as SVG data addresses: ROC, DET, scores, reliability, groups.

Pictures of a run: its learning curve, and the spectrograms of an original and its spoofs.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.evaluation import metrics
from tfpipeline.files.atomic import atomic_file

MOST_POINTS = 800  # of a curve; more cannot be seen
DET_TICKS = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
BONAFIDE, SPOOF = "#1f6f8b", "#c8553d"
COLOURS = ("#1f6f8b", "#c8553d", "#6a994e", "#8e5572", "#d4a017", "#4a4e69", "#2a9d8f", "#9c6644")


def curve_charts(tables: Mapping[str, pd.DataFrame]) -> tuple[str, str]:
    """ROC and DET curves, one a name; tables need both classes."""
    from scipy.special import ndtri

    roc, det = _axes((4.6, 4.2)), _axes((4.6, 4.2))
    for number, (name, rows) in enumerate(tables.items()):
        labels, scores = rows["label"].map(LABELS).to_numpy(), rows["score"].to_numpy()
        miss, alarm, _ = metrics.error_rates(labels, scores)
        kept = _thin(len(miss))
        colour = COLOURS[number % len(COLOURS)]
        label = f"{name} ({metrics.roc_auc(labels, scores):.3f})"
        roc.plot(100 * alarm[kept], 100 * (1 - miss[kept]), color=colour, label=label)
        # A rate of 0 has no place on this scale; half a clip stands for it.
        edge = 0.5 / np.bincount(labels, minlength=2)
        det.plot(
            ndtri(np.clip(alarm, edge[0], 1 - edge[0])[kept]),
            ndtri(np.clip(miss, edge[1], 1 - edge[1])[kept]),
            color=colour,
            label=name,
        )
    roc.plot([0, 100], [0, 100], color="0.7", linestyle=":")
    roc.set(xlabel="human clips called fake, %", ylabel="fakes found, %")
    places, names = ndtri(DET_TICKS), [f"{100 * tick:g}" for tick in DET_TICKS]
    det.plot(places, places, color="0.7", linestyle=":")
    det.set(
        xlabel="human clips called fake, %",
        ylabel="fakes missed, %",
        xticks=places,
        yticks=places,
        xticklabels=names,
        yticklabels=names,
        xlim=(places[0] - 0.3, places[-1] + 0.3),
        ylim=(places[0] - 0.3, places[-1] + 0.3),
    )
    roc.legend(loc="lower right", fontsize=8, frameon=False)
    return _address(roc), _address(det)


def histogram_chart(rows: pd.DataFrame, threshold: float | None) -> str:
    """Scores of the bonafide clips and of each attack, each as a share of its own clips."""
    groups = {"human": rows.loc[rows["label"] == "bonafide", "score"]}
    spoofs = rows[rows["label"] == "spoof"]
    names = spoofs["attack"].value_counts().index[: len(COLOURS) - 1]
    groups.update({str(name): spoofs.loc[spoofs["attack"] == name, "score"] for name in names})
    other = spoofs.loc[~spoofs["attack"].isin(names), "score"]
    if len(other):
        groups["other attacks"] = other
    edges = np.histogram_bin_edges(rows["score"], bins=40)
    axes = _axes((9.2, 3.2))
    for number, (name, scores) in enumerate(groups.items()):
        if len(scores):
            shares = np.histogram(scores, edges)[0] / len(scores)
            axes.stairs(
                100 * shares,
                edges,
                label=f"{name} ({len(scores)})",
                fill=not number,
                color=BONAFIDE if not number else COLOURS[1:][(number - 1) % (len(COLOURS) - 1)],
                alpha=0.35 if not number else 1,
                linewidth=1.6,
            )
    if threshold is not None:
        axes.axvline(threshold, color="0.3", linestyle="--", linewidth=1, label="threshold")
    axes.set(xlabel="score: log-odds of fake", ylabel="share of the clips, %")
    axes.legend(fontsize=8, frameon=False)
    return _address(axes)


def reliability_chart(rows: pd.DataFrame) -> str | None:
    """Stated probability against the share of fakes found; None without probabilities."""
    p = rows["probability"].to_numpy(float)
    if not np.isfinite(p).all() or rows["label"].nunique() < 2:
        return None
    mass, stated, found = metrics.reliability(rows["label"].map(LABELS).to_numpy(), p)
    axes = _axes((4.6, 4.2))
    axes.plot([0, 100], [0, 100], color="0.7", linestyle=":")
    axes.plot(100 * stated, 100 * found, color=COLOURS[0], linewidth=1)
    axes.scatter(100 * stated, 100 * found, s=20 + 300 * mass, color=COLOURS[0], alpha=0.6)
    axes.set(
        xlabel="probability of fake that was stated, %",
        ylabel="share of fakes found, %",
        xlim=(-3, 103),
        ylim=(-3, 103),
    )
    return _address(axes)


def bars_chart(figures: Sequence[tuple[str, dict]]) -> str | None:
    """AUC of each group with its 95 % interval; None where no group has one."""
    shown = [(name, group) for name, group in figures if group["auc"] is not None]
    if not shown:
        return None
    axes = _axes((9.2, 0.9 + 0.32 * len(shown)))
    for place, (_, group) in enumerate(reversed(shown)):
        axes.plot(group["auc"], place, "o", color=COLOURS[0])
        if group["auc_low"] is not None:
            axes.plot([group["auc_low"], group["auc_high"]], [place, place], color=COLOURS[0])
    axes.axvline(0.5, color="0.7", linestyle=":")
    low = min(0.45, *(group["auc_low"] or group["auc"] for _, group in shown))
    axes.set(
        yticks=range(len(shown)),
        xlim=(max(-0.02, low - 0.05), 1.02),
        xlabel="AUC",
        ylim=(-0.6, len(shown) - 0.4),
    )
    # `$` would start a formula, and names come from strangers' tables.
    axes.set_yticklabels(
        [
            f"{name[:40]}  {o['n_bonafide']} + {o['n_spoof']}".replace("$", r"\$")
            for name, o in reversed(shown)
        ]
    )
    return _address(axes)


def importance_chart(rows: pd.DataFrame) -> str:
    """AUC lost without each feature or group: columns `name`, `columns`, `auc_drop`, `std`."""
    rows = rows[::-1]
    axes = _axes((9.2, 0.9 + 0.26 * len(rows)))
    axes.barh(
        range(len(rows)),
        rows["auc_drop"],
        xerr=rows["std"],
        color=COLOURS[0],
        error_kw={"ecolor": "0.4", "elinewidth": 1},
    )
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.set(yticks=range(len(rows)), xlabel="AUC lost on validation", ylim=(-0.6, len(rows) - 0.4))
    axes.set_yticklabels(
        [
            r.name + (f"  ({r.columns} features)" if r.columns > 1 else "")
            for r in rows.itertuples(index=False)
        ]
    )
    return _address(axes)


def _thin(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(int))


def _axes(size: tuple[float, float]):
    """Axes of a figure that belongs to no screen and no global state."""
    from matplotlib.figure import Figure

    axes = Figure(figsize=size, layout="constrained").subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return axes


def _address(axes) -> str:
    """The figure as a data address: as a picture of its own, its ids clash with no other's."""
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


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


def draw_losses(history: pd.DataFrame, path: Path) -> None:
    """Loss and share of right guesses over epochs, of training and validation.

    Args:
        history: columns `epoch`, `loss`, `val_loss`, `accuracy`, `val_accuracy`.
        path: of the PNG.
    """
    figure, (left, right) = _subplots(1, 2, figsize=(9, 3.2))
    for axis, name, title in ((left, "loss", "Loss"), (right, "accuracy", "Right guesses")):
        axis.plot(history["epoch"], history[name], color="C0", label="training")
        axis.plot(history["epoch"], history[f"val_{name}"], color="C1", label="validation")
        axis.set(xlabel="epoch", title=title)
        axis.legend()
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
            (spectrogram - spectrogram.max()).T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=-80,
            vmax=0,
            extent=(0, frames * hop_seconds, 0, bands),
        )
        axis.set(title=title, xlabel="seconds")
    axes[0][0].set_ylabel("mel band")
    figure.colorbar(image, ax=axes[0].tolist(), label="dB below the peak")
    _save(figure, path)


def draw_evidence(
    spectrogram: np.ndarray,
    evidence: np.ndarray,
    hop_seconds: float,
    start: float,
    title: str,
    path: Path,
) -> None:
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
        evidence.T,
        cmap="RdBu_r",
        vmin=-largest,
        vmax=largest,
        alpha=(0.75 * np.abs(evidence.T) / largest),
        **shown,
    )
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
