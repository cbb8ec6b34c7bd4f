"""Robustness in the terminal and as a heat map: what each degradation does to a run."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from tfpipeline.files.atomic import atomic_file
from tfpipeline.reporting.tables import HONESTY, percent, print_notes

LEGEND = (
    "change: of the AUC, from that of the clean clips. Missed and false alarms: at the threshold "
    "that was fixed on validation."
)


def print_robustness(content: dict) -> None:
    """Prints a row for each degradation and part.

    Args:
        content: of `workflows.robustness.evaluate_robustness`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{content['run']} on {content['data']}, degraded"),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name in ("degradation", "strength", "part"):
        table.add_column(name, no_wrap=True)
    for name in ("clips", "AUC", "change", "EER %", "missed %", "false alarms %"):
        table.add_column(name, justify="right", no_wrap=True)
    parts = shown_parts(content)
    for cell in content["cells"]:
        for part in parts:
            own = cell["parts"][part]
            first = part == parts[0]
            table.add_row(
                cell["kind"] if first else "",
                cell["strength"] if first else "",
                part,
                f"{own['n_bonafide']} + {own['n_spoof']}",
                _number(own["auc"], "{:.3f}"),
                _number(own["auc_change"], "{:+.3f}"),
                *(percent(own[name]) for name in ("eer", "miss_rate", "false_alarm_rate")),
            )
    print_notes(table, [*content["notes"], LEGEND, HONESTY])


def shown_parts(content: dict) -> list[str]:
    """Parts that have an AUC on clean clips."""
    clean = content["cells"][0]["parts"]
    return [part for part, own in clean.items() if own["auc"] is not None] or list(clean)


def draw_robustness(content: dict, path: str | Path) -> None:
    """Draws the heat map as a PNG."""
    with atomic_file(path) as partial:
        _heat_map(content).savefig(partial, dpi=120)


def robustness_chart(content: dict) -> str:
    """The heat map as the address of an SVG, for a page."""
    buffer = io.BytesIO()
    _heat_map(content).savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _heat_map(content: dict):
    """Kinds downwards, strengths across, from mild to strong; a panel for each part."""
    import numpy as np
    from matplotlib.figure import Figure

    parts, cells = shown_parts(content), content["cells"]
    kinds = list(dict.fromkeys(cell["kind"] for cell in cells))
    rows = {kind: [cell for cell in cells if cell["kind"] == kind] for kind in kinds}
    width = max(len(row) for row in rows.values())
    figure = Figure(
        figsize=(1.6 + (1.0 + 1.0 * width) * len(parts), 1.4 + 0.48 * len(kinds)),
        layout="constrained",
    )
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, part in zip(panels, parts, strict=True):
        values = np.full((len(kinds), width), np.nan)
        for y, row in enumerate(rows.values()):
            for x, cell in enumerate(row):
                auc = cell["parts"][part]["auc"]
                values[y, x] = np.nan if auc is None else auc
                text = f"{cell['strength']}\n{_number(auc, '{:.3f}')}".strip()
                dark = auc is not None and auc > 0.8
                axes.text(
                    x,
                    y,
                    text,
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
        drawn = axes.imshow(values, cmap="YlGnBu", vmin=0.5, vmax=1.0, aspect="auto")
        axes.set_title(part.replace("$", r"\$"), fontsize=10)
        axes.set_xticks([])
        axes.set_xlabel("mild to strong", fontsize=9)
        axes.set_yticks(range(len(kinds)), kinds, fontsize=9)
        for side in axes.spines.values():
            side.set_visible(False)
    figure.colorbar(drawn, ax=panels, label="AUC (.5 is chance)")
    return figure


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
