"""Exports of a run: checked before they get their name, numbered onward, whole or absent."""

import json
import shutil
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfpipeline import export
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.runs.run import load_detector, open_run
from tfpipeline.serving import checks as export_check
from tfpipeline.serving.checks import check_export
from tfpipeline.serving.contract import EXTRA, SIGNATURES, read_contract
from tfpipeline.serving.savedmodel import (
    WARMUP,
    check_core_ops,
    export_version,
    versions,
    warmup_requests,
)


@pytest.fixture
def copy(tiny_run, tmp_path):
    """The run, free to be spoilt."""
    return shutil.copytree(tiny_run, tmp_path / "tiny")


def one_line(capsys):
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_an_export_is_whole(tiny_run):
    version = tiny_run / "serving" / "1"
    assert {"saved_model.pb", "variables", EXTRA} <= {path.name for path in version.iterdir()}
    contract = read_contract(version)
    assert contract["name"] == "tiny"
    assert contract["threshold"]["value"] == open_run(tiny_run).threshold
    loaded = tf.saved_model.load(str(version))
    assert set(loaded.signatures) == set(SIGNATURES)
    told = loaded.signatures["contract"](request=tf.constant(["", ""]))["contract"].numpy()
    assert [json.loads(text) for text in told] == [contract] * 2
    for name, own in SIGNATURES.items():
        function = loaded.signatures[name]
        assert set(function.structured_input_signature[1]) == set(own["inputs"])
        assert set(function.structured_outputs) == set(own["outputs"])
    assert {"RFFT", "Conv2D", "MatMul"} <= check_core_ops(version)


def test_the_check_says_what_it_compared(tiny_run):
    checked = json.loads((tiny_run / "serving" / "1" / EXTRA / "checked.json").read_text())
    assert checked["checked"] is True
    assert checked["clips"] == len(read_scores(tiny_run / "scores.csv")) == 23
    assert checked["largest_difference"] <= 1e-4
    assert checked["crossed"] == 0


def test_the_check_holds_few_waveforms_at_once(tiny_run, monkeypatch):
    decode, waveforms, alive = export_check.decode, [], []

    def counted(path):
        clip = decode(path)
        waveforms.append(weakref.ref(clip.waveform))
        alive.append(sum(own() is not None for own in waveforms))
        return clip

    monkeypatch.setattr(export_check, "decode", counted)
    monkeypatch.setattr(export_check, "BATCH", 2)
    checked = export_check.check_export(open_run(tiny_run), tiny_run / "serving" / "1")
    assert checked.clips == len(alive) == 23
    # Those of the first batch, of the last one, and of the one that is being read.
    assert max(alive) <= 3 * 2


def test_warmup_requests_are_answered(tiny_run):
    version = tiny_run / "serving" / "1"
    loaded = tf.saved_model.load(str(version))
    records = list(tf.data.TFRecordDataset(str(version / EXTRA / WARMUP)).as_numpy_iterator())
    assert len(records) == len(warmup_requests(64_000)) <= 1000
    seen = set()
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        assert request.model_spec.name == "tiny"
        signature = request.model_spec.signature_name
        seen.add(signature)
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        answer = loaded.signatures[signature](**inputs)
        if "score" in answer:
            assert np.isfinite(answer["score"].numpy()).all()
    assert seen == set(SIGNATURES)


def test_versions_are_numbered_onward_and_never_replaced(copy):
    detector = load_detector(open_run(copy))
    base = copy / "serving"
    (base / "7").mkdir()
    (base / "notes").mkdir()
    version, _ = export_version(open_run(copy), detector, base, check=False)
    assert version.name == "8"
    assert versions(base) == [1, 7, 8]
    assert not list(base.glob(".partial*"))


def test_scores_that_are_not_the_runs_are_refused(copy, capsys):
    said = read_scores(copy / "scores.csv")
    changed = said.copy()
    changed.loc[changed.index[-1], "score"] += 3e-4  # not among those that go through all
    changed.to_csv(copy / "scores.csv", index=False)
    with pytest.raises(ValueError, match=r"what the run said, to 0\.0001 in log-odds"):
        check_export(open_run(copy), copy / "serving" / "1")
    said.loc[0, "score"] += 3e-4
    said.to_csv(copy / "scores.csv", index=False)
    assert export.main(["--run", str(copy)]) == 2
    assert "an export must say what the run said, to 0.0001 in log-odds" in one_line(capsys)
    assert versions(copy / "serving") == [1]
    assert not list((copy / "serving").glob(".partial*"))


def test_without_the_clips_it_is_refused_or_says_so(copy, capsys):
    table = read_scores(copy / "scores.csv")
    table.assign(path=[f"gone/{i}.wav" for i in range(len(table))]).to_csv(
        copy / "scores.csv", index=False
    )
    with pytest.raises(FileNotFoundError, match=r"none of the 23 files in scores\.csv is here"):
        check_export(open_run(copy), copy / "serving" / "1")
    assert export.main(["--run", str(copy), "--unchecked"]) == 0
    assert "NOT checked" in capsys.readouterr().out
    checked = json.loads((copy / "serving" / "2" / EXTRA / "checked.json").read_text())
    assert checked == {"checked": False}


def test_a_serving_root(copy, tmp_path, capsys):
    root = tmp_path / "root"
    argv = ["--run", str(copy), "--serving-root", str(root)]
    assert export.main([*argv, "--unchecked"]) == 0
    assert "tiny: stable = version 1" in capsys.readouterr().out
    assert export.main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["labels"] == {"tiny": {"stable": 1, "canary": 2}}
    assert result["checked"] is True
    assert {path.name for path in root.iterdir()} == {
        "tiny",
        "models.config",
        "batching.config",
        "monitoring.config",
        "compose.yaml",
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--run", "a", "b", "--to", "x"], "--to takes one run"),
        (["--run", "a", "--promote"], "--promote labels versions in a --serving-root"),
        (["--run", "nonesuch"], "no run in saved_models/nonesuch"),
    ],
)
def test_bad_usage(argv, message, capsys):
    assert export.main(argv) == 2
    assert message in one_line(capsys)
