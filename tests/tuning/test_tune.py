"""The search command as a user runs it, on a small real corpus."""

import gc
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from tensorflow.python.framework.func_graph import FuncGraph

from tfpipeline import train, tune
from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.training.selection import Selection
from tfpipeline.tuning import trial as trials
from tfpipeline.tuning.objective import Objective, grouped_folds
from tfpipeline.tuning.records import best_record, read_records, record_path
from tfpipeline.tuning.trial import TrialContext, judge_on_validation
from tfpipeline.workflows import tune as workflow

TINY = ["--data", "tiny", "--set", "data.unseen_attacks=[hifigan]"]
SMALL_CNN = [
    *TINY,
    "--model",
    "cnn",
    "--set",
    "training.batch_size=4",
    "--set",
    "data.crop_seconds=1",
    "--set",
    "model.channels=[4, 8]",
    "--set",
    "mel.n_mels=32",
]
pytestmark = pytest.mark.usefixtures("tiny_in_the_table", "without_export")
TREES = [*TINY, "--model", "lightgbm", "--set", "features.set=baseline", "--folds", "3"]


@pytest.fixture(scope="module")
def bench(tiny_corpus):
    clips = hold_out_attacks(tiny_corpus, ["hifigan"])
    clips = clips[clips["part"].isin(["train", "validation"])].reset_index(drop=True)
    clips, audio, _ = open_audio(clips, "memory")
    return TrialContext(clips, audio, Objective("auc", "max"), folds=3)


def space_file(folder, space, **settings):
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump({**settings, "space": space}))
    return str(path)


def test_what_train_accepts_can_be_tuned(tmp_path):
    """A split clip by clip shares speakers, as it was asked to; so do the `indictts_*` configs."""
    space = space_file(tmp_path, {"model.learning_rate": {"float": [0.01, 0.3]}})
    argv = [*TREES, "--space", space, "--algorithm", "random", "--max-trials", "1", "--folds", "0"]
    argv += ["--set", "data.split={rule: random}", "--run", str(tmp_path / "search")]
    assert tune.main(argv) == 0
    assert (tmp_path / "search" / "best.yaml").exists()


@pytest.fixture(scope="module")
def searched(tmp_path_factory, tiny_in_the_table):
    """A complete small search over LightGBM, some of whose trials fail, and then trained."""
    folder = tmp_path_factory.mktemp("search")
    space = space_file(
        folder,
        {
            "model.learning_rate": {"float": [0.01, 0.3], "log": True},
            "model.min_child_samples": {"int": [1, 3]},
            # Too short for the features, which only the trial finds out.
            "data.window_seconds": {"choice": [2.0, 0.05]},
        },
    )
    argv = [*TREES, "--space", space, "--algorithm", "random", "--max-trials", "6"]
    seen = []
    patch = pytest.MonkeyPatch()
    opened = workflow.open_audio
    patch.setattr(
        workflow, "open_audio", lambda clips, *how: seen.append(clips) or opened(clips, *how)
    )
    try:
        assert tune.main([*argv, "--run", str(folder / "run")]) == 0
    finally:
        patch.undo()
    return folder / "run", argv, seen


def test_a_search_leaves_its_files(searched):
    folder, _, _ = searched
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "plan.json",
        "trials",
        "trials.csv",
        "figures",
        "best.yaml",
        "search.json",
        "compared",
    }
    for name in ("objective.png", "parameters.png"):
        assert (folder / "figures" / name).read_bytes().startswith(b"\x89PNG")


def test_failed_trials_are_counted_and_shown_with_their_error(searched):
    folder, _, _ = searched
    table = pd.read_csv(folder / "trials.csv", dtype={"trial": str})
    failed = table[table["status"] == "failed"]
    short = table["data.window_seconds"] == 0.05
    assert short.any()
    assert (failed.index == table.index[short]).all()
    assert failed["error"].str.contains("a window must have").all()
    assert failed["objective"].isna().all()
    summary = json.loads((folder / "search.json").read_text())
    assert summary["trials"] == {"completed": 6 - len(failed), "failed": len(failed)}
    record = json.loads(record_path(folder, failed["trial"].iloc[0]).read_text())
    assert record["traceback"].startswith("Traceback (most recent call last)")


def test_a_search_never_ends_below_its_start(searched):
    folder, _, _ = searched
    summary = json.loads((folder / "search.json").read_text())
    chosen = summary["start"] if summary["chosen"] == "start" else summary["best"]
    assert summary["chosen_on"] == "folds"
    assert chosen["folds"]["auc"] >= summary["start"]["folds"]["auc"]


def test_no_clip_of_a_test_part_is_opened(searched, bench, tiny_corpus):
    _, _, seen = searched
    assert [set(clips["part"]) for clips in seen] == [{"train", "validation"}]
    with pytest.raises(ValueError, match=r"train and validation alone\. Received: clips of test"):
        TrialContext(hold_out_attacks(tiny_corpus, ["hifigan"]), bench.audio, bench.objective)


