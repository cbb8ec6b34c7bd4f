"""`evaluate --robustness` on the tiny run, as a user runs it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tfpipeline import evaluate
from tfpipeline.evaluation.metrics import equal_error_rate, roc_auc
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.models.detector import ClipScorer
from tfpipeline.runs.run import open_run
from tfpipeline.workflows import robustness
from tfpipeline.workflows.other_corpus import judge_own, seen_paths
from tfpipeline.workflows.robustness import untouched_clips

pytestmark = pytest.mark.usefixtures("tiny_in_the_table")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_run):
    folder = tmp_path_factory.mktemp("runs") / "one"
    shutil.copytree(tiny_run, folder)
    return folder


@pytest.fixture(scope="module")
def content(run):
    """The content of `robustness.json` after two commands, the second of which adds a kind."""
    assert evaluate.main(["--run", str(run), "--robustness", "trim,vorbis"]) == 0
    assert evaluate.main(["--run", str(run), "--robustness", "trim,vorbis,noise"]) == 0
    return json.loads((run / "evaluations/tiny-robustness/robustness.json").read_text())


def test_the_clean_cell_is_what_evaluate_says(run, content):
    metrics = json.loads((run / "metrics.json").read_text())
    clean = content["cells"][0]
    assert clean["kind"] == "clean"
    assert set(clean["parts"]) == {"test", "unseen"}
    for part, own in clean["parts"].items():
        for name in ("auc", "eer", "miss_rate", "false_alarm_rate", "n_bonafide", "n_spoof"):
            assert own[name] == pytest.approx(metrics["parts"][part][name], abs=1e-12), name
        assert own["auc_change"] == own["eer_change"] == 0


def test_cells_follow_from_the_kept_scores(run, content):
    names = [f"{cell['kind']} {cell['strength']}".strip() for cell in content["cells"]]
    assert names[0] == "clean"
    assert names[1:3] == ["vorbis 64 kbit/s", "vorbis 32 kbit/s"]
    assert sum(name.startswith("noise") for name in names) == 5
    labels = read_scores(run / "scores.csv").set_index("clip_id")
    folder = run / "evaluations/tiny-robustness/robustness-scores"
    clean = pd.read_csv(folder / "clean.csv").set_index("clip_id")["score"]
    for cell, file in (
        (content["cells"][2], "vorbis_32_kbit_s"),
        (content["cells"][-1], "trim_0.5_s"),
    ):
        scores = pd.read_csv(folder / f"{file}.csv").set_index("clip_id")["score"]
        assert not np.allclose(scores, clean)
        tested = labels.loc[scores.index, "part"] == "test"
        spoof = (labels.loc[scores.index, "label"] == "spoof")[tested].to_numpy().astype(int)
        own = cell["parts"]["test"]
        assert own["auc"] == pytest.approx(roc_auc(spoof, scores[tested].to_numpy()))
        assert own["eer"] == pytest.approx(equal_error_rate(spoof, scores[tested].to_numpy()))
        assert own["auc_change"] == own["auc"] - content["cells"][0]["parts"]["test"]["auc"]
        assert cell["lost"] == 0


def test_what_is_kept_is_not_scored_again(run, content, monkeypatch, capsys):
    def score(*_):
        raise AssertionError("scored again")

    with monkeypatch.context() as patch:
        patch.setattr(ClipScorer, "score_clips", score)
        assert evaluate.main(["--run", str(run), "--robustness", "noise", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [own for own in content["cells"] if own["kind"] in ("clean", "noise")] == again["cells"]
    # Another state of the run: nothing kept counts.
    calibration = json.loads((run / "calibration.json").read_text())
    changed = run.parent / "changed"
    shutil.copytree(run, changed)
    (changed / "calibration.json").write_text(json.dumps({**calibration, "b": 1.5}))
    scored = []
    monkeypatch.setattr(
        ClipScorer,
        "score_clips",
        lambda self, audio: scored.append(1) or np.arange(audio.n_clips) / 7,
    )
    assert evaluate.main(["--run", str(changed), "--robustness", "trim"]) == 0
    assert len(scored) == 3


def test_table_picture_and_page(run, content, capsys):
    assert evaluate.main(["--run", str(run), "--robustness", "trim,noise"]) == 0
    printed = capsys.readouterr().out
    assert "degradation" in printed
    assert "15 dB" in printed
    folder = run / "evaluations/tiny-robustness"
    assert (folder / "robustness.png").read_bytes()[:4] == b"\x89PNG"
    page = (folder / "report.html").read_text()
    assert "Degraded recordings" in page
    assert 'alt="AUC by degradation"' in page


def test_only_clips_that_the_run_did_not_see(run, tiny_corpus, monkeypatch):
    opened = open_run(run)
    clips = untouched_clips(opened, "tiny")
    assert set(clips["part"]) == {"test", "unseen"}
    own = read_scores(run / "scores.csv").set_index("path")["part"]
    assert (own.loc[clips["path"]].to_numpy() == clips["part"].to_numpy()).all()
    foreign = tiny_corpus.assign(path="elsewhere/" + tiny_corpus["clip_id"])
    monkeypatch.setattr(robustness, "load_whole", lambda name: foreign)
    assert len(untouched_clips(opened, "tiny")) == len(tiny_corpus)
    seen = tiny_corpus[tiny_corpus["path"].map(own).isin(["train"])]
    monkeypatch.setattr(robustness, "load_whole", lambda name: seen)
    with pytest.raises(ValueError, match=r"not trained on\. Received: tiny, all of"):
        untouched_clips(opened, "tiny")


def test_a_run_without_its_scores_goes_by_the_name_of_its_corpus(
    run, tiny_corpus, tmp_path, monkeypatch
):
    shutil.copytree(run, tmp_path / "shipped", ignore=shutil.ignore_patterns("scores.csv"))
    shipped = open_run(tmp_path / "shipped")
    monkeypatch.setattr(robustness, "load_whole", lambda name: tiny_corpus)
    assert len(untouched_clips(shipped, "other")) == len(tiny_corpus)
    (own,) = shipped.config.data.corpora
    kept = tiny_corpus["part"].isin(["test", "unseen"]).sum()
    assert len(untouched_clips(shipped, own)) == kept > 0
    assert len(seen_paths(shipped)) == 0
    with pytest.raises(ValueError, match=r"Received: shipped, which comes without scores\.csv"):
        judge_own(shipped)


def test_a_codec_that_is_not_there_is_left_out_with_a_note(run, content, monkeypatch, capsys):
    def none(waveform, name):
        raise ValueError("no such encoder")

    monkeypatch.setattr(robustness, "through_codec", none)
    assert evaluate.main(["--run", str(run), "--robustness", "opus", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [cell["kind"] for cell in found["cells"]] == ["clean"]
    assert found["notes"][0] == "opus 32 kbit/s is left out: no such encoder"


def test_bad_usage_is_one_line(run, capsys):
    one = str(run)
    for argv, message in (
        (["--run", one, "--robustness", "hum"], "Received: 'hum'"),
        (["--run", one, one, "--robustness"], "--robustness takes one --run"),
        (["--run", one, "--robustness", "--by", "codec"], "--by codec"),
        (["--run", one, "--robustness", "--matrix"], "one of these at a time"),
    ):
        assert evaluate.main(argv) == 2, argv
        assert message in capsys.readouterr().err
