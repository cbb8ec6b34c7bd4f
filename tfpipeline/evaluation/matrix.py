"""The cross-data-set matrix: what each run reaches on each corpus, as a table and a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.evaluation.summary import HONESTY, auc_text, percent, print_notes
from tfpipeline.files.atomic import atomic_file

LEGEND = (
    "AUC; in brackets: 95 % intervals; below: EER % and clips, bonafide + spoof. "
    "* in-domain: the run was trained on this corpus, and only its own test part counts."
)


def matrix_table(cells: Sequence[dict]) -> pd.DataFrame:
    """The cells as a table, one row a run and corpus; notes joined into one text."""
    return pd.DataFrame([{**cell, "notes": "; ".join(cell["notes"])} for cell in cells])


def print_matrix(table: pd.DataFrame) -> None:
    """Prints runs downwards and corpora across.

    Args:
        table: of `matrix_table`.
    """
    from rich.table import Table
    from rich.text import Text

    corpora = list(dict.fromkeys(table["tested_on"]))
    shown = Table(title="trained on (down) and tested on (across)", title_justify="left", box=None,
                  padding=(0, 2, 0, 0))  # fmt: skip
    for name in ("run", "trained on"):
        shown.add_column(name, overflow="fold")
    for corpus in corpora:
        shown.add_column(Text(corpus), justify="right", no_wrap=True)
    for run, rows in table.groupby("run", sort=False):
        cells = rows.set_index("tested_on").replace({np.nan: None}).to_dict("index")
        shown.add_row(
            Text(run), Text(rows["trained_on"].iloc[0]),
            *(Text(_cell_text(cells[corpus])) for corpus in corpora),
        )  # fmt: skip
    said = [f"{row.run} on {row.tested_on}: {row.clips}" for row in table.itertuples()]
    print_notes(shown, [LEGEND, "clips: " + "; ".join(said), HONESTY])


def draw_matrix(table: pd.DataFrame, path: str | Path) -> None:
    """Draws the AUCs as a heat map, AUC and EER written into each field; in-domain ones framed.

    Args:
        table: of `matrix_table`.
        path: of the PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    runs, corpora = (list(dict.fromkeys(table[name])) for name in ("run", "tested_on"))
    auc = table.pivot(index="run", columns="tested_on", values="auc").loc[runs, corpora]
    values = auc.to_numpy(float)
    figure = Figure(figsize=(2.6 + 1.5 * len(corpora), 1.6 + 0.8 * len(runs)), layout="constrained")
    axes = figure.subplots()
    # From chance downwards all is equally bad; white stands for it.
    drawn = axes.imshow(values, cmap="YlGnBu", vmin=0.5, vmax=1.0, aspect="auto")
    for row in table.itertuples():
        x, y = corpora.index(row.tested_on), runs.index(row.run)
        none = row.auc is None or np.isnan(row.auc)
        text = "no AUC" if none else f"{row.auc:.3f}\nEER {100 * row.eer:.1f} %"
        axes.text(x, y, text, ha="center", va="center", fontsize=9,
                  color="white" if not none and row.auc > 0.8 else "black")  # fmt: skip
        if row.in_domain:
            axes.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, fill=False, linewidth=2,
                                     edgecolor="#c8553d"))  # fmt: skip
    trained = table.drop_duplicates("run").set_index("run")["trained_on"]
    axes.set_xticks(range(len(corpora)), [_plain(name) for name in corpora], fontsize=9)
    axes.set_yticks(
        range(len(runs)), [f"{_plain(run)}\n({_plain(trained[run])})" for run in runs], fontsize=9
    )
    axes.set_xlabel("tested on")
    axes.set_ylabel("run (trained on)")
    axes.set_title("AUC; framed: in-domain, own test part", fontsize=10)
    figure.colorbar(drawn, ax=axes, label="AUC (.5 is chance)")
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=120)


def _cell_text(cell: dict) -> str:
    mark = "*" if cell["in_domain"] else ""
    clips = f"{cell['n_bonafide']} + {cell['n_spoof']}"
    return f"{auc_text(cell)}{mark}\n{percent(cell['eer'])} %, {clips}"


def _plain(name: str) -> str:
    """A name of a bearable length, in which `$` starts no formula."""
    name = name if len(name) <= 30 else f"{name[:10]}…{name[-19:]}"
    return name.replace("$", r"\$")
