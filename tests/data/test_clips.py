import pandas as pd
import pytest
from nasty_names import NAMES

from tfpipeline.data.clips import (
    MANIFEST_COLUMNS,
    check_parts,
    corpus_fingerprint,
    normalize_manifest,
    read_manifest,
    write_manifest,
)


def six_clips():
    rows = [
        {
            "path": f"{speaker}_{label}.wav",
            "label": label,
            "speaker": speaker,
            "part": part,
            "attack": "-" if label == "bonafide" else "world",
        }
        for speaker, part in (("a", "train"), ("b", "validation"), ("c", "test"))
        for label in ("bonafide", "spoof")
    ]
    return pd.DataFrame(rows)


def test_missing_columns_are_filled_and_others_kept():
    clips = normalize_manifest(six_clips().assign(mood="calm"), "table")
    assert list(clips) == ["clip_id", *MANIFEST_COLUMNS, "mood"]
    assert (clips["codec"] == "-").all()
    assert clips["seconds"].isna().all()
    assert clips["clip_id"].equals(clips["path"])


def test_a_manifest_survives_its_file(tmp_path):
    clips = normalize_manifest(six_clips().assign(seconds=4.0), "table")
    clips["path"] = [str(tmp_path / "audio" / path) for path in clips["path"]]
    clips.loc[0, "path"] = "/elsewhere/NA.wav"
    write_manifest(tmp_path / "manifest.csv", clips)
    assert "audio/a_spoof.wav" in (tmp_path / "manifest.csv").read_text()
    assert str(tmp_path) not in (tmp_path / "manifest.csv").read_text().replace(
        clips["clip_id"][0], ""
    )
    pd.testing.assert_frame_equal(read_manifest(tmp_path / "manifest.csv"), clips)


def test_any_name_survives_its_manifest(tmp_path):
    names = [name for name in NAMES if "/" not in name]
    paths = [f"{tmp_path}/{name}.wav" for name in names]
    clips = normalize_manifest(pd.DataFrame({"path": paths, "label": "spoof"}), "here")
    write_manifest(tmp_path / "clips.csv", clips)
    assert read_manifest(tmp_path / "clips.csv")["path"].tolist() == paths


def test_bad_tables_are_named_by_row_and_column():
    clips = six_clips()
    with pytest.raises(ValueError, match="table: a manifest has a column label"):
        normalize_manifest(clips.drop(columns="label"), "table")
    with pytest.raises(ValueError, match=r"table, row 2: label must be .* Received: 'fake'"):
        normalize_manifest(clips.assign(label=["bonafide", "fake"] * 3), "table")
    with pytest.raises(ValueError, match=r"a_bonafide\.wav more than once, 1 such ids"):
        normalize_manifest(pd.concat([clips, clips[:1]]), "table")


def test_parts_need_both_classes():
    clips = normalize_manifest(six_clips(), "table")
    check_parts(clips, "table")
    with pytest.raises(ValueError, match=r"the validation part needs .* none with label spoof"):
        check_parts(clips.drop(index=3), "table")


def test_a_test_part_may_be_missing_but_has_both_classes():
    clips = normalize_manifest(six_clips(), "table")
    check_parts(clips[clips["part"] != "test"], "table")
    with pytest.raises(ValueError, match=r"the test part needs .* none with label bonafide"):
        check_parts(clips.drop(index=4), "table")
    # Spoofs of unseen attacks are judged against the bonafide clips of test.
    with pytest.raises(ValueError, match=r"the test part needs .* none with label bonafide"):
        check_parts(clips.drop(index=4).replace({"part": {"test": "unseen"}}), "table")


@pytest.mark.parametrize("column", ["speaker", "source"])
def test_no_value_overlaps_between_splits(column):
    clips = normalize_manifest(six_clips().assign(source=list("aabbcc")), "table")
    clips.loc[1, column] = "c"
    with pytest.raises(ValueError, match=f"no {column} overlaps between splits.* c in test, train"):
        check_parts(clips, "table")


def test_unseen_is_on_the_side_of_test():
    clips = normalize_manifest(six_clips(), "table")
    extra = clips.iloc[[5]].assign(clip_id="x", path="x", part="unseen")
    check_parts(pd.concat([clips, extra]), "table")


def test_the_fingerprint_sees_parts_labels_and_sizes_but_not_order(tmp_path):
    clips = normalize_manifest(six_clips(), "table")
    clips["path"] = [str(tmp_path / path) for path in clips["path"]]
    whole = corpus_fingerprint(clips)
    assert corpus_fingerprint(clips[::-1]) == whole
    assert corpus_fingerprint(clips.assign(part="train")) != whole
    (tmp_path / "a_spoof.wav").write_bytes(b"longer")
    assert corpus_fingerprint(clips) != whole
