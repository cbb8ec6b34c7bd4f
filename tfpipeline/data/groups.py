"""Groups of clips that belong on one side: those of one speaker, one source recording, one attack.

Clips that share a known value in any of some columns are one group, and so are all that are
connected by others. A group is named after one of its values; what is placed by that name stays
where it is when clips are added, unless an added clip joins groups: then the joined group has the
name of one of them, and so the place of one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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
