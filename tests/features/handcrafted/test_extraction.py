"""Extraction: rows in order whatever the batch; what is stopped continues; memory holds a part."""

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import tensorflow as tf

from tfpipeline.config import AS_RECORDED, FrontEndConfig
from tfpipeline.data.clip_audio import Audio
from tfpipeline.features.conditioning import Conditioning
from tfpipeline.features.handcrafted import extraction
from tfpipeline.features.handcrafted import extraction as parquet
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures

WINDOW = 16_000
LENGTHS = (5000, 16_000, 50_000, 16_001, 3000, 160_000, 15_999, 32_000, 40_000)


@pytest.fixture(scope="module")
def corpus(speech):
    """Nine clips of awkward lengths: their manifest, their audio, and the waveforms."""
    whole = speech.reshape(-1)
    clips = [whole[7000 * i : 7000 * i + length] for i, length in enumerate(LENGTHS)]
    ends = np.cumsum(LENGTHS)
    samples, begins = tf.constant(np.concatenate(clips)), tf.constant(ends - LENGTHS)
    ends = tf.constant(ends)
    audio = Audio(lambda i: samples[tf.gather(begins, i) : tf.gather(ends, i)], n_clips=len(clips))
    table = pd.DataFrame(
        {
            "clip_id": [f"clip{i}" for i in range(len(clips))],
            "path": "absent.wav",
            "label": ["bonafide", "spoof", "spoof"] * 3,
            "attack": ["-", "a", "b"] * 3,
            "speaker": "s",
            "source": "-",
            "part": "train",
        }
    )
    return table, audio, clips


def windows_by_hand(clip):
    if len(clip) <= WINDOW:
        return [np.resize(clip, WINDOW)]
    starts = [*range(0, len(clip) - WINDOW, WINDOW), len(clip) - WINDOW]
    return [clip[start : start + WINDOW] for start in starts]


def test_one_row_a_window_in_order(corpus, monkeypatch):
    _, audio, clips = corpus
    windows = [windows_by_hand(clip) for clip in clips]
    layer = HandcraftedFeatures("baseline")
    expected = layer(np.stack([window for clip in windows for window in clip])).numpy()
    for batch in (3, 64):
        monkeypatch.setattr(extraction, "BATCH_SIZE", batch)
        table = extraction.extract_features(audio, "baseline", WINDOW, AS_RECORDED)
        assert list(table) == ["clip", "window", *layer.names]
        assert table["clip"].tolist() == [i for i, clip in enumerate(windows) for _ in clip]
        assert table["window"].tolist() == [k for clip in windows for k in range(len(clip))]
        np.testing.assert_allclose(table[list(layer.names)], expected, rtol=1e-4, atol=1e-4)


def test_windows_are_conditioned_first(corpus):
    _, audio, clips = corpus
    windows = np.stack([window for clip in clips for window in windows_by_hand(clip)])
    expected = HandcraftedFeatures("baseline")(Conditioning()(windows)).numpy()
    table = extraction.extract_features(audio, "baseline", WINDOW, FrontEndConfig())
    np.testing.assert_allclose(table.iloc[:, 2:], expected, rtol=1e-4, atol=1e-4)
    raw = extraction.extract_features(audio, "baseline", WINDOW, AS_RECORDED)
    assert not np.allclose(raw.iloc[:, 2:], expected, rtol=1e-2)


def test_no_clips_give_an_empty_table(corpus):
    _, audio, _ = corpus
    table = extraction.extract_features(audio.subset(np.arange(0)), "baseline", WINDOW, AS_RECORDED)
    assert table.shape == (0, 134)
    assert set(table.dtypes.iloc[2:]) == {np.dtype("float32")}


def test_windows_too_short_for_the_features_are_refused(corpus):
    _, audio, _ = corpus
    with pytest.raises(ValueError, match=r"2048 samples or more .* Received: 4"):
        extraction.extract_features(audio, "baseline", 4, AS_RECORDED)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(extraction, "BATCH_SIZE", 3)
    monkeypatch.setattr(parquet, "ROWS_A_PART", 4)


