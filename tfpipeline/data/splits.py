"""Splits into train, validation and test: by group, stratified, seeded, stable.

Three rules, each seeded and free of the order of the clips, but for `random`:

- `stable`: a group's part is a function of its name and the seed alone. An existing group keeps
  its part whatever clips and groups are added; only where an added clip joins two groups does one
  of them move, to the other's part. Shares hold on average: of n groups a share p gets p·n, with
  a standard deviation of √(p(1-p)n).
- `balanced`: shares hold as closely as groups allow, by clips, for each class and each value of the
  columns to stratify by. Groups may move when others are added.
- `random`: scikit-learn's `train_test_split` on single clips. Speakers and sources stand on
  several sides, so its figures say little of new ones; it is here to repeat what others published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from tfpipeline.config import DataConfig, SplitConfig
from tfpipeline.data.automatic_splits import SHARES
from tfpipeline.data.clips import LABELS, overlapping_values
from tfpipeline.data.groups import assign_groups, fill_parts, joined_groups, unit_hashes

NO_TEST = "there is no test part, so there is nothing to report on test"


def split_clips(clips: pd.DataFrame, split: SplitConfig, source: str) -> tuple[pd.DataFrame, str]:
    """Splits a manifest as a config says; parts that it had are replaced.

    Args:
        clips: a manifest.
        split: the rule.
        source: what the clips were read from, named in errors.
    Returns:
        The manifest with its parts, and a line that says how it was split.
    Raises:
        ValueError: an unknown column, or groups that leave a part without one of the classes.
    """
    shares = dict(zip(SHARES, split.shares, strict=True))
    if split.rule == "random":
        parts = random_parts(_strata(clips, split.stratify, source), shares, split.seed)
        how = "split at random, clip by clip, by scikit-learn"
        groups, by = clips["clip_id"], ()
    else:
        by = split.columns
        groups = joined_groups(clips, by)
        if split.folds:
            folds = k_folds(clips, groups, split, source)
            parts = _parts_of_fold(folds, split.fold, split.folds)
            shares = {part: shares[part] for part in SHARES}
            how = f"fold {split.fold} of {split.folds}"
        elif split.rule == "stable":
            parts, how = assign_groups(groups, shares, split.seed), "split"
        else:
            strata = _strata(clips, split.stratify, source)
            of_group = fill_parts(groups, strata, clips["label"], shares, split.seed)
            parts, how = groups.map(of_group).to_numpy(), "split"
        how += f" by {' and '.join(by)}" if by else " by file"
        how += f", {split.rule}, seed {split.seed}"
    clips = clips.assign(part=parts)
    refuse_one_sided(clips, groups, by, source)
    number = groups.groupby(parts).nunique().reindex(list(SHARES), fill_value=0)
    counts = ", ".join(f"{part} {n}" for part, n in number.items())
    return clips, f"{how}: {number.sum()} {'groups' if by else 'files'} ({counts})"


def kept_apart(data: DataConfig) -> tuple[str, ...]:
    """The columns of which no value may overlap between splits: what a config asks for, it gets."""
    if data.allow_overlap:
        return ()
    return ("speaker", "source") if data.split is None else data.split.columns


def split_notes(clips: pd.DataFrame, data: DataConfig) -> list[str]:
    """What must be said of a run: no test part, or columns that overlap between splits and why.

    Args:
        clips: a manifest with parts.
        data: the config that it was split by.
    """
    apart = kept_apart(data)
    why = "data.allow_overlap lets them" if data.allow_overlap else "as data.split has it"
    notes = [] if (clips["part"] == "test").any() else [NO_TEST]
    for column in ("speaker", "source", "sentence"):
        shared = (
            overlapping_values(clips, column) if column in clips and column not in apart else []
        )
        if shared:
            notes.append(
                f"{len(shared)} values of {column} overlap between splits ({why}): the figures say "
                f"little of a new {column}"
            )
    return notes


def k_folds(clips: pd.DataFrame, groups: pd.Series, split: SplitConfig, source: str) -> np.ndarray:
    """The fold of each clip, int (n_clips,) in 0 … `split.folds` - 1; a group is in one fold.

    By the rule `stable` a group's fold is a function of its name, the seed and the number of folds.
    """
    if split.rule == "stable":
        return np.floor(unit_hashes(groups, split.seed) * split.folds).astype(int)
    shares = {str(fold): 1 / split.folds for fold in range(split.folds)}
    strata = _strata(clips, split.stratify, source)
    of_group = fill_parts(groups, strata, clips["label"], shares, split.seed)
    return groups.map(of_group).astype(int).to_numpy()


def random_parts(strata: Sequence[str], shares: Mapping[str, float], seed: int) -> np.ndarray:
    """Parts by scikit-learn: test is what `train_test_split(test_size=…)` takes of all clips.

    Validation is then taken from the rest in the same way. So with a test share of .2 and seed 42,
    train and validation together are the training set of
    `train_test_split(test_size=0.2, stratify=strata, random_state=42)`, and test is its test set.

    Args:
        strata: one a clip, in the order that the split depends on.
        shares: of train, validation and test.
        seed: scikit-learn's `random_state`.
    Returns:
        Part names, object (n_clips,).
    Raises:
        ValueError: a stratum has too few clips.
    """
    from sklearn.model_selection import train_test_split

    strata = np.asarray(strata, dtype=str)
    parts = np.full(len(strata), "train", object)
    try:
        rest, test = train_test_split(
            np.arange(len(strata)), test_size=shares["test"], stratify=strata, random_state=seed
        )
        share = shares["validation"] / (shares["train"] + shares["validation"])
        _, validation = train_test_split(
            rest, test_size=share, stratify=strata[rest], random_state=seed
        )
    except ValueError as error:
        raise ValueError(
            f"a stratified random split needs some clips of each stratum in each part. Received: "
            f"{str(error).rstrip('.')}."
        ) from None
    parts[test], parts[validation] = "test", "validation"
    return parts


def refuse_one_sided(
    clips: pd.DataFrame, groups: pd.Series, by: Sequence[str], source: str
) -> None:
    """Refuses a split that leaves train, validation or test empty or without a class.

    Raises:
        ValueError: names the part, the class, and the groups that are in the way.
    """
    found = set(zip(clips["part"], clips["label"], strict=True))
    for part in SHARES:
        lacking = [label for label in LABELS if (part, label) not in found]
        if not lacking:
            continue
        of_label = groups[clips["label"] == lacking[0]]
        sizes = of_label.value_counts()
        shown = ", ".join(f"{name} ({n} of {len(of_label)} clips)" for name, n in sizes[:3].items())
        by_what = " and ".join(by) or "file"
        state = "stays empty" if len(lacking) == 2 else f"gets no {lacking[0]} clip"
        held = (
            f"{len(sizes)} groups hold {lacking[0]} clips, the largest: {shown}"
            if len(sizes)
            else f"no group holds {lacking[0]} clips"
        )
        fix = (
            "Too few groups: split by fewer columns, or add clips of others."
            if len(sizes) < len(SHARES)
            else "Try data.split.rule=balanced, another data.split.seed, or fewer columns."
        )
        raise ValueError(
            f"{source}: a split needs clips of both classes in each part. Received: {part} {state}."
            f" By {by_what}, {held}. {fix}"
        )


def _parts_of_fold(folds: np.ndarray, fold: int, number: int) -> np.ndarray:
    """The fold itself is test, the next one validation, the others are train."""
    parts = np.full(len(folds), "train", object)
    parts[folds == fold] = "test"
    parts[folds == (fold + 1) % number] = "validation"
    return parts


def _strata(clips: pd.DataFrame, columns: Sequence[str], source: str) -> pd.Series:
    """One text a clip: its values in the columns to stratify by."""
    for column in columns:
        if column not in clips:
            raise ValueError(
                f"{source}: data.split.stratify names columns of the manifest. Received: "
                f"{column!r}. Columns: {', '.join(clips.columns)}."
            )
    if not columns:
        return pd.Series("", index=clips.index)
    strata = clips[columns[0]].astype(str)
    for column in columns[1:]:
        strata = strata + "|" + clips[column].astype(str)
    return strata