def test_best_yaml_trains_to_what_the_search_saw(searched, tmp_path):
    """A classifier is deterministic: the same validation figures, to the last digits."""
    folder, _, _ = searched
    summary = json.loads((folder / "search.json").read_text())
    argv = ["--config", str(folder / "best.yaml"), "--run", str(tmp_path / "run")]
    assert train.main(argv) == 0
    own = summary["start"] if summary["chosen"] == "start" else summary["best"]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("auc", "eer", "min_cllr", "brier"):
        assert metrics["parts"]["validation"][name] == pytest.approx(
            own["validation"][name], abs=1e-4
        )


def test_resuming_a_complete_search_with_a_larger_budget(searched, capsys):
    folder, argv, _ = searched
    before = {own.trial: own for own in read_records(folder)}
    more = [*argv[:-1], "8", "--run", str(folder), "--resume", "--json"]
    assert tune.main(more) == 0
    summary = json.loads(capsys.readouterr().out)
    assert sum(summary["trials"].values()) == 8
    after = {own.trial: own for own in read_records(folder)}
    assert len(after) == 9
    for trial, record in before.items():
        assert after[trial] == record


def test_bad_usage_is_one_line_and_nothing_is_lost(searched, capsys, tmp_path, monkeypatch):
    folder, argv, _ = searched
    cases = [
        ([*argv, "--run", str(folder)], "--overwrite"),
        ([*argv, "--run", str(tmp_path / "none"), "--resume"], "--resume needs a stopped search"),
        ([*argv, "--run", str(folder), "--resume", "--seed", "3"], "config seed 3"),
        ([*argv, "--algorithm", "hyperband", "--run", str(tmp_path / "x")], "hyperband"),
        ([*argv, "--objective", "f1", "--run", str(tmp_path / "x")], "must be one of auc"),
        ([*argv, "--folds", "2", "--run", str(tmp_path / "y")], "at least 3"),
        ([*argv, "--worker", "w1", "--run", str(tmp_path / "x")], "--worker needs the chief"),
        ([*argv, "--chief", "here", "--run", str(tmp_path / "x")], "HOST:PORT"),
        (
            [*argv, "--chief", "127.0.0.1:9", "--worker", "chief2", "--run", str(tmp_path / "x")],
            "without 'chief' in it",
        ),
    ]
    for own, message in cases:
        assert tune.main(own) == 2, own
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ")
        assert message in error
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    assert tune.main([*argv, "--run", str(tmp_path / "z")]) == 2
    assert "--chief HOST:PORT" in capsys.readouterr().err
    assert (folder / "best.yaml").exists()


def test_a_search_in_which_nothing_completes_fails(tmp_path, capsys):
    """More failures in a row than keras-tuner's three; then an exit code that is not 0."""
    space = space_file(
        tmp_path,
        {
            "data.window_seconds": {"choice": [0.05, 0.06]},
            "model.learning_rate": {"float": [0.01, 0.3]},
        },
    )
    run = tmp_path / "run"
    argv = [*TREES, "--space", space, "--max-trials", "5", "--run", str(run)]
    assert tune.main(argv) == 2
    error = capsys.readouterr().err
    assert "no trial completed" in error.splitlines()[-1]
    assert error.count("FAILED") == 5
    assert not (run / "best.yaml").exists()
    assert len(pd.read_csv(run / "trials.csv")) == 6


@pytest.fixture(scope="module")
def pruned(tmp_path_factory, tiny_in_the_table):
    """A complete small Hyperband search over the CNN."""
    folder = tmp_path_factory.mktemp("pruned")
    rates = {"float": [1e-3, 1e-1], "log": True}
    space = space_file(folder, {"training.learning_rate": rates}, factor=2)
    argv = [
        *SMALL_CNN,
        "--space",
        space,
        "--algorithm",
        "hyperband",
        "--max-epochs",
        "2",
        "--run",
        str(folder / "run"),
    ]
    assert tune.main(argv) == 0
    return folder / "run"


def test_hyperband_trains_its_best_trials_on(pruned):
    records = read_records(pruned)
    # Two trials of one epoch, the better one trained on; two of two epochs; and the start.
    assert sorted(own.epochs for own in records) == [1, 1, 2, 2, 2, 2]
    (second,) = [own for own in records if own.continues]
    (first,) = [own for own in records if own.trial == second.continues]
    assert first.values == second.values
    log = (pruned / "trials" / f"trial_{second.trial}" / "log.txt").read_text()
    assert [line.split()[1] for line in log.splitlines() if line.startswith("epoch")] == ["2"]
    assert not list(pruned.rglob("checkpoint.npz"))
    assert best_record(records, Objective("auc", "max")).epochs == 2


