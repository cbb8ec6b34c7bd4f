"""Training on tables whose parts are not as they should be: overlapping, or without a test part."""

import json

from tfpipeline import evaluate, train
from tfpipeline.data.clips import write_manifest
from tfpipeline.files.atomic import write_json

SMALL = ["--model", "gaussian_nb", "--set", "data.unseen_attacks=[]"]
SMALL += ["--set", "features.set=baseline"]


def written(folder, clips):
    write_manifest(folder / "clips.csv", clips)
    return f"manifest:{folder / 'clips.csv'}"


def test_speakers_that_overlap_are_a_note_if_allowed(tmp_path, tiny_corpus, capsys, monkeypatch):
    monkeypatch.setattr("tfpipeline.workflows.complete.export_version", lambda *arguments: None)
    clips = tiny_corpus.copy()
    speaker = clips.loc[clips["part"] == "train", "speaker"].iloc[0]
    tested = clips["part"] == "test"
    clips.loc[tested, "speaker"] = speaker
    argv = [*SMALL, "--data", written(tmp_path, clips), "--run", str(tmp_path / "run")]
    assert train.main(argv) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"Received: {speaker} in test, train" in error
    assert "--allow-overlap" in error
    assert train.main([*argv, "--allow-overlap"]) == 0
    note = (
        "1 values of speaker overlap between splits (data.allow_overlap lets them): the figures "
        "say little of a new speaker"
    )
    assert note in json.loads((tmp_path / "run" / "metrics.json").read_text())["notes"]
    assert note in (tmp_path / "run" / "report.html").read_text()
    assert "allow_overlap: true" in (tmp_path / "run" / "config.yaml").read_text()


def test_without_a_test_part_a_run_is_complete_and_says_so(tmp_path, tiny_corpus, capsys):
    learnt = tiny_corpus[tiny_corpus["part"] != "test"]
    tested = tiny_corpus[tiny_corpus["part"] == "test"]
    write_manifest(tmp_path / "tested.csv", tested.assign(part="-"))
    run = tmp_path / "run"
    data = written(tmp_path, learnt)
    test = f"manifest:{tmp_path / 'tested.csv'}"
    assert train.main([*SMALL, "--data", data, "--run", str(run), "--test", test]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert list(metrics["parts"]) == ["train", "validation"]
    assert metrics["threshold"]["part"] == "validation"
    assert "there is no test part, so there is nothing to report on test" in metrics["notes"]
    assert "nothing to report on test" in (run / "report.html").read_text()
    (checked,) = run.glob("serving/1/assets.extra/checked.json")
    assert json.loads(checked.read_text())["checked"]
    assert "nothing to report on test" in " ".join(capsys.readouterr().out.split())
    # An evaluation of the run's own scores writes both anew, and keeps what training said.
    write_json(run / "metrics.json", {**metrics, "notes": []})
    assert evaluate.main(["--run", str(run)]) == 0
    again = json.loads((run / "metrics.json").read_text())
    assert again["notes"] == metrics["notes"]
    assert "nothing to report on test" in (run / "report.html").read_text()
    (other,) = run.glob("evaluations/*/metrics.json")
    counted = json.loads(other.read_text())["parts"]["all"]
    assert counted["n_bonafide"] == (tested["label"] == "bonafide").sum()
