"""Groups of clips that belong on one side: those of one speaker, one source recording, one attack.

Clips that share a known value in any of some columns are one group, and so are all that are
connected by others. A group is named after one of its values; what is placed by that name stays
where it is when clips are added, unless an added clip joins groups: then the joined group has the
name of one of them, and so the place of one.

Which part a group goes to: by its own hash, or by what the others leave free.

`place_groups` looks at one group alone, so it never moves one when others come; shares hold on
average. `fill_parts` and `split_groups` look at all: shares hold as closely as groups allow, and a
group may move when others come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfpipeline.data.clips import UNKNOWN


def joined_groups(clips: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """The group of each clip: clips that share a known value in any of the columns are one group.

    Each clip has a key: its first known value in the order of the columns (`speaker p225`), its
    `clip_id` where it has none. A group is named after that of its keys which has the least hash.
    So further clips of known keys never rename a group, whatever their other columns hold, unless
    they join it to another.

    Args:
        clips: a manifest.
        columns: of it; none makes every clip a group of its own.
    Returns:
        Names, text (n_clips,), with the index of the clips; they depend on no order and no seed.
    Raises:
        ValueError: a column that the manifest does not have.
    """
    missing = [column for column in columns if column not in clips]
    if missing:
        raise ValueError(
            f"clips are grouped by columns of their manifest. Received: {missing[0]!r}. "
            f"Columns: {', '.join(clips.columns)}."
        )
    keys = clips["clip_id"].astype(object)
    for column in reversed(columns):
        values = clips[column].astype(str)
        keys = keys.where(values == UNKNOWN, column + " " + values)
    if not columns:
        return keys
    if len(columns) == 1:  # the keys are the groups
        return keys
    component = _components(clips, columns)
    # One row a key and component: keys are far fewer than clips.
    pairs = pd.DataFrame({"key": keys.to_numpy(), "component": component}).drop_duplicates()
    pairs = pairs.iloc[np.argsort(unit_hashes(pairs["key"]), kind="stable")]
    name = pairs.drop_duplicates("component").set_index("component")["key"]
    return pd.Series(name.reindex(component).to_numpy(), index=clips.index)


def unit_hashes(names: Sequence[str] | pd.Series, seed: int | None = None) -> np.ndarray:
    """A number in [0, 1) for each name, the same on every machine, spread evenly.

    Args:
        names: texts; equal ones have equal numbers.
        seed: another seed gives other numbers; None is a seed of its own.
    Returns:
        float64 (n_names,).
    """
    prefix = b"" if seed is None else f"{seed}:".encode()
    codes, values = pd.factorize(pd.Series(names, dtype=object))
    found = [
        int.from_bytes(hashlib.sha256(prefix + value.encode()).digest()[:8], "big")
        for value in values
    ]
    # 53 bits, so that no number rounds up to 1.
    return ((np.array(found, np.uint64) >> np.uint64(11)) / 2.0**53)[codes]


def _components(clips: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """The number of the connected component of each clip, int (n_clips,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined, total = [], len(clips)  # (clip, node) pairs; the clips are the first nodes
    for column in columns:
        known = np.flatnonzero((clips[column].astype(str) != UNKNOWN).to_numpy())
        codes, values = pd.factorize(clips[column].iloc[known])
        joined.append(np.stack([known, codes + total]))
        total += len(values)
    ends = np.concatenate([np.zeros((2, 0), int), *joined], axis=1)
    edges = coo_array((np.ones(ends.shape[1], np.int8), ends), shape=(total, total))
    return connected_components(edges, directed=False)[1][: len(clips)]


def assign_groups(
    groups: Sequence[str] | pd.Series, shares: Mapping[str, float], seed: int
) -> np.ndarray:
    """The part of each group by its name and the seed alone.

    A group's hash is a place in [0, 1), which the shares cut into pieces, in order.

    Args:
        groups: one name a clip or a group.
        shares: part → share, positive, summing to 1.
        seed: another seed places otherwise.
    Returns:
        Part names, object (n_groups,). Whatever else there is, a name has the same part.
    Raises:
        ValueError: the shares are not positive or do not sum to 1.
    """
    check_shares(shares)
    # The last cut is left out: everything above the one before belongs to the last part.
    cuts = np.cumsum(list(shares.values()))[:-1]
    return np.array(list(shares), object)[
        np.searchsorted(cuts, unit_hashes(groups, seed), side="right")
    ]


def fill_parts(
    groups: Sequence[str] | pd.Series,
    strata: Sequence[str] | pd.Series,
    classes: Sequence[str] | pd.Series,
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Deals whole groups out so that each part has its share of the clips of every stratum.

    The largest groups come first, equal ones in the order of their hash. Each goes where it brings
    the counts closest to the shares: where Σ over strata of (wanted - had)² / total falls the most.
    While a part lacks a class that only as many groups are left with as there are such parts, these
    groups go there.

    Args:
        groups: one name a clip.
        strata: of each clip, such as its label and language.
        classes: of each clip, such as its label; every part should have each of them.
        shares: part → share, positive, summing to 1.
        seed: another seed deals equal groups otherwise.
    Returns:
        group → part.
    Raises:
        ValueError: the shares are not positive or do not sum to 1.
    """
    check_shares(shares)
    names, codes = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    counts = _table(codes, strata, len(names))  # (groups, strata)
    held = _table(codes, classes, len(names)) > 0  # (groups, classes)
    totals = counts.sum(axis=0)
    weights = counts / totals
    need = np.outer(list(shares.values()), totals).astype(float)  # (parts, strata)
    order = np.lexsort((unit_hashes(names, seed), -counts.sum(axis=1)))
    left = held.sum(axis=0)
    has = np.zeros((len(shares), held.shape[1]), bool)
    part = np.empty(len(names), int)
    for group in order:
        urgent = held[group] & (left <= (~has).sum(axis=0))
        gain = need @ weights[group]
        if urgent.any():
            lacks = (~has[:, urgent]).sum(axis=1)
            gain = np.where(lacks == lacks.max(), gain, -np.inf)
        chosen = int(np.argmax(gain))
        part[group] = chosen
        need[chosen] -= counts[group]
        has[chosen] |= held[group]
        left = left - held[group]
    labels = list(shares)
    return {name: labels[at] for name, at in zip(names.tolist(), part.tolist(), strict=True)}


def split_groups(
    groups: Sequence[str], strata: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Deals whole groups out to parts, stratum by stratum, each group counting the same.

    Within a stratum the groups are ordered by a hash of seed and name, so the order of the input
    does not matter, and cut at the cumulated shares, rounded to whole groups.

    Args:
        groups: one name a clip or a group; repeats are one group.
        strata: the stratum of each, such as its language; a group's first one counts.
        shares: part → share, positive, summing to 1.
        seed: another seed deals otherwise.
    Returns:
        group → part.
    Raises:
        ValueError: the shares are not positive or do not sum to 1.
    """
    check_shares(shares)
    stratum_of: dict[str, str] = {}
    for group, stratum in zip(groups, strata, strict=True):
        stratum_of.setdefault(group, stratum)
    parts = {}
    for stratum in sorted(set(stratum_of.values())):
        members = [group for group, other in stratum_of.items() if other == stratum]
        members.sort(key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
        start, cumulated = 0, 0.0
        for part, share in shares.items():
            cumulated += share
            end = round(cumulated * len(members))
            parts.update(dict.fromkeys(members[start:end], part))
            start = end
    return parts


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuses shares that are no shares.

    Raises:
        ValueError: they are not positive or do not sum to 1.
    """
    if not shares or abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive and sum to 1. Received: {dict(shares)}")


def _table(codes: np.ndarray, values: Sequence[str] | pd.Series, n_groups: int) -> np.ndarray:
    """How many clips each group has of each value, int (n_groups, n_values)."""
    found, names = pd.factorize(pd.Series(values, dtype=object).reset_index(drop=True))
    flat = np.bincount(codes * len(names) + found, minlength=n_groups * len(names))
    return flat.reshape(n_groups, len(names))
