"""What is done without being asked: the split of a corpus without parts, and attacks held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from tfpipeline.data.clips import LABELS, UNKNOWN
from tfpipeline.data.groups import assign_groups, joined_groups, split_groups

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
STABLE_FROM = 100  # groups; of fewer, a share by hash may be far from the one that is meant
NEAR = 0.5  # of its share of the groups each part must get at least, for a split by hash


def split_by_best_group(
    clips: pd.DataFrame, source: str, speakers_a_part: int = 1, one_class: bool = False
) -> tuple[pd.DataFrame, str]:
    """Splits by speaker where speakers are known, else by source recording, else by file.

    Speakers and sources are kept whole together: a clip joins the others of its speaker and those
    of its source. A speaker split needs both classes and `speakers_a_part` speakers in each part;
    where it fails, the speakers are put aside (`-`), and so are sources that cannot be split.

    From `STABLE_FROM` groups on, groups are placed by their hash and stay when others are added.
    Fewer are cut at exact shares, and may move.

    Args:
        clips: a normalized manifest; `part` is replaced.
        source: what the table was read from, named in errors.
        speakers_a_part: the fewest speakers that a part may have.
        one_class: whether it will do that each part has the classes that there are.
    Returns:
        The manifest with its parts, and a line that says how it was split.
    Raises:
        ValueError: not even single files give each part both classes.
    """
    clips, aside = clips.copy(), []
    classes = clips["label"].nunique() if one_class else len(LABELS)
    for columns, noun in (
        (["speaker", "source"], "speaker"),
        (["source"], "source recording"),
        ([], "file"),
    ):
        if columns and (clips[columns[0]] == UNKNOWN).all():
            continue
        groups = joined_groups(clips, columns)
        least = speakers_a_part if noun == "speaker" else 1
        named = groups if not columns else clips[columns[0]][clips[columns[0]] != UNKNOWN]
        for parts in _automatic_parts(clips, groups):
            clips["part"] = parts
            counts = _distinct(named, clips["part"])
            whole = len(clips[["part", "label"]].drop_duplicates()) == len(SHARES) * classes
            if whole and counts.min() >= least:
                summary = ", ".join(f"{part} {number}" for part, number in counts.items())
                summary = f"split by {noun}: {counts.sum()} {noun}s ({summary})"
                if columns and len(named) < len(clips):
                    alone = len(clips) - len(named)
                    summary += f"; {alone} clips tell no {noun} and are assigned alone"
                return clips, "; ".join([summary, *aside])
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


def hold_out_attacks(clips: pd.DataFrame, attacks: Sequence[str]) -> pd.DataFrame:
    """Takes the spoofs of `attacks` out of training and validation, and out of `test`.

    Those of the test speakers become the part `unseen`; the others are dropped, so that nothing
    that training or selection saw was made by them.

    Raises:
        ValueError: an attack that the manifest does not hold.
    """
    known = sorted(set(clips["attack"].unique()) - {UNKNOWN})
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


def leave_one_attack_out(clips: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each attack, and the manifest from whose training, validation and test it is held out.

    Raises:
        ValueError: there are not two attacks.
    """
    attacks = sorted(set(clips["attack"].unique()) - {UNKNOWN})
    if len(attacks) < 2:
        raise ValueError(
            f"leaving one attack out needs another to train on. Received: {attacks or 'none'}."
        )
    for attack in attacks:
        yield attack, hold_out_attacks(clips, [attack])


def _automatic_parts(clips: pd.DataFrame, groups: pd.Series) -> Iterator[np.ndarray]:
    """By hash, if groups are many and the shares come out well; then at exact shares."""
    names = pd.Series(groups.unique())
    if len(names) >= STABLE_FROM:
        placed = assign_groups(names, SHARES, seed=0)
        counts = pd.Series(placed).value_counts().reindex(list(SHARES), fill_value=0)
        if (counts >= NEAR * len(names) * pd.Series(SHARES)).all():
            yield groups.map(dict(zip(names, placed, strict=True))).to_numpy()
    spoof = clips["label"].map(LABELS).groupby(groups).agg(["min", "max"])
    strata = (spoof["min"] + spoof["max"]).astype(str)  # bonafide, both, spoof
    yield groups.map(split_groups(strata.index, strata, SHARES, seed=0)).to_numpy()


def _distinct(named: pd.Series, parts: pd.Series) -> pd.Series:
    """How many different names each part has."""
    pairs = pd.DataFrame({"name": named, "part": parts[named.index]}).drop_duplicates()
    return pairs["part"].value_counts().reindex(list(SHARES), fill_value=0)
