"""A picture of a recording over time: the score of each window above the spectrogram."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfpipeline.files.atomic import atomic_file
from tfpipeline.reporting.plots import BONAFIDE, SPOOF

BANDS_HZ = (250, 500, 1000, 2000, 4000)
RANGE_DB = 70
MOST_EDGES, MEANS = 400, 100  # beyond so many windows, a line of so many means is drawn


@dataclass(frozen=True)
class Timeline:
    """What is drawn.

    Attributes:
        name: of the recording.
        verdict: `spoof`, `bonafide` or `abstained`; subtitle: what more there is to say.
        seconds: of the recording.
        places: start and end of each window in seconds, float (windows, 2).
        scores: log-odds of each window.
        threshold: on them.
        spectrogram: dB, float (columns, n_mels); column_seconds: from one to the next.
        band_places: of `BANDS_HZ` on the axis of mel bands.
    """

    name: str
    verdict: str
    subtitle: str
    seconds: float
    places: np.ndarray
    scores: np.ndarray
    threshold: float
    spectrogram: np.ndarray
    column_seconds: float
    band_places: np.ndarray


def draw_timeline(timeline: Timeline, path: Path) -> None:
    """Draws and writes the picture.

    Args:
        timeline: of one recording.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.15))
    _draw_scores(upper, timeline)
    _draw_spectrogram(lower, timeline)
    lower.set_xlim(0, timeline.seconds)
    _label_time(lower, timeline.seconds)
    colour = {"spoof": SPOOF, "bonafide": BONAFIDE}.get(timeline.verdict, "0.35")
    # `$` would start a formula.
    name = _shorten(timeline.name).replace("$", r"\$")
    upper.set_title(name, loc="left", fontsize=11, pad=24)
    upper.text(
        0,
        1.03,
        timeline.verdict,
        transform=upper.transAxes,
        color=colour,
        fontsize=12,
        weight="bold",
        va="bottom",
    )
    upper.text(
        1,
        1.03,
        timeline.subtitle.replace("$", r"\$"),
        transform=upper.transAxes,
        color="0.35",
        fontsize=9,
        ha="right",
        va="bottom",
    )
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=130)


def spectrogram_png(spectrogram: np.ndarray) -> bytes:
    """The spectrogram alone, without axes, coloured as in the picture.

    Args:
        spectrogram: dB, float (columns, n_mels).
    Returns:
        A PNG, one pixel a column and band.
    """
    from matplotlib.image import imsave

    png = io.BytesIO()
    level, lowest = _levels(spectrogram)
    imsave(png, level.T, vmin=lowest, vmax=0, cmap="magma", origin="lower", format="png")
    return png.getvalue()


def _levels(spectrogram: np.ndarray) -> tuple[np.ndarray, float]:
    """dB below the loudest, and the lowest of them that is shown."""
    loudest, quietest = np.quantile(spectrogram, (0.999, 0.02))
    return spectrogram - loudest, max(-RANGE_DB, quietest - loudest - 3)


def _draw_scores(axes, timeline: Timeline) -> None:
    scores, threshold = timeline.scores, timeline.threshold
    # The last window begins before the one before it ends; its step begins there.
    starts = np.maximum(timeline.places[:, 0], np.append(0, timeline.places[:-1, 1]))
    edges = np.append(starts, timeline.places[-1, 1])
    fine = len(scores) > MOST_EDGES
    for side, colour in ((scores >= threshold, SPOOF), (scores < threshold, BONAFIDE)):
        shown = np.where(side, scores, threshold)
        axes.stairs(
            shown,
            edges,
            baseline=threshold,
            fill=True,
            color=colour,
            alpha=0.6 if fine else 0.3,
            lw=0,
        )
    if fine:
        _draw_mean(axes, edges, scores)
    else:
        colours = np.where(scores >= threshold, SPOOF, BONAFIDE)
        axes.stairs(scores, edges, baseline=None, color="0.4", lw=0.6, alpha=0.6)
        axes.hlines(scores, edges[:-1], edges[1:], colors=colours, lw=2.2)
    axes.axhline(threshold, color="0.25", linestyle="--", linewidth=1)
    # Room on both sides of the threshold, so that the words beside it stand apart.
    low, high = min(scores.min(), threshold), max(scores.max(), threshold)
    span = max(high - low, 2)
    low, high = (
        min(low - 0.1 * span, threshold - 0.35 * span),
        max(high + 0.1 * span, threshold + 0.35 * span),
    )
    axes.set_ylim(low, high)
    for place, word, colour, side in (
        (high, "spoof ↑", SPOOF, "top"),
        (low, "bonafide ↓", BONAFIDE, "bottom"),
        (threshold, f"threshold\n{threshold:+.2f}", "0.25", "center"),
    ):
        axes.annotate(
            word,
            (1, place),
            (6, 0),
            ("axes fraction", "data"),
            textcoords="offset points",
            color=colour,
            fontsize=8,
            va=side,
        )
    axes.set_ylabel("score (log-odds)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _draw_mean(axes, edges: np.ndarray, scores: np.ndarray) -> None:
    """The mean over a hundredth of the windows at a time, where single ones are too many to see."""
    groups = np.array_split(np.arange(len(scores)), MEANS)
    means = [scores[group].mean() for group in groups]
    bounds = edges[[group[0] for group in groups] + [len(scores)]]
    axes.stairs(means, bounds, baseline=None, color="0.1", lw=1.3, label="mean over 1 %")
    axes.legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.8, edgecolor="none")


def _draw_spectrogram(axes, timeline: Timeline) -> None:
    columns, bands = timeline.spectrogram.shape
    level, lowest = _levels(timeline.spectrogram)
    image = axes.imshow(
        level.T,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=lowest,
        vmax=0,
        extent=(0, columns * timeline.column_seconds, 0, bands),
        interpolation="bilinear" if columns < 500 else "antialiased",
    )
    axes.set_yticks(timeline.band_places, [_frequency(hz) for hz in BANDS_HZ])
    axes.set_ylim(0, bands)
    axes.set_ylabel("frequency, Hz (mel)")
    axes.tick_params(labelsize=8)
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.008, 0, 0.012, 1)))
    bar.set_label("dB below the loudest", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _frequency(hz: int) -> str:
    return f"{hz // 1000}k" if hz >= 1000 else str(hz)


def _label_time(axes, seconds: float) -> None:
    """Seconds up to two minutes, then minutes:seconds or hours:minutes at round places."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    if seconds <= 120:
        axes.set_xlabel("seconds")
        return
    step = next(s for s in (15, 30, 60, 120, 300, 600, 900, 1800, 3600) if seconds / s <= 12.5)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    if seconds < 3600:
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda t, _: f"{int(t) // 60}:{int(t) % 60:02d}")
        )
        axes.set_xlabel("minutes:seconds")
    else:
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda t, _: f"{int(t) // 3600}:{int(t) // 60 % 60:02d}")
        )
        axes.set_xlabel("hours:minutes")


def _shorten(name: str, most: int = 90) -> str:
    return name if len(name) <= most else f"… {name[-most:]}"
