"""Several corpora as one manifest, and how much each counts in training.

The column `corpus` says where a clip comes from. Ids begin with that name, and so do speakers and
sources, since `p225` of one corpus need not be `p225` of another. A corpus of one class alone, such
as vocoded copies whose originals are a corpus of their own, keeps the names of its speakers and
sources: equal ones in two such corpora are taken for the same, and stay on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfpipeline.data.automatic_splits import split_by_best_group
from tfpipeline.data.clips import LABELS, UNKNOWN, real_paths

OWN_NAMES = ("manifest", "folder")  # whose path says more than the name


def corpus_labels(names: Sequence[str]) -> list[str]:
    """A short name for each `NAME[:PATH]`, no two alike: `demo`, `clips` for `manifest:clips.csv`.

    The last piece of the path of tables and folders, and where two have one name; else the name;
    all of it where that would not tell two apart.
    """
    keys = [name.partition(":")[0] for name in names]
    short = [
        key
        if keys.count(key) == 1 and key not in OWN_NAMES
        else Path(name.partition(":")[2]).stem or key
        for key, name in zip(keys, names, strict=True)
    ]
    return [key if short.count(key) == 1 else name for key, name in zip(short, names, strict=True)]


def mix_corpora(
    names: Sequence[str],
    load: Callable[[str, bool], pd.DataFrame],
    split: Callable[[str, pd.DataFrame], pd.DataFrame] | None,
) -> pd.DataFrame:
    """The clips of several corpora in one manifest.

    A corpus keeps its own parts, and one without parts is split as if it stood alone, so that its
    parts do not depend on the others. Corpora of one class without parts are split together.

    Args:
        names: `NAME[:PATH]` of each.
        load: `load_corpus`: of a name, and whether clips without parts are assigned.
        split: splits the clips of a name that has no parts; None: they stay without.
    Returns:
        A manifest with the column `corpus`.
    Raises:
        ValueError: a file stands in two corpora, or a corpus cannot be loaded or split.
    """
    tables, alone = {}, []
    for name, label in zip(names, corpus_labels(names), strict=True):
        clips = load(name, False)
        one_class = clips["label"].nunique() < len(LABELS)
        if split and (clips["part"] == UNKNOWN).any():
            if one_class:
                alone.append(label)
            else:
                clips = split(name, clips)
        tables[label] = _named(clips, label, prefixed=not one_class)
    _refuse_shared(tables)
    mixed = pd.concat(tables.values(), ignore_index=True)
    for column in mixed.columns.difference(["seconds"]):
        if mixed[column].dtype == object or pd.api.types.is_string_dtype(mixed[column]):
            mixed[column] = mixed[column].fillna(UNKNOWN)
    if not alone:
        return mixed
    rows = mixed["corpus"].isin(alone)
    assigned, _ = split_by_best_group(mixed[rows], " + ".join(alone), one_class=True)
    return pd.concat([mixed[~rows], assigned]).sort_index()


def training_rows(clips: pd.DataFrame, balance: str, seed: int) -> np.ndarray:
    """The rows of the training part, those of rarer corpora several times.

    Args:
        clips: a manifest; with the column `corpus` where `balance` names it.
        balance: what counts the same: `none`: each clip; `source`: as `draw_weights` has it, to
            whole numbers of copies; `corpus`: each corpus; `corpus_label`: each class of each
            corpus.
        seed: of the choice of clips that are repeated once more than others.
    Returns:
        int64 (n_rows,), in order; every training row is among them at least once.
    """
    rows = np.flatnonzero(clips["part"] == "train")
    if balance == "none":
        return rows
    if balance == "source":
        copies = np.rint(draw_weights(clips.iloc[rows]) * len(rows)).astype(int)
        return np.repeat(rows, np.maximum(1, copies))
    train = clips.iloc[rows]
    cells = train["corpus"] if balance == "corpus" else train["corpus"] + "/" + train["label"]
    codes, _ = pd.factorize(cells)
    most = np.bincount(codes).max()
    random = np.random.default_rng(seed)
    drawn = []
    for cell in range(codes.max() + 1):
        in_cell = rows[codes == cell]
        copies, rest = divmod(int(most), len(in_cell))
        drawn += [np.tile(in_cell, copies), random.choice(in_cell, rest, replace=False)]
    return np.sort(np.concatenate(drawn))


def draw_weights(clips: pd.DataFrame) -> np.ndarray:
    """How often each clip is drawn, where `data.balance` is `source`.

    Both classes have half. In a class, sources share by the square root of their number of clips,
    so that a large one does not drown the others, nor a small one is learned by heart; in a source,
    its attacks do the same. Clips of unknown source are one source.

    Args:
        clips: with `label`, `source` and `attack`.
    Returns:
        float64 (n_clips,), summing to 1.
    """
    weights = np.ones(len(clips))
    keys: list[str] = []
    for column in ("label", "source", "attack"):
        share = np.sqrt if keys else np.ones_like
        outer = clips.groupby(keys, sort=False).ngroup() if keys else pd.Series(0, clips.index)
        keys.append(column)
        inner = clips.groupby(keys, sort=False).ngroup().to_numpy()
        first = np.unique(inner, return_index=True)[1]  # a clip of each inner group
        shares = share(np.bincount(inner).astype(float))
        within = outer.to_numpy()[first]
        shares /= np.bincount(within, shares)[within]
        weights *= shares[inner]
    return weights / np.bincount(inner)[inner]


def _named(clips: pd.DataFrame, label: str, prefixed: bool) -> pd.DataFrame:
    """The clips with their corpus's name in `corpus` and before their ids."""
    named = clips.assign(corpus=label, clip_id=label + "/" + clips["clip_id"].astype(str))
    for column in ("speaker", "source") if prefixed else ():
        values = named[column].astype(str)
        named[column] = values.where(values == UNKNOWN, label + "/" + values)
    return named


def _refuse_shared(tables: Mapping[str, pd.DataFrame]) -> None:
    """Refuses a file that two corpora hold: it would count twice, or overlap between splits."""
    paths = pd.concat([clips[["path", "corpus"]] for clips in tables.values()], ignore_index=True)
    paths = paths.assign(path=real_paths(paths["path"])).drop_duplicates()
    again = paths["path"].duplicated()
    if again.any():
        path = paths.loc[again, "path"].iloc[0]
        where = " and ".join(paths.loc[paths["path"] == path, "corpus"])
        raise ValueError(
            f"corpora that are mixed share no file. Received: {path} in {where}, one of "
            f"{again.sum()} such files. Leave one of the corpora out."
        )
