"""Splits into train, validation and test: by group, stratified, seeded, stable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def split_groups(
    groups: Sequence[str], strata: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Deals whole groups (speakers, source recordings) out to parts, stratum by stratum.

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
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive and sum to 1. Received: {dict(shares)}")
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


def split_by_best_group(
    clips: pd.DataFrame, source: str, speakers_a_part: int = 1
) -> tuple[pd.DataFrame, str]:
    """Splits by speaker where speakers are known, else by source recording, else by file.

    Speakers and sources are kept whole together: a clip joins the others of its speaker and those
    of its source. A speaker split needs both classes and `speakers_a_part` speakers in each part;
    where it fails, the speakers are put aside (`-`), and so are sources that cannot be split.

    Args:
        clips: a normalised manifest; `part` is replaced.
        source: what the table was read from, named in errors.
        speakers_a_part: the fewest speakers that a part may have.
    Returns:
        The manifest with its parts, and a line that says how it was split.
    Raises:
        ValueError: not even single files give each part both classes.
    """
    clips, aside = clips.copy(), []
    for columns, noun in (
        (["speaker", "source"], "speaker"), (["source"], "source recording"), ([], "file"),
    ):  # fmt: skip
        if columns and (clips[columns[0]] == UNKNOWN).all():
            continue
        groups = _joined_groups(clips, columns)
        spoof = clips["label"].map(LABELS).groupby(groups).agg(["min", "max"])
        strata = (spoof["min"] + spoof["max"]).astype(str)  # bonafide, both, spoof
        part_of = split_groups(strata.index, strata, SHARES, seed=0)
        clips["part"] = groups.map(part_of)
        named = groups if not columns else clips[columns[0]][clips[columns[0]] != UNKNOWN]
        counts = named.groupby(clips["part"]).nunique().reindex(list(SHARES), fill_value=0)
        whole = len(clips.groupby(["part", "label"])) == len(SHARES) * len(LABELS)
        if whole and counts.min() >= (speakers_a_part if noun == "speaker" else 1):
            said = ", ".join(f"{part} {number}" for part, number in counts.items())
            said = f"split by {noun}: {counts.sum()} {noun}s ({said})"
            if columns and len(named) < len(clips):
                said += f"; {len(clips) - len(named)} clips tell no {noun} and are dealt out alone"
            return clips, "; ".join([said, *aside])
        if columns:
            aside.append(
                f"the {named.nunique()} {noun}s are too few to give every part both classes, so "
                f"parts share them and the figures say little of new {noun}s"
            )
            clips[columns[0]] = UNKNOWN
    counts = clips["label"].value_counts()
    raise ValueError(
        f"{source}: a split needs at least 6 clips of each class. "
        f"Received: {', '.join(f'{counts.get(label, 0)} {label}' for label in LABELS)}."
    )


def grouped_folds(clips: pd.DataFrame, n_folds: int, seed: int) -> np.ndarray:
    """Deals clips out to folds; those of one speaker or of one source recording stay together.

    Groups with the same classes and language are dealt out in turn, so that the folds resemble each
    other.

    Args:
        clips: a normalised manifest.
        n_folds: at least 2.
        seed: another seed deals otherwise; the order of the clips does not matter.
    Returns:
        int (n_clips,), 0 … n_folds - 1.
    Raises:
        ValueError: a fold lacks a class.
    """
    groups = _joined_groups(clips, ["speaker", "source"])
    labels = clips["label"].map(LABELS)
    spoof = labels.groupby(groups).agg(["min", "max"])
    kinds = (spoof["min"] + spoof["max"]).astype(str) + clips["language"].groupby(groups).first()
    order = sorted(
        kinds.index,
        key=lambda group: (kinds[group], hashlib.sha256(f"{seed}:{group}".encode()).digest()),
    )
    fold_of = {group: place % n_folds for place, group in enumerate(order)}
    folds = groups.map(fold_of).to_numpy(int)
    for fold in range(n_folds):
        classes = labels[folds == fold].nunique()
        if classes < len(LABELS):
            raise ValueError(
                f"each of {n_folds} folds by speaker needs clips of both classes. Received: "
                f"{len(order)} groups of {len(clips)} clips, and a fold with {classes} of the "
                "classes. Are fewer folds enough?"
            )
    return folds


def _joined_groups(clips: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """The group of each clip: clips that share a known value in any of the columns are one group.

    Returns:
        Names that do not depend on the order of the clips.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined, total = [], len(clips)  # (clip, node) pairs; the clips are the first nodes
    for column in columns:
        known = np.flatnonzero(clips[column] != UNKNOWN)
        codes, values = pd.factorize(clips[column].iloc[known])
        joined.append(np.stack([known, codes + total]))
        total += len(values)
    ends = np.concatenate([np.zeros((2, 0), int), *joined], axis=1)
    edges = coo_array((np.ones(ends.shape[1]), ends), shape=(total, total))
    component = pd.Series(connected_components(edges, directed=False)[1][: len(clips)])
    component.index = clips.index
    names = clips["clip_id"]
    for column in reversed(columns):
        names = names.where(clips[column] == UNKNOWN, column + " " + clips[column])
    # The least name of each; a grouped minimum of texts takes seconds where groups are many.
    table = pd.DataFrame({"name": names, "component": component}).sort_values("name")
    least = table.drop_duplicates("component").set_index("component")["name"]
    return component.map(least)


def hold_out_attacks(clips: pd.DataFrame, attacks: Sequence[str]) -> pd.DataFrame:
    """Takes the spoofs of `attacks` out of training and validation, and out of `test`.

    Those of the test speakers become the part `unseen`; the others are dropped, so that nothing
    that training or selection saw was made by them.

    Raises:
        ValueError: an attack that the manifest does not hold.
    """
    known = sorted(set(clips["attack"]) - {"-"})
    for attack in attacks:
        if attack not in known:
            raise ValueError(
                f"data.unseen_attacks must name attacks of the corpus. Received: {attack!r}. "
                f"Known attacks: {', '.join(known)}. To hold none out: "
                "--set data.unseen_attacks=[]"
            )
    held = clips["attack"].isin(list(attacks))
    kept = clips[~held | clips["part"].isin(["test", "unseen"])].copy()
    kept.loc[kept["attack"].isin(list(attacks)), "part"] = "unseen"
    return kept.reset_index(drop=True)
