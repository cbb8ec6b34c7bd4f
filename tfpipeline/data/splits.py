"""Splits into train, validation and test: by group, stratified, seeded, stable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pandas as pd


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
                f"Known attacks: {', '.join(known)}"
            )
    held = clips["attack"].isin(list(attacks))
    kept = clips[~held | clips["part"].isin(["test", "unseen"])].copy()
    kept.loc[kept["attack"].isin(list(attacks)), "part"] = "unseen"
    return kept.reset_index(drop=True)
