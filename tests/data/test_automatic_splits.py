import pandas as pd
import pytest

from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.data.clips import normalize_manifest
from tfpipeline.data.groups import split_groups

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}


def test_shares_hold_within_each_stratum():
    groups = [f"{language}{i}" for language in ("de", "en") for i in range(20)]
    parts = pd.Series(split_groups(groups, [g[:2] for g in groups], SHARES, seed=0))
    counts = parts.groupby([parts.index.str[:2], parts]).size().unstack()
    expected = {"train": 12, "validation": 3, "test": 5}
    assert counts.to_dict("index") == {"de": expected, "en": expected}


def test_order_and_repeats_do_not_matter_but_the_seed_does():
    groups = [f"s{i}" for i in range(40)]
    once = split_groups(groups, ["x"] * 40, SHARES, seed=0)
    again = split_groups(groups[::-1] * 2, ["x"] * 80, SHARES, seed=0)
    assert once == again
    assert split_groups(groups, ["x"] * 40, SHARES, seed=1) != once


def test_bad_shares():
    with pytest.raises(ValueError, match="shares must be positive and sum to 1"):
        split_groups(["a"], ["x"], {"train": 0.5, "test": 0.4}, seed=0)


def test_held_out_attacks_stay_with_the_test_speakers():
    rows = [
        {
            "path": f"{part}-{attack}",
            "label": "bonafide" if attack == "-" else "spoof",
            "attack": attack,
            "part": part,
        }
        for part in ("train", "validation", "test")
        for attack in ("-", "world", "hifigan")
    ]
    clips = hold_out_attacks(normalize_manifest(pd.DataFrame(rows), "table"), ["hifigan"])
    assert set(clips.loc[clips["attack"] == "hifigan", "path"]) == {"test-hifigan"}
    assert list(clips.loc[clips["part"] == "unseen", "path"]) == ["test-hifigan"]
    assert len(clips) == 7
    with pytest.raises(ValueError, match=r"Received: 'tts'\. Known attacks: world"):
        hold_out_attacks(clips[clips["attack"] != "hifigan"], ["tts"])
