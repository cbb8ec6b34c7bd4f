"""A corpus in the terminal and as a picture: what is in which part, and how long the clips are.

The cross-data-set matrix: what each run reaches on each corpus, as a table and a heat map.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS
from tfpipeline.files.atomic import atomic_file
from tfpipeline.reporting.plots import BONAFIDE, SPOOF
from tfpipeline.reporting.tables import HONESTY, auc_text, percent, print_notes

MOST_VALUES = 12  # of a column, in the terminal
LONGEST = 0.995  # quantile at which the picture ends; few clips may be very long
CACHED = (
    "{data}: {clips} clips, {decoded} newly decoded, {skipped} cannot be used; {gigabytes} GB in "
    "{folder}\ntrain on it with --set data.cache=disk"
)


def print_corpora(rows: Sequence[dict]) -> None:
    """Prints the corpora that can be named.

    Args:
        rows: each with `name`, `give`, `what`, `license`.
    """
    table = _table("corpora", ("--data", "what", "license"))
    for row in rows:
        table.add_row(row["give"], row["what"], row["license"])
    print_notes(table, ["what PATH must hold, citation and counts of each: --json"])


def print_built(found: dict) -> None:
    """Prints what `workflows.corpus.build_corpus` built, and why clips are missing."""
    print(f"{found['data']}: {found['clips']} clips")
    if "folder" in found:
        print(
            f"{found['bonafide']} bonafide + {found['spoof']} spoof of {found['repositories']} "
            f"repositories, {found['hours']} h, {found['built']} newly built, "
            f"{found['copies']} copies, in {found['folder']}"
        )
    for reason, number in found["missing"].items():
        print(f"missing: {number} clips, {reason}")
    if found["missing"]:
        print(f"each is in {found['folder']}/missing.csv; another build tries them again")


def print_summary(summary: dict) -> None:
    """Prints what `data.inspection.inspect_clips` found."""
    columns = list(summary["parts"][0])
    table = _table(summary["data"], columns)
    for row in summary["parts"]:
        cells = [
            "-" if row[c] is None else f"{row[c]:.2f}" if c == "hours" else str(row[c])
            for c in columns
        ]
        table.add_row(*cells, style="bold" if row["part"] == "all" else None)
    notes = []
    for column, values in summary["values"].items():
        shown = [
            f"{value} ({_both(counts)})" for value, counts in list(values.items())[:MOST_VALUES]
        ]
        more = f", and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
        notes.append(f"{column} (bonafide + spoof): {', '.join(shown)}{more}")
    for label, seconds in summary["seconds"].items():
        least, median, most = (f"{seconds[key]:.2f}" for key in ("least", "median", "most"))
        notes.append(f"{label}: {least} to {most} s, median {median} s")
    headers = summary["headers"]
    for what in ("formats", "sample_rates", "channels"):
        counts = ", ".join(f"{value} ({n})" for value, n in headers[what].items()) or "-"
        notes.append(f"{what.replace('_', ' ')}, of {headers['read']} headers read: {counts}")
    for column, number in summary["two_sides"].items():
        notes.append(f"look: {number} values of {column} overlap between splits")
    if headers["unreadable"]:
        notes.append(
            f"look: {headers['unreadable']} headers are not read here (verify decodes all files)"
        )
        notes += [f"  {file['path']}: {file['problem']}" for file in headers["first_problems"]]
    print_notes(table, notes)


def print_verified(found: dict) -> None:
    """Prints what `workflows.corpus.verify_corpus` found, a line a clip, and the counts."""
    for row in found["failed"]:
        print(f"{row['path']}: {row['reason']}")
    for row in found["remarks"]:
        print(f"{row['path']}: usable; {'; '.join(row['remarks'])}")
    print(
        f"{found['data']}: {found['clips']} clips, {len(found['failed'])} cannot be used, remarks "
        f"on {len(found['remarks'])}"
    )


def draw_lengths(clips: pd.DataFrame, path: str | Path) -> None:
    """Draws how long the clips of each class are: shares of its clips over seconds.

    Args:
        clips: a manifest; clips of unknown length are left out.
        path: of the PNG file.
    Raises:
        ValueError: no length is known.
    """
    from matplotlib.figure import Figure

    known = clips[clips["seconds"].notna()]
    if not len(known):
        raise ValueError("a picture of lengths needs clips whose length is known. Received: none.")
    most = max(float(known["seconds"].quantile(LONGEST)), 0.1)
    edges = np.linspace(0, most, 61)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    for label, colour in zip(LABELS, (BONAFIDE, SPOOF), strict=True):
        seconds = known.loc[known["label"] == label, "seconds"].to_numpy(float)
        if len(seconds):
            shares = np.histogram(np.minimum(seconds, most), edges)[0] / len(seconds)
            name = f"{label} ({len(seconds)} clips, median {np.median(seconds):.1f} s)"
            # One filled, one not, so that equal ones are both seen.
            filled = label == "bonafide"
            axes.stairs(
                100 * shares,
                edges,
                color=colour,
                linewidth=1.6,
                label=name,
                fill=filled,
                alpha=0.4 if filled else 1,
            )
    longer = int((known["seconds"] > most).sum())
    axes.set(
        xlabel="seconds" + (f" ({longer} longer clips in the last bin)" if longer else ""),
        ylabel="share of the clips, %",
        title="Length of the clips",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with atomic_file(path) as partial:
        figure.savefig(partial, dpi=110)


def _table(title: str, columns: Sequence[str]):
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=SIMPLE, title_justify="left", padding=(0, 1, 0, 0))
    for at, name in enumerate(columns):
        right = at and name not in ("what", "license")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _both(counts: dict) -> str:
    return " + ".join(str(counts[label]) for label in LABELS)


LEGEND = (
    "AUC; in brackets: 95 % intervals; below: EER % and clips, bonafide + spoof. "
    "* in-domain: the run was trained on this corpus, and only its own test part counts."
)


def matrix_table(cells: Sequence[dict]) -> pd.DataFrame:
    """The cells as a table, one row a run and corpus; notes joined into one text."""
    return pd.DataFrame([{**cell, "notes": "; ".join(cell["notes"])} for cell in cells])


def print_matrix(cells: Sequence[dict]) -> None:
    """Prints runs downwards and corpora across.

    Args:
        cells: of `workflows.matrix.matrix_cells`.
    """
    from rich.table import Table
    from rich.text import Text

    table = matrix_table(cells)
    corpora = list(dict.fromkeys(table["tested_on"]))
    shown = Table(
        title="trained on (down) and tested on (across)",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name in ("run", "trained on"):
        shown.add_column(name, overflow="fold")
    for corpus in corpora:
        shown.add_column(Text(corpus), justify="right", no_wrap=True)
    for run, rows in table.groupby("run", sort=False):
        cells = rows.set_index("tested_on").replace({np.nan: None}).to_dict("index")
        shown.add_row(
            Text(run),
            Text(rows["trained_on"].iloc[0]),
            *(Text(_cell_text(cells[corpus])) for corpus in corpora),
        )
    clips = [f"{row.run} on {row.tested_on}: {row.clips}" for row in table.itertuples()]
    print_notes(shown, [LEGEND, "clips: " + "; ".join(clips), HONESTY])


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
        axes.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=9,
            color="white" if not none and row.auc > 0.8 else "black",
        )
        if row.in_domain:
            axes.add_patch(
                Rectangle(
                    (x - 0.48, y - 0.47), 0.96, 0.94, fill=False, linewidth=2, edgecolor="#c8553d"
                )
            )
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
