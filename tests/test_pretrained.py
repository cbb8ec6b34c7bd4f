"""The detector that comes with the project: it judges, is exported, and is what its card says."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

import tfpipeline as tfp
from tfpipeline import predict
from tfpipeline.data.audio.wav import wav_bytes
from tfpipeline.runs import layout

FOLDER = layout.PRETRAINED


@pytest.fixture(scope="module")
def detector():
    return tfp.load()


def test_it_judges_a_file_without_training(detector, tiny_corpus, capsys):
    path = tiny_corpus["path"].iloc[0]
    verdict = detector.predict(path)
    assert detector.name == "pretrained"
    assert verdict.label in ("bonafide", "spoof", "abstained")
    assert predict.main(["--json", path]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["score"] == pytest.approx(verdict.score, abs=1e-5)


def test_its_stricter_threshold_calls_less_fake(detector):
    offered = detector.scorer.run.thresholds
    strict = tfp.load(threshold="far1")
    assert strict.threshold == offered["far1"]["value"] > detector.threshold


def test_what_no_one_speaks_in_gets_no_verdict(detector):
    noise = 0.01 * np.random.default_rng(0).standard_normal(64_000).astype(np.float32)
    assert detector.predict((noise, 16_000)).label == "abstained"


def test_its_export_gives_its_scores(detector, speech, tmp_path):
    version = detector.export(tmp_path / "served", check=False)
    served = tf.saved_model.load(str(version)).signatures["audio_bytes"]
    for waveform in speech[:2]:
        audio = wav_bytes(waveform, 16_000)
        score = served(audio=tf.constant([audio]))["score"].numpy()[0]
        assert score == pytest.approx(detector.predict(audio).score, abs=1e-3)


def test_it_is_small_and_holds_no_path_of_a_machine():
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 20e6
    for file in files:
        assert file.suffix in (".h5", ".png") or "/home/" not in file.read_text("utf-8")


def test_the_card_tells_the_figures_of_the_run():
    card = (FOLDER / "README.md").read_text("utf-8")
    metrics = json.loads((FOLDER / layout.METRICS).read_text("utf-8"))
    validation = metrics["parts"]["validation"]
    assert f"| validation | {validation['n_bonafide']:,} + {validation['n_spoof']:,} |" in card
    for key in ("auc", "auc_low", "auc_high"):
        assert f"{validation[key]:.3f}".lstrip("0") in card
    assert f"{metrics['parameters']:,} parameters" in card
    for rule in ("eer", "far1"):
        assert f"| `{rule}` | {metrics['thresholds'][rule]['value']:.3f} |" in card
    assert re.match(r"---\n(.|\n)*license: apache-2.0\n(.|\n)*---\n", card)
