"""What stands in a manifest: counts, hours, what is unequal between the classes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN, overlapping_values

PARTS = ("train", "validation", "test", "unseen")
COUNTED = ("attack", "language", "codec", "corpus")
NAMED = ("speaker", "source", "sentence")  # too many values to list; counted as distinct
THREADS = 16
MOST_HEADERS = 20_000  # that are read; of larger corpora a random choice


def part_table(clips: pd.DataFrame) -> pd.DataFrame:
    """What stands where: one row a part, and `all`.

    Returns:
        Columns `part`, `clips`, `bonafide`, `spoof`, the number of different known `speakers`,
        `sources` (and `sentences`), `attacks`, and `hours` (NaN where no length is known).
    """
    found = [str(part) for part in clips["part"].unique()]
    order = [part for part in PARTS if part in found]
    order += sorted(set(found) - set(order))
    table = pd.DataFrame(index=pd.Index(order, name="part"))
    by = clips["part"]
    table["clips"] = by.value_counts()
    for label in LABELS:
        table[label] = by[clips["label"] == label].value_counts()
    columns = [column for column in (*NAMED, "attack") if column in clips]
    for column in columns:
        known = clips.loc[clips[column] != UNKNOWN, ["part", column]].drop_duplicates()
        table[f"{column}s"] = known["part"].value_counts()
    seconds = clips["seconds"].groupby(by).sum(min_count=1)
    table["hours"] = seconds / 3600
    counts = table.columns.drop("hours")
    table[counts] = table[counts].fillna(0).astype(int)
    total = {
        "part": "all",
        "clips": len(clips),
        **{label: int((clips["label"] == label).sum()) for label in LABELS},
        **{f"{c}s": int(clips.loc[clips[c] != UNKNOWN, c].nunique()) for c in columns},
        "hours": clips["seconds"].sum(min_count=1) / 3600,
    }
    return pd.concat([table.reset_index(), pd.DataFrame([total])], ignore_index=True)


def summarize(clips: pd.DataFrame) -> dict:
    """A manifest in figures, JSON-ready.

    Returns:
        `clips`, `parts` (rows of `part_table`), `values` (of `COUNTED` columns, value → clips of
        each label), `seconds` (quantiles of each label), `two_sides` (column → how many values
        overlap between splits).
    """
    parts = part_table(clips).astype(object)
    values = {}
    for column in COUNTED:
        if column in clips:
            counts = clips.groupby([column, "label"]).size().unstack(fill_value=0)
            counts = counts.reindex(columns=list(LABELS), fill_value=0)
            counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False).index]
            if list(counts.index) != [UNKNOWN]:
                values[column] = {str(k): row for k, row in counts.to_dict("index").items()}
    seconds = {}
    for label in LABELS:
        known = clips.loc[clips["label"] == label, "seconds"].dropna().to_numpy(float)
        if len(known):
            least, median, most = np.quantile(known, [0, 0.5, 1])
            seconds[label] = {"least": least, "median": median, "most": most, "known": len(known)}
    shared = {column: len(overlapping_values(clips, column)) for column in NAMED if column in clips}
    return {
        "clips": len(clips),
        "parts": parts.where(parts.notna(), None).to_dict("records"),
        "values": values,
        "seconds": seconds,
        "two_sides": {column: number for column, number in shared.items() if number},
    }


def inspect_clips(clips: pd.DataFrame) -> tuple[dict, pd.DataFrame]:
    """A manifest in figures, with what the headers of its files tell.

    Returns:
        What `summarize` gives, with `headers`: how many are `read` and `unreadable`, `formats`,
        `sample_rates` and `channels` (value → files), and `first_problems`; and the clips with
        lengths: their own, or else those of the headers.
    """
    rows = np.arange(len(clips))
    if len(rows) > MOST_HEADERS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_HEADERS, replace=False))
    headers = read_headers(clips["path"].iloc[rows].tolist())
    headers.index = clips.index[rows]
    timed = clips
    if clips["seconds"].isna().all():
        timed = clips.loc[headers.index].assign(seconds=headers["seconds"])
    # A corpus that gives no lengths gets those of the headers, where all were read.
    summary = summarize(timed if len(timed) == len(clips) else clips)
    problems = headers["problem"] != ""
    readable = headers[~problems]
    summary["headers"] = {
        "read": len(headers),
        "formats": _counted(readable["format"]),
        "sample_rates": _counted(readable["sample_rate"]),
        "channels": _counted(readable["channels"]),
        "unreadable": int(problems.sum()),
        "first_problems": [
            {"path": clips["path"][row], "problem": headers["problem"][row]}
            for row in headers.index[problems][:5]
        ],
    }
    return summary, timed


def read_headers(paths: list[str]) -> pd.DataFrame:
    """Format, rate, channels and length of files, by their headers, in parallel.

    Returns:
        One row a path: `format`, `sample_rate` (Hz), `channels`, `seconds`; a file whose header
        cannot be read has `format` `-` and its reason in `problem`.
    """
    import soundfile

    def look(path: str) -> tuple:
        try:
            info = soundfile.info(path)
        except (RuntimeError, OSError) as error:
            return UNKNOWN, 0, 0, np.nan, str(error).removeprefix(f"Error opening '{path}': ")
        kind = f"{info.format} {info.subtype}"
        return kind, info.samplerate, info.channels, info.frames / info.samplerate, ""

    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(look, paths))
    return pd.DataFrame(rows, columns=["format", "sample_rate", "channels", "seconds", "problem"])


def _counted(values: pd.Series) -> dict[str, int]:
    return {str(value): int(number) for value, number in values.value_counts().items()}
