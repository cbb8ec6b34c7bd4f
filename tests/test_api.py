"""The front door: `import tfpipeline as tfp`."""

import doctest
import itertools
import subprocess
import sys

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.metrics import roc_auc_score
from tiny import TINY

import tfpipeline as tfp
from tfpipeline import api, config, predict
from tfpipeline.features import mel
from tfpipeline.prediction import detector as detector_module

SETTINGS = [value for flag, value in itertools.pairwise(TINY) if flag == "--set"]


@pytest.fixture(scope="module")
def detector(tiny_run):
    return tfp.load(tiny_run)


@pytest.fixture(scope="module")
def clip(tmp_path_factory, speech):
    path = tmp_path_factory.mktemp("api") / "clip.wav"
    soundfile.write(path, np.concatenate([*speech[:2]]), 16_000, subtype="FLOAT")
    return path


def test_import_is_light_and_names_resolve():
    code = (
        "import sys, tfpipeline as tfp\n"
        "heavy = {'tensorflow', 'keras', 'pandas', 'numpy', 'sklearn', 'librosa'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert set(tfp.__all__) <= set(dir(tfp))\n"
        "assert all(getattr(tfp, name) for name in tfp.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        tfp.lode  # noqa: B018


def test_a_path_bytes_and_a_waveform_get_one_verdict(detector, clip, tiny_run, capsys):
    verdicts = [
        detector.predict(clip),
        detector.predict(str(clip)),
        detector.predict(clip.read_bytes()),
        detector.predict(soundfile.read(clip)),
    ]
    assert len({(v.label, v.score, v.probability, v.seconds) for v in verdicts}) == 1
    own = verdicts[0]
    assert own.score == pytest.approx(own.windows["score"].mean(), abs=1e-12)
    assert own.seconds == own.windows["end"].max() == 8.0
    assert predict.main(["--run", str(tiny_run), "--csv", str(clip)]) == 0
    row = pd.read_csv(pd.io.common.StringIO(capsys.readouterr().out)).iloc[0]
    assert (row["score"], row["verdict"]) == (own.score, own.label)


def test_many_files_are_the_rows_of_the_command(detector, clip, tmp_path):
    table = detector.predict_many([clip, tmp_path / "none.wav"])
    assert table["path"].tolist() == [str(clip), str(tmp_path / "none.wav")]
    assert table["score"][0] == detector.predict(clip).score
    assert table["status"].tolist()[1] == "missing"
    assert np.isnan(table["score"][1])
    assert len(detector.predict_many([])) == 0


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        ("none.wav", FileNotFoundError, "none.wav: no such file"),
        (b"no audio", ValueError, "bytes: cannot be decoded"),
        ((np.zeros(64_000), 16_000), ValueError, "waveform: silent"),
        ((np.zeros(64_000, np.int16), 16_000), ValueError, "must be floats"),
        ((np.ones((2, 64_000)), 16_000), ValueError, "Transpose it"),
        ((np.ones(64_000), 0), ValueError, "whole number of Hz"),
        (np.zeros(64_000), TypeError, "needs its sample rate"),
    ],
)
def test_what_is_no_recording_is_refused(detector, audio, error, message):
    with pytest.raises(error, match=message):
        detector.predict(audio)


def test_an_explanation_of_a_network(detector, clip):
    evidence = detector.explain(clip)
    assert evidence.evidence.shape == evidence.spectrogram.shape
    scores = detector.predict(clip).windows["score"].to_numpy()
    assert np.abs(scores - evidence.score).min() < 1e-3


def test_an_export_is_the_next_version(detector, tmp_path):
    assert detector.export(tmp_path / "served", check=False) == tmp_path / "served" / "1"
    assert detector.export(tmp_path / "served", check=False).name == "2"


def test_fit_leaves_a_run(tiny_corpus, without_export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_corpus.to_csv("clips.csv", index=False)
    clips = tfp.load_clips("clips.csv")
    assert clips.attrs["corpus"] == "manifest:clips.csv"
    run = tfp.fit("cnn", clips, run="small", epochs=1, seed=3, settings=SETTINGS)
    assert run.folder.resolve() == tmp_path / "saved_models" / "small"
    assert run.report.is_file()
    scores = run.scores[run.scores["part"].isin(["train"])]
    auc = roc_auc_score(scores["label"] == "spoof", scores["score"])
    assert run.metrics["parts"]["train"]["auc"] == pytest.approx(auc)
    config = tfp.load("small").scorer.run.config
    assert (config.seed, config.training.epochs) == (3, 1)
    assert config.data.corpus == "manifest:clips.csv"
    assert "score" in run.detector.predict(clips["path"][0]).windows
    with pytest.raises(ValueError, match="--overwrite"):
        tfp.fit("cnn", clips, run="small", epochs=1, settings=SETTINGS)


def test_scores_are_evaluated_as_scikit_learn_does():
    labels = np.random.default_rng(0).integers(0, 2, 400)
    scores = labels + np.random.default_rng(1).normal(size=400)
    found = tfp.evaluate_scores(labels, scores)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    words = np.where(labels, "spoof", "bonafide")
    assert tfp.evaluate_scores(words, scores) == found
    assert found["miss_rate"] is None
    groups = [f"s{number % 40}" for number in range(400)]
    ranged = tfp.evaluate_scores(labels, scores, threshold=0.5, groups=groups)
    assert ranged["auc_low"] < found["auc"] < ranged["auc_high"]
    assert ranged["miss_rate"] == np.mean(scores[labels == 1] < 0.5)
    with pytest.raises(ValueError, match="Received: 'fake'"):
        tfp.evaluate_scores(["fake", "bonafide"], [1, 0])
    with pytest.raises(ValueError, match="one number a clip"):
        tfp.evaluate_scores([0, 1], [1.0])


def test_log_mel_is_librosas(speech):
    own = tfp.LogMel(sample_rate=16_000, n_mels=80)(speech[:1])[0].numpy()
    mel = librosa.feature.melspectrogram(y=speech[0], sr=16_000, n_mels=80)
    np.testing.assert_allclose(own.T, librosa.power_to_db(mel), atol=0.01)


def test_what_is_missing_says_what_to_do():
    with pytest.raises(FileNotFoundError, match=r"no run in saved_models/none.*train --model cnn"):
        tfp.load("none")
    with pytest.raises(ValueError, match="a corpus must be one of"):
        tfp.load_clips("nothing")


@pytest.mark.parametrize(
    "module", [tfp, api, detector_module, mel, config], ids=lambda module: module.__name__
)
def test_the_examples_of_the_docstrings(module):
    found = doctest.testmod(module, extraglobs={"tfp": tfp, "np": np}, optionflags=doctest.ELLIPSIS)
    assert found.failed == 0
    for name in tfp.__all__:
        assert ">>>" in getattr(tfp, name).__doc__, f"{name} has no example"
