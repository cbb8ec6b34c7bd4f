"""The classifiers as a user trains, explains, evaluates and serves them, on a small real corpus."""

import json
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf

from tfpipeline import evaluate, export, predict, train
from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.audio.decode import decode
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.corpora import CORPORA
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.models.classical.arrays import load_arrays
from tfpipeline.models.classical.fitting import CLASSIFIERS
from tfpipeline.models.classical.graph import log_odds
from tfpipeline.models.detector import ClipScorer
from tfpipeline.models.families import FAMILIES
from tfpipeline.runs.run import load_detector, open_run
from tfpipeline.training.fit_classical import fit_on_features, training_features

TINY = ["--data", "tiny", "--set", "data.unseen_attacks=[hifigan]"]
pytestmark = pytest.mark.usefixtures("tiny_in_the_table", "quick_audit")
CONTENTS = {
    "config.yaml",
    "environment.json",
    "trees.npz",
    "importances.csv",
    "calibration.json",
    "scores.csv",
    "metrics.json",
    "skipped.csv",
    "figures",
    "serving",
    "report.html",
    "audit.json",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_in_the_table, quick_audit):
    """Complete runs of two kinds out of one `--model trees`, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "trees"
    with mock.patch.dict(FAMILIES):
        for name in CLASSIFIERS:
            if name not in ("lightgbm", "histgb"):
                del FAMILIES[name]
        assert train.main(["--model", "trees", *TINY, "--run", str(folder)]) == 0
    return folder


def one_line(capsys):
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_each_run_is_complete(runs):
    assert {path.name for path in runs.iterdir()} == {".partial", "lightgbm", "histgb"}
    for name, more in (("lightgbm", {"lightgbm.txt"}), ("histgb", set())):
        assert {path.name for path in (runs / name).iterdir()} == CONTENTS | more
        environment = json.loads((runs / name / "environment.json").read_text())
        assert environment["fit_seconds"] > 0
        assert environment["versions"]["lightgbm"] == "4.7.0"
        importances = pd.read_csv(runs / name / "importances.csv")
        assert set(importances["kind"]) == {"group", "feature"}
        assert (importances["kind"] == "feature").sum() == 155


def test_the_report_tells_what_it_leans_on_and_why(runs):
    page = (runs / "lightgbm" / "report.html").read_text()
    assert "What it leans on" in page
    assert "towards human:" in page
    assert "towards human:" not in (runs / "histgb" / "report.html").read_text()


def test_prediction_and_the_exported_graph_equal_the_runs_scores(runs, capsys):
    for name in ("lightgbm", "histgb"):
        scores = read_scores(runs / name / "scores.csv").set_index("path")
        files = list(scores.index[:3])
        assert predict.main(["--run", str(runs / name), "--json", *files]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        loaded = tf.saved_model.load(str(runs / name / "serving" / "1"))
        for file, row in zip(files, rows, strict=True):
            assert row["score"] == pytest.approx(scores.loc[file, "score"], abs=1e-4)
            answer = loaded.signatures["serving_default"](waveform=decode(file).waveform[None])
            assert answer["score"].numpy()[0] == pytest.approx(row["score"], abs=1e-4)
            assert answer["probability"].numpy()[0] == pytest.approx(row["probability"], abs=1e-4)


def test_no_row_crosses_a_threshold_between_waveform_and_score(runs, tiny_corpus):
    """Features of a batch of all, as the model was fitted on, against a graph of one clip."""
    run = open_run(runs / "lightgbm")
    clips, audio, _ = open_audio(tiny_corpus, "memory")
    features = training_features(run.config, clips.assign(part="train"), audio)
    rows = features.drop(columns=["clip", "window"]).to_numpy(np.float64)
    expected = log_odds(load_arrays(run.folder / "trees.npz"), rows).numpy()
    detector = load_detector(run)
    alone = ClipScorer(detector.model, detector.window, batch_size=1).score_clips(audio)
    crossed = np.abs(alone - expected) > 1e-5
    assert crossed.mean() <= 0.001, f"{crossed.sum()} of {len(crossed)}"


def test_explanations_sum_to_the_score(runs, tiny_corpus, capsys):
    file = str(tiny_corpus["path"][0])
    assert predict.main(["--run", str(runs / "lightgbm"), "--explain", "--json", file]) == 0
    row = json.loads(capsys.readouterr().out)
    total = row["base"] + sum(own["contribution"] for own in row["contributions"])
    assert total == pytest.approx(row["score"], abs=1e-3)
    assert len(row["contributions"]) == 155
    sizes = [abs(own["contribution"]) for own in row["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    assert predict.main(["--run", str(runs / "lightgbm"), "--explain", file]) == 0
    assert "before any feature" in capsys.readouterr().out
    assert predict.main(["--run", str(runs / "histgb"), "--explain", file]) == 2
    assert "scores can be taken apart of lightgbm, catboost" in one_line(capsys)


def test_a_long_clip_is_explained_as_it_is_scored(runs, speech, tmp_path, capsys):
    soundfile.write(tmp_path / "long.wav", speech[:3].ravel()[:150_000], 16_000)
    argv = ["--run", str(runs / "lightgbm"), "--explain", "--json", str(tmp_path / "long.wav")]
    assert predict.main(argv) == 0
    row = json.loads(capsys.readouterr().out)
    total = row["base"] + sum(own["contribution"] for own in row["contributions"])
    assert total == pytest.approx(row["score"], abs=1e-3)


@pytest.mark.slow  # test_evaluate has one of networks
def test_a_leaderboard_of_several(runs, tmp_path, capsys):
    names = [str(runs / name) for name in ("lightgbm", "histgb")]
    assert evaluate.main(["--run", *names, "--out", str(tmp_path / "out"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {own["run"] for own in content["runs"]} == {"lightgbm", "histgb"}
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow  # serving/test_exporting has it of a network
def test_export_alone_writes_the_next_version(runs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs / "histgb", copy)
    assert export.main(["--run", str(copy)]) == 0
    assert (copy / "serving" / "2" / "saved_model.pb").exists()


def test_damaged_and_foreign_files_are_refused(runs, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(runs / "lightgbm", copy)
    predicting = ["--run", str(copy), "--explain", "a.wav"]
    (copy / "lightgbm.txt").write_text("tree\nversion=v4\n")
    assert predict.main(predicting) == 2
    assert "expected the model file that training kept" in one_line(capsys)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("set: selected", "set: baseline"))
    assert predict.main(predicting) == 2
    assert "the model must take the 132 features of the set baseline" in one_line(capsys)
    (copy / "config.yaml").write_text(config)
    shutil.copy(runs / "lightgbm" / "scores.csv", copy / "trees.npz")
    assert predict.main(predicting) == 2
    assert "expected the arrays of a fitted model" in one_line(capsys)


def test_bad_usage_is_one_line_and_nothing_is_lost(
    runs, capsys, tmp_path, tiny_corpus, monkeypatch
):
    one_class = tiny_corpus.copy()
    one_class = one_class[(one_class["label"] == "spoof") | (one_class["part"] != "train")]
    monkeypatch.setitem(CORPORA, "one", lambda path, split: one_class.reset_index(drop=True))
    new = ["--run", str(tmp_path / "new")]
    cases = [
        (["--model", "trees", *TINY, "--resume"], "does not take --resume"),
        (["--model", "lightgbm", *TINY, "--run", str(runs / "lightgbm")], "--overwrite"),
        (["--model", "lightgbm", *TINY, *new, "--set", "model.max_iter=3"], "model.max_iter"),
        (["--model", "lightgbm", *TINY, *new, "--set", "features.set=most"], "features.set"),
        (["--model", "lightgbm", *TINY, *new, "--set", "model.name=svm"], "model.name must be one"),
        (["--model", "lightgbm", *TINY, *new, "--set", "data.window_seconds=0.1"], "2048 samples"),
        (["--model", "lightgbm", *new, *(own.replace("tiny", "one") for own in TINY)], "the train"),
    ]
    for argv, message in cases:
        assert train.main(argv) == 2, argv
        assert message in one_line(capsys), argv
    assert (runs / "lightgbm" / "metrics.json").exists()
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def opened(tiny_corpus):
    """The tiny corpus: clips, and features of its train and validation parts."""
    clips, audio, _ = open_audio(tiny_corpus, "memory")
    return clips, training_features(load_config(CONFIGS / "histgb.yaml"), clips, audio)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_config_fits(name, opened, tmp_path):
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.model.name == config.name == name
    assert config.features.set == "selected"
    clips, features = opened
    detector, record = fit_on_features(config, clips, features, tmp_path)
    assert record["fit_seconds"] > 0
    rows = features.drop(columns=["clip", "window"]).to_numpy(np.float32)
    assert np.isfinite(detector.body(rows).numpy()).all()
