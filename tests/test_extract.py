"""The command `extract` as a user runs it, on a small real corpus."""

import json

import numpy as np
import pandas as pd
import pytest

from tfpipeline import extract
from tfpipeline.data.audio.decode import decode
from tfpipeline.data.corpora import CORPORA
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures


@pytest.fixture
def bad_corpus(tiny_corpus, tmp_path, monkeypatch):
    """The tiny corpus with one file that is no audio."""
    (tmp_path / "bad.wav").write_text("no audio")
    clips = tiny_corpus.copy()
    clips.loc[3, "path"] = str(tmp_path / "bad.wav")
    monkeypatch.setitem(CORPORA, "bad", lambda path, split: clips)
    monkeypatch.setitem(CORPORA, "tiny", lambda path, split: tiny_corpus)
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    return clips


def one_line(capsys):
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_the_table_holds_the_features_of_the_files(bad_corpus, tiny_corpus, tmp_path, capsys):
    out = tmp_path / "features.parquet"
    argv = ["--data", "tiny", "--features", "baseline", "--out", str(out), "--json"]
    argv.append("--as-recorded")
    assert extract.main(argv) == 0
    result = json.loads(capsys.readouterr().out)
    table = pd.read_parquet(out)
    assert result == {"out": str(out), "clips": 28, "rows": len(table), "skipped": 0}
    assert table["clip_id"].tolist() == tiny_corpus["clip_id"].tolist()
    layer = HandcraftedFeatures("baseline")
    for row in (0, 9, 27):
        window = np.resize(decode(tiny_corpus["path"][row]).waveform, (1, 64_000))
        expected = layer(window).numpy()[0]
        received = table.loc[row, list(layer.names)].to_numpy(np.float32)
        np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)

    assert extract.main(argv) == 2
    assert "Replace it with --overwrite" in one_line(capsys)
    assert extract.main([*argv, "--overwrite"]) == 0

    argv.remove("--as-recorded")
    assert extract.main([*argv, "--overwrite"]) == 0
    leveled = pd.read_parquet(out)["waveform_std"]
    np.testing.assert_allclose(leveled, 10 ** (-26 / 20), rtol=1e-4)


def test_bad_clips_are_listed(bad_corpus, tmp_path, capsys):
    out = tmp_path / "features.parquet"
    argv = ["--data", "bad", "--features", "baseline", "--out", str(out)]
    assert extract.main([*argv, "--window-seconds", "2"]) == 1
    assert "1 of 28 clips skipped" in capsys.readouterr().err
    table, skipped = pd.read_parquet(out), pd.read_csv(tmp_path / "features.skipped.csv")
    assert list(skipped["path"]) == [bad_corpus["path"][3]]
    assert bad_corpus["clip_id"][3] not in set(table["clip_id"])
    assert table["clip_id"].nunique() == 27
    assert table["window"].max() == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--features", "mfcc"], "feature_set must be one of baseline, selected, all"),
        (["--data", "nonesuch"], "a corpus must be one of"),
        (["--window-seconds", "0"], "--window-seconds must be more than 0"),
        (["--window-seconds", "0.1"], "a window must have 2048 samples or more"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(bad_corpus, tmp_path, capsys, flags, message):
    argv = ["--data", "tiny", "--out", str(tmp_path / "f.parquet"), *flags]
    assert extract.main(argv) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "f.parquet").exists()