def test_parquet_holds_the_same_table(corpus, tmp_path, small_parts):
    clips, audio, _ = corpus
    out = tmp_path / "deep" / "features.parquet"
    rows = parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, out)
    received = pd.read_parquet(out)
    expected = extraction.extract_features(audio, "baseline", WINDOW, AS_RECORDED)
    assert rows == len(received) == len(expected)
    assert [*received][:7] == [*parquet.CLIP_COLUMNS, "window"]
    assert received["clip_id"].tolist() == [f"clip{i}" for i in expected["clip"]]
    assert received["attack"].tolist() == clips["attack"][expected["clip"]].tolist()
    np.testing.assert_array_equal(received["window"], expected["window"])
    names = [*expected][2:]
    assert [*received][7:] == names
    np.testing.assert_allclose(received[names], expected[names], rtol=1e-4, atol=1e-4)
    assert [path.name for path in out.parent.iterdir()] == ["features.parquet"]
    assert pyarrow.parquet.ParquetFile(out).num_row_groups > 2


@pytest.mark.parametrize("parts", [0, 2])
def test_a_killed_extraction_goes_on(corpus, tmp_path, small_parts, monkeypatch, parts):
    clips, audio, _ = corpus
    out = tmp_path / "features.parquet"
    whole = tmp_path / "whole.parquet"
    parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, whole)
    write, written = parquet._write_part, []

    def killed_later(*arguments):
        if len(written) == parts:
            raise SystemExit("killed")
        written.append(arguments)
        write(*arguments)

    monkeypatch.setattr(parquet, "_write_part", killed_later)
    with pytest.raises(SystemExit):
        parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, out)
    assert not out.exists()
    folder = parquet.partial_folder(out)
    kept = {file.name: file.stat().st_mtime_ns for file in folder.glob("part-*")}
    assert len(kept) == parts
    # A kill in the middle of a write leaves a file under another name.
    (folder / ".part-000000005-000000009.123.partial.parquet").write_bytes(b"half")

    rewritten = []
    monkeypatch.setattr(parquet, "_write_part", lambda *a: (rewritten.append(a[-2]), write(*a)))
    parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, out)
    assert min(rewritten) == (written[-1][-1] if written else 0)
    received, expected = pd.read_parquet(out), pd.read_parquet(whole)
    pd.testing.assert_frame_equal(received, expected, rtol=1e-4, atol=1e-4)
    assert not folder.exists()


def test_a_kill_before_the_parts_are_joined_loses_nothing(
    corpus, tmp_path, small_parts, monkeypatch
):
    clips, audio, _ = corpus
    out = tmp_path / "features.parquet"
    join = parquet._join
    monkeypatch.setattr(parquet, "_join", lambda *a: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, out)
    monkeypatch.setattr(parquet, "_join", join)
    monkeypatch.setattr(parquet, "_write_part", None)  # nothing is left to write
    rows = parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, out)
    assert rows == len(pd.read_parquet(out)) == 25


@pytest.mark.parametrize("change", ["window", "clips", "front_end"])
def test_the_parts_of_another_extraction_are_refused(corpus, tmp_path, monkeypatch, change):
    clips, audio, _ = corpus
    out = tmp_path / "features.parquet"
    with monkeypatch.context() as patched:
        patched.setattr(parquet, "_join", lambda *a: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            parquet.extract_to_parquet(clips, audio, "baseline", WINDOW, AS_RECORDED, out)
    window = WINDOW + 1 if change == "window" else WINDOW
    front_end = FrontEndConfig() if change == "front_end" else AS_RECORDED
    clips = clips.assign(clip_id=clips["clip_id"] + "x") if change == "clips" else clips
    with pytest.raises(ValueError, match=f"with other {change}.* --overwrite"):
        parquet.extract_to_parquet(clips, audio, "baseline", window, front_end, out)
    assert len(list(parquet.partial_folder(out).glob("part-*"))) == 1
