"""The commands as a user runs them, on a small real corpus."""

import json
import shutil
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import soundfile
from tiny import TINY

from tfpipeline import export, predict, train
from tfpipeline.data.corpora import CORPORA
from tfpipeline.evaluation.scores import SCORE_COLUMNS, read_scores
from tfpipeline.runs.run import open_run

CONTENTS = {
    "config.yaml",
    "environment.json",
    "model.weights.h5",
    "calibration.json",
    "scores.csv",
    "metrics.json",
    "skipped.csv",
    "history.csv",
    "figures",
    "serving",
    "tensorboard",
    "report.html",
    "audit.json",
}


pytestmark = pytest.mark.usefixtures("tiny_in_the_table", "without_export")


@pytest.fixture(scope="module")
def run(tiny_run):
    return tiny_run


def test_a_run_folder_is_complete(run, tiny_corpus):
    assert {path.name for path in run.iterdir()} == CONTENTS
    assert not (run.parent / ".partial" / "tiny").exists()
    assert (run / "serving" / "1" / "saved_model.pb").exists()
    assert {path.name for path in (run / "figures").iterdir()} == {
        "learning_curve.png",
        "spectrograms.png",
    }
    environment = json.loads((run / "environment.json").read_text())
    assert environment["versions"]["tensorflow"] == version("tensorflow")
    assert len(environment["corpus_fingerprint"]) == 64
    assert list(pd.read_csv(run / "skipped.csv")) == ["path", "reason"]
    assert len(pd.read_csv(run / "history.csv")) == 2


def test_scores_and_metrics_belong_together(run, tiny_corpus):
    scores = read_scores(run / "scores.csv")
    assert list(scores) == list(SCORE_COLUMNS)
    # HiFi-GAN's copies of the readers outside test are left out
    outside = (tiny_corpus["attack"] == "hifigan") & (tiny_corpus["part"] != "test")
    assert set(scores["clip_id"]) == set(tiny_corpus.loc[~outside, "clip_id"])
    assert set(scores.loc[scores["part"] == "unseen", "attack"]) == {"hifigan"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics) == {
        "schema",
        "run",
        "model",
        "data",
        "parameters",
        "threshold",
        "thresholds",
        "parts",
        "groups",
        "macro",
        "notes",
    }
    assert list(metrics["parts"]) == ["train", "validation", "test", "unseen"]
    assert metrics["parts"]["unseen"]["n_bonafide"] == metrics["parts"]["test"]["n_bonafide"] == 2
    assert set(metrics["groups"]["attack"]) == {"world", "griffin_lim", "hifigan"}
    assert all(0 <= part["auc"] <= 1 for part in metrics["parts"].values())


def test_prediction_equals_the_runs_own_scores(run, capsys):
    scores = read_scores(run / "scores.csv").set_index("path")
    files = list(scores.index[:5])
    assert predict.main(["--run", str(run), "--json", *files]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["path"] for row in rows] == files
    for row in rows:
        assert row["score"] == pytest.approx(scores.loc[row["path"], "score"], abs=1e-4)
        assert row["probability"] == pytest.approx(scores.loc[row["path"], "probability"], abs=1e-4)
        threshold = open_run(run).threshold
        assert row["verdict"] == ("spoof" if row["score"] >= threshold else "bonafide")


def test_bad_files_do_not_stop_the_good_ones(run, tmp_path, capsys, tiny_corpus):
    (tmp_path / "text.wav").write_text("hello")
    (tmp_path / "empty.wav").write_bytes(b"")
    soundfile.write(tmp_path / "silent.wav", np.zeros(32_000), 16_000)
    good = tiny_corpus["path"][0]
    bad = [str(tmp_path / name) for name in ("text.wav", "empty.wav", "silent.wav", "none.wav")]
    assert predict.main(["--run", str(run), bad[0], good, *bad[1:]]) == 1
    printed = capsys.readouterr()
    errors = printed.err.splitlines()
    assert len(errors) == 4
    for line, name in zip(errors, bad, strict=True):
        assert line.startswith(f"error: {name}: ")
    assert "bonafide" in printed.out or "spoof" in printed.out


