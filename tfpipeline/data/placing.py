"""Which part a group goes to: by its own hash, or by what the others leave free.

`place_groups` looks at one group alone, so it never moves one when others come; shares hold on
average. `fill_parts` and `split_groups` look at all: shares hold as closely as groups allow, and a
group may move when others come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfpipeline.data.groups import unit_hashes


def place_groups(
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
        members = [group for group, own in stratum_of.items() if own == stratum]
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
