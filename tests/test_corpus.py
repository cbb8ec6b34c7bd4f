"""`python -m tfpipeline.corpus` as a user runs it, on a small real corpus."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from tfpipeline import corpus
from tfpipeline.data import clip_audio
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.clips import corpus_fingerprint, read_manifest, write_manifest
from tfpipeline.data.corpora import CORPORA, load_corpus, manifest
from tfpipeline.files.atomic import write_table


@pytest.fixture
def table(tmp_path, tiny_corpus):
    """The tiny corpus as a table beside nothing, its paths absolute."""
    path = tmp_path / "tiny.csv"
    write_manifest(path, tiny_corpus)
    return path


@pytest.fixture
def bad_table(tmp_path, table):
    """The same with a file that is no audio, and without lengths."""
    clips = pd.read_csv(table).drop(columns="seconds")
    (tmp_path / "bad.wav").write_text("no audio")
    clips.loc[3, "path"] = "bad.wav"
    path = tmp_path / "bad.csv"
    write_table(path, clips)
    return path


def run(capsys, *argv):
    """Exit code, and what was printed as JSON, a value a line if there are several."""
    code = corpus.main([*argv, "--json"])
    printed = capsys.readouterr().out
    try:
        return code, json.loads(printed)
    except ValueError:
        return code, [json.loads(line) for line in printed.splitlines()]


def test_list_names_every_corpus_and_how_it_is_given(capsys):
    code, rows = run(capsys, "list")
    assert code == 0
    assert [row["name"] for row in rows] == list(CORPORA)
    for row in rows:
        assert row["license"], row["name"]
        assert row["give"].startswith(row["name"])
    assert corpus.main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in CORPORA)


def test_inspect_counts_what_stands_where(table, tiny_corpus, capsys, tmp_path):
    picture = tmp_path / "lengths.png"
    code, found = run(capsys, "inspect", f"manifest:{table}", "--picture", str(picture))
    assert code == 0
    parts = {row["part"]: row for row in found["parts"]}
    for part, rows in [*tiny_corpus.groupby("part"), ("all", tiny_corpus)]:
        assert parts[part]["clips"] == len(rows)
        assert parts[part]["bonafide"] == (rows["label"] == "bonafide").sum()
        assert parts[part]["speakers"] == rows["speaker"].nunique()
        assert parts[part]["attacks"] == rows.loc[rows["attack"] != "-", "attack"].nunique()
        assert parts[part]["hours"] == pytest.approx(rows["seconds"].sum() / 3600)
    assert found["values"]["attack"]["world"] == {"bonafide": 0, "spoof": 7}
    assert found["values"]["language"] == {
        "de": {"bonafide": 4, "spoof": 12},
        "en": {"bonafide": 3, "spoof": 9},
    }
    assert found["headers"]["sample_rates"] == {"16000": 28}
    assert found["headers"]["unreadable"] == 0
    assert found["two_sides"] == {}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert corpus.main(["inspect", f"manifest:{table}"]) == 0
    assert "sample rates, of 28 headers read: 16000 (28)" in capsys.readouterr().out


def test_inspect_reads_lengths_and_tells_first_problems(bad_table, capsys):
    code, found = run(capsys, "inspect", f"manifest:{bad_table}")
    assert code == 0
    assert found["headers"]["unreadable"] == 1
    assert found["headers"]["first_problems"][0]["path"].endswith("bad.wav")
    assert found["seconds"]["spoof"]["most"] == pytest.approx(4, abs=0.1)
    assert corpus.main(["inspect", f"manifest:{bad_table}"]) == 0
    assert "look: 1 headers are not read here" in capsys.readouterr().out


def test_inspect_shows_the_split_that_is_asked_for(table, capsys):
    keys = ["--set", "split.rule=balanced", "--set", "split.shares=[.5, .25, .25]"]
    _, found = run(capsys, "inspect", f"manifest:{table}", *keys)
    parts = {row["part"]: row["speakers"] for row in found["parts"]}
    assert parts == {"train": 3, "validation": 2, "test": 2, "all": 7}
    assert corpus.main(["inspect", f"manifest:{table}", "--set", "split.by=[mood]"]) == 2
    assert "Received: 'mood'" in capsys.readouterr().err


def test_verify_decodes_every_file(table, bad_table, tmp_path, capsys):
    assert run(capsys, "verify", f"manifest:{table}")[1]["failed"] == []
    out = tmp_path / "failed.csv"
    code, found = run(capsys, "verify", f"manifest:{bad_table}", "--out", str(out))
    assert code == 1
    assert [os.path.basename(row["path"]) for row in found["failed"]] == ["bad.wav"]
    assert "cannot be decoded" in found["failed"][0]["reason"]
    assert list(pd.read_csv(out)["path"]) == [found["failed"][0]["path"]]


def test_fingerprint_is_that_of_a_run(table, capsys):
    _, found = run(capsys, "fingerprint", f"manifest:{table}")
    assert found["fingerprint"] == corpus_fingerprint(load_corpus(f"manifest:{table}"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_written_manifest_is_read_back_equal(table, tmp_path, suffix, capsys):
    out = tmp_path / "deeper" / f"out.{suffix}"
    keys = ["--set", "split.by=[source]", "--set", "split.rule=balanced"]
    assert corpus.main(["manifest", f"manifest:{table}", "--out", str(out), *keys]) == 0
    read = load_corpus(f"manifest:{out}")
    own = read_manifest(table)
    assert read["clip_id"].tolist() == own["clip_id"].tolist()
    assert [os.path.realpath(p) for p in read["path"]] == [os.path.realpath(p) for p in own["path"]]
    assert set(read["part"]) == {"train", "validation", "test"}
    np.testing.assert_allclose(read["seconds"], own["seconds"])


def test_manifests_of_folds_and_of_attacks_left_out(table, tmp_path, capsys, monkeypatch):
    asked = []
    read_table = manifest.read_table
    monkeypatch.setattr(manifest, "read_table", lambda *own: asked.append(own) or read_table(*own))
    keys = ["--set", "split.rule=balanced", "--set", "split.by=[speaker]"]
    argv = ["manifest", f"manifest:{table}", "--out", str(tmp_path / "m.csv"), *keys]
    _, rows = run(capsys, *argv, "--folds", "3")
    assert len(asked) == 1  # a large corpus takes minutes
    tested = []
    for row in rows:
        clips = load_corpus(f"manifest:{row['path']}")
        tested += clips.loc[clips["part"] == "test", "clip_id"].tolist()
    assert [os.path.basename(row["path"]) for row in rows] == ["m-1.csv", "m-2.csv", "m-3.csv"]
    assert sorted(tested) == sorted(load_corpus(f"manifest:{table}")["clip_id"])
    _, rows = run(capsys, *argv, "--leave-attack-out")
    for row in rows:
        clips = load_corpus(f"manifest:{row['path']}")
        attack = row["path"].rpartition("-")[2].removesuffix(".csv")
        assert set(clips.loc[clips["part"] == "unseen", "attack"]) == {attack}
        assert attack not in set(clips.loc[clips["part"] != "unseen", "attack"])
    assert corpus.main([*argv, "--folds", "3", "--leave-attack-out"]) == 2
    assert corpus.main(["manifest", f"manifest:{table}", "--out", "m.txt"]) == 2
    assert "--out ends with .csv or .parquet" in capsys.readouterr().err


def test_the_cache_is_what_training_reads_and_a_stopped_one_goes_on(
    bad_table, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("TFPIPELINE_CACHE", str(tmp_path / "cache"))
    from tfpipeline.data import cache as decoded

    write = decoded.DecodedFiles.write
    written = []

    def stop_after_five(self, index, *stored):
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(index)
        write(self, index, *stored)

    with monkeypatch.context() as patched:
        patched.setattr(decoded.DecodedFiles, "write", stop_after_five)
        assert corpus.main(["cache", f"manifest:{bad_table}"]) == 130
    assert "Resume with the same command" in capsys.readouterr().err
    code, found = run(capsys, "cache", f"manifest:{bad_table}")
    assert (code, found["decoded"], found["skipped"]) == (1, 28 - 1 - 5, 1)
    assert found["gigabytes"] == pytest.approx(27 * 2 * 64_000 / 1e9, rel=0.05, abs=1e-3)
    code, found = run(capsys, "cache", f"manifest:{bad_table}")
    assert found["decoded"] == 0
    asked = []
    screen = clip_audio.screen_clips

    def counted(paths, keep):
        asked.append(len(paths))
        return screen(paths, keep)

    monkeypatch.setattr(clip_audio, "screen_clips", counted)
    kept, _, skipped = open_audio(load_corpus(f"manifest:{bad_table}"), "disk")
    assert (len(kept), len(skipped)) == (27, 1)
    assert asked == [1]  # the bad one alone


def test_bad_usage_is_one_line(tmp_path, capsys):
    cases = [
        (["inspect", "nonesuch"], "a corpus must be one of"),
        (["verify", f"manifest:{tmp_path}/none.csv"], "no such file"),
        (["inspect", "demo", "demo"], "names each corpus once"),
        (["inspect", "demo", "--set", "splits.by=[speaker]"], "unknown key data.splits"),
        (["inspect", "demo", "--set", "split.seeds=1"], "unknown key data.split.seeds"),
    ]
    for argv, message in cases:
        assert corpus.main(argv) == 2, argv
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert message in error