def test_a_network_that_is_trained_on_equals_one_trained_at_once(pruned, bench, tmp_path):
    (second,) = [own for own in read_records(pruned) if own.continues]
    plan = json.loads((pruned / "plan.json").read_text())
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump(plan["config"]))
    overrides = [f"{key}={value}" for key, value in second.values.items()]
    at_once = judge_on_validation(bench, load_config(path, overrides), tmp_path / "trial")
    assert at_once["epochs"] == 2
    for name in ("auc", "brier", "min_cllr"):
        assert second.figures[name] == pytest.approx(at_once[name], abs=2e-3)


def test_a_search_that_is_stopped_in_a_trial_goes_on_there(tmp_path, monkeypatch):
    space = space_file(tmp_path, {"training.learning_rate": {"float": [1e-3, 1e-1], "log": True}})
    run, save = tmp_path / "run", Selection.save
    argv = [*SMALL_CNN, "--space", space, "--max-trials", "1", "--max-epochs", "2"]
    argv += ["--algorithm", "random", "--run", str(run)]
    trial = run / "trials" / "trial_0"

    def stop_in_the_trial(self):
        save(self)
        if trial.exists():
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Selection, "save", stop_in_the_trial)
        with pytest.raises(SystemExit):
            tune.main(argv)
    before = read_records(run)
    assert [own.trial for own in before] == ["start"]
    assert (trial / "checkpoint.npz").exists()
    assert tune.main([*argv, "--resume"]) == 0
    after = {own.trial: own for own in read_records(run)}
    assert set(after) == {"start", "0"}
    assert after["start"] == before[0]
    assert after["0"].status == "completed"
    epochs = [line for line in (trial / "log.txt").read_text().splitlines() if "epoch " in line]
    assert [line.split()[1] for line in epochs] == ["1", "2"]


def test_no_graph_of_a_network_stays_behind(bench, tmp_path):
    """The step's graph is 10 MB, and was kept for each network."""

    def graphs():
        gc.collect()
        return sum(type(own) is FuncGraph for own in gc.get_objects())

    overrides = ["training.epochs=1", "training.tensorboard=false", *SMALL_CNN[7::2]]
    config = load_config(CONFIGS / "cnn.yaml", overrides)
    before = graphs()
    judge_on_validation(bench, config, tmp_path / "trial")
    assert graphs() <= before


@pytest.mark.slow
def test_a_networks_best_trial_is_compared_with_its_start_on_folds(tmp_path):
    space = space_file(tmp_path, {"training.learning_rate": {"float": [1e-3, 1e-1], "log": True}})
    argv = [*SMALL_CNN, "--space", space, "--max-trials", "1", "--max-epochs", "1", "--folds", "3"]
    assert tune.main([*argv, "--algorithm", "random", "--run", str(tmp_path / "run")]) == 0
    summary = json.loads((tmp_path / "run" / "search.json").read_text())
    assert summary["chosen_on"] == "folds"
    aucs = [summary[name]["folds"]["auc"] for name in ("start", "best")]
    assert aucs[summary["chosen"] != "start"] == max(aucs)


@pytest.mark.slow  # the search over LightGBM has it, to the last digits
def test_best_yaml_of_a_network_trains_to_what_the_search_saw(pruned, tmp_path):
    summary = json.loads((pruned / "search.json").read_text())
    argv = ["--config", str(pruned / "best.yaml"), "--run", str(tmp_path / "run")]
    assert train.main(argv) == 0
    own = summary["start"] if summary["chosen"] == "start" else summary["best"]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("auc", "brier"):
        assert metrics["parts"]["validation"][name] == pytest.approx(
            own["validation"][name], abs=0.02
        )


def test_folds_keep_speakers_apart_and_judge_each_clip_once(bench):
    judged = np.zeros(len(bench.clips), int)
    for clips in trials._fold_manifests(bench):
        assert set(clips["part"]) == {"train", "validation", "judged"}
        for column in ("speaker", "source"):
            assert (clips.groupby(column)["part"].nunique() == 1).all()
        judged += (clips["part"] == "judged").to_numpy()
    assert (judged == 1).all()
    shuffled = bench.clips.sample(frac=1, random_state=0)
    folds = pd.Series(grouped_folds(shuffled, 3, 0), shuffled.index).sort_index()
    assert (folds == grouped_folds(bench.clips, 3, 0)).all()
    with pytest.raises(ValueError, match=r"each of 9 folds by speaker needs clips of both"):
        grouped_folds(bench.clips, 9, 0)


def test_features_are_computed_once_for_each_of_their_settings(bench, monkeypatch):
    calls = []
    compute = trials.training_features
    monkeypatch.setattr(
        trials, "training_features", lambda *own: calls.append(own[0]) or compute(*own)
    )
    own = TrialContext(bench.clips, bench.audio, bench.objective)
    for overrides in ([], ["model.learning_rate=0.2"], ["data.window_seconds=2"], []):
        config = load_config(CONFIGS / "lightgbm.yaml", ["features.set=baseline", *overrides])
        own.features(config)
    assert [config.data.window_seconds for config in calls] == [4.0, 2.0]