def test_export_alone_writes_the_first_version_elsewhere(run, tmp_path, capsys):
    assert export.main(["--run", str(run), "--to", str(tmp_path / "base"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["saved_model"] == str(tmp_path / "base" / "1")
    assert (tmp_path / "base" / "1" / "saved_model.pb").exists()
    assert not (run / "serving" / "2").exists()


def one_line(capsys):
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_a_complete_run_is_not_replaced_unasked(run, capsys):
    assert train.main([*TINY, "--run", str(run)]) == 2
    assert "replace it with --overwrite" in one_line(capsys)
    assert (run / "metrics.json").exists()


def test_bad_usage_is_one_line_and_exit_code_2(capsys, tmp_path, run):
    cases = [
        (train, ["--model", "nonesuch"], "Configs that can be named with --model: baseline_cnn"),
        (train, [], "--model or --config is needed"),
        (train, [*TINY, "--set", "training.epoch=3"], "unknown key training.epoch"),
        (train, [*TINY, "--set", "model.depth=3", "--run", str(tmp_path / "a")], "model.depth"),
        (train, [*TINY, "--data", "mine", "--run", str(tmp_path / "b")], "a corpus must be one"),
        (train, [*TINY, "--resume", "--run", str(tmp_path / "c")], "--resume needs a stopped run"),
        (predict, ["--run", "nonesuch", "a.wav"], "no run in saved_models/nonesuch"),
        (export, ["--run", str(tmp_path)], "no run in"),
    ]
    for command, argv, message in cases:
        assert command.main(argv) == 2, argv
        assert message in one_line(capsys)


def test_damaged_runs_are_refused(run, tmp_path, capsys):
    for name, message in (
        ("model.weights.h5", "expected the weights of cnn"),
        ("metrics.json", "a run holds calibration.json and metrics.json"),
    ):
        copy = tmp_path / name
        shutil.copytree(run, copy)
        (copy / name).write_bytes(b"damaged")
        assert predict.main(["--run", str(copy), "a.wav"]) == 2
        assert message in one_line(capsys)


def stop_after_one_epoch(monkeypatch, error):
    from tfpipeline.training.selection import Selection

    save = Selection.save

    def stop(self):
        save(self)
        raise error

    monkeypatch.setattr(Selection, "save", stop)


def same_losses(folder, other):
    one, two = (pd.read_csv(run / "history.csv")["loss"] for run in (folder, other))
    np.testing.assert_allclose(one, two, rtol=1e-4)


def test_a_killed_run_is_resumed(tmp_path, monkeypatch, capsys, run):
    target = tmp_path / "killed"
    with monkeypatch.context() as patched:
        stop_after_one_epoch(patched, SystemExit("killed"))
        with pytest.raises(SystemExit):
            train.main([*TINY, "--run", str(target)])
    assert not target.exists()
    other = [*TINY, "--set", "training.epochs=3", "--run", str(target), "--resume"]
    assert train.main(other) == 2
    assert "--resume needs the same config" in one_line(capsys)
    assert train.main([*TINY, "--run", str(target), "--resume"]) == 0
    same_losses(target, run)
    assert {path.name for path in target.iterdir()} == CONTENTS - {"serving"}


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_run_that_can_be_resumed(tmp_path, monkeypatch, capsys, run):
    target = tmp_path / "interrupted"
    with monkeypatch.context() as patched:
        stop_after_one_epoch(patched, KeyboardInterrupt)
        assert train.main([*TINY, "--run", str(target)]) == 130
    assert "--resume" in capsys.readouterr().err
    assert {path.name for path in target.iterdir()} == {*CONTENTS, "checkpoint.npz"} - {"serving"}
    file = read_scores(target / "scores.csv")["path"][0]
    assert predict.main(["--run", str(target), file]) == 0
    assert train.main([*TINY, "--run", str(target)]) == 2  # not replaced unasked
    assert train.main([*TINY, "--run", str(target), "--resume"]) == 0
    same_losses(target, run)
    assert {path.name for path in target.iterdir()} == CONTENTS - {"serving"}


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_can_be_resumed(tmp_path, monkeypatch, capsys, run):
    target = tmp_path / "full"
    with monkeypatch.context() as patched:
        stop_after_one_epoch(patched, OSError(28, "No space left on device"))
        assert train.main([*TINY, "--run", str(target)]) == 2
    assert "No space left on device" in one_line(capsys)
    assert not target.exists()
    assert train.main([*TINY, "--run", str(target), "--resume"]) == 0
    same_losses(target, run)


def test_bad_clips_are_listed_or_stop_the_run(tmp_path, capsys, tiny_corpus, monkeypatch):
    (tmp_path / "bad.wav").write_text("no audio")
    clips = tiny_corpus.copy()
    row = clips.index[(clips["part"] == "train") & (clips["attack"] == "world")][0]
    clips.loc[row, "path"] = str(tmp_path / "bad.wav")
    monkeypatch.setitem(CORPORA, "tiny", lambda path, split: clips)
    target = tmp_path / "run"
    argv = [*TINY, "--set", "training.epochs=1", "--run", str(target)]
    assert train.main(argv) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "These figures do not tell how the model performs on other generators" in table
    assert "unseen" in table
    skipped = pd.read_csv(target / "skipped.csv")
    assert list(skipped["path"]) == [str(tmp_path / "bad.wav")]
    assert "cannot be decoded" in skipped["reason"][0]
    assert str(tmp_path / "bad.wav") not in set(read_scores(target / "scores.csv")["path"])
    clips.loc[clips["attack"] == "world", "path"] = [
        str(tmp_path / f"absent{number}.wav") for number in range(7)
    ]
    assert train.main([*argv, "--overwrite"]) == 2
    assert "at most 5% of the clips may be unusable" in one_line(capsys)
    assert (target / "metrics.json").exists()
