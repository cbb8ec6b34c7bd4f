"""Self-supervision: quantizer and masks by NumPy, the loop, resuming, and where the weights go."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfpipeline import pretrain, train
from tfpipeline.models.named_weights import named_arrays
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS, SpeechEncoder
from tfpipeline.models.speech_encoders.hub_folder import build_speech_encoder
from tfpipeline.models.speech_encoders.weights import load_encoder_weights
from tfpipeline.models.speech_encoders.whisper import WhisperSettings
from tfpipeline.training import masked_prediction
from tfpipeline.training.masked_prediction import MaskedPrediction, RandomQuantizer, random_masks

SETTINGS = WhisperSettings(d_model=16, encoder_layers=2, encoder_attention_heads=2)
SHORT = [
    "--data",
    "tiny",
    *("--set", "data.crop_seconds=1"),
    *("--set", "data.window_seconds=1"),
    *("--set", "training.batch_size=4"),
]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(SPEECH_ENCODERS, "speech_small", SpeechEncoder(SETTINGS, None))


def test_codes_are_the_nearest_of_the_codebook():
    mel = np.random.default_rng(1).standard_normal((3, 21, 80)).astype(np.float32)
    layer = RandomQuantizer(80, seed=5)
    scaled = (mel - mel.mean(axis=1, keepdims=True)) / mel.std(axis=1, keepdims=True)
    pairs = scaled[:, :20].reshape(3, 10, 160) @ layer._projection
    pairs /= np.linalg.norm(pairs, axis=-1, keepdims=True)
    distances = np.linalg.norm(pairs[:, :, None] - layer._codes, axis=-1)
    np.testing.assert_array_equal(layer(mel).numpy(), distances.argmin(axis=-1))
    assert not (RandomQuantizer(80, seed=6)(mel) == layer(mel)).numpy().all()
    louder = layer(3 * mel + 7).numpy()  # level and channel are no part of the task
    assert (louder == layer(mel).numpy()).mean() > 0.95


def test_masks_are_stretches_of_a_third():
    masks = random_masks(200, 200, tf.constant([0, 1], tf.int64)).numpy()
    expected = 1 - (1 - masked_prediction.MASK_START) ** masked_prediction.MASK_FRAMES
    assert masks[:, 20:].mean() == pytest.approx(expected, abs=0.02)
    for row in masks:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        lengths = edges[1::2] - edges[::2]
        inner = lengths[edges[1::2] < 200]  # what the end cuts may be shorter
        assert (inner >= masked_prediction.MASK_FRAMES).all()
    same = random_masks(200, 200, tf.constant([0, 1], tf.int64)).numpy()
    np.testing.assert_array_equal(masks, same)
    assert (random_masks(200, 200, tf.constant([0, 2], tf.int64)).numpy() != masks).any()


def test_the_loss_looks_at_masked_frames_alone(speech, monkeypatch):
    keras.utils.set_random_seed(0)
    model = MaskedPrediction(build_speech_encoder(SETTINGS))
    step = tf.constant(0, tf.int64)
    loss, accuracy = model.masked_loss(speech[:2], step, training=False)
    assert float(loss) == pytest.approx(np.log(masked_prediction.CODES), rel=0.3)
    assert 0 <= float(accuracy) <= 1
    monkeypatch.setattr(masked_prediction, "MASK_START", 0.0)
    loss, accuracy = model.masked_loss(speech[:2], step, training=False)
    assert float(loss) == float(accuracy) == 0


def test_encoders_of_waveforms_are_refused():
    network = build_speech_encoder(SPEECH_ENCODERS["wavlm_base"].settings, 0)
    with pytest.raises(ValueError, match=r"needs an encoder of spectrograms\. Received: wavlm"):
        MaskedPrediction(network)


@pytest.fixture
def pretrained(tmp_path, tiny_in_the_table):
    def run(name, *more):
        folder = tmp_path / name
        assert pretrain.main([*SHORT, "--run", str(folder), *more]) == 0
        return folder

    return run


def test_a_run_learns_and_its_weights_are_loaded(pretrained, tmp_path, without_export, capsys):
    folder = pretrained("pre", "--set", "training.epochs=3", "--json")
    history = pd.read_csv(folder / "history.csv")
    assert json.loads(capsys.readouterr().out)["val_loss"] == history["val_loss"].iloc[-1]
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
    assert (folder / "figures" / "learning_curve.png").stat().st_size > 1000
    assert not (folder / "checkpoints").exists()
    network = build_speech_encoder(SETTINGS, 1)
    load_encoder_weights(network, "speech_small", str(folder))
    arrays = named_arrays(network)
    assert "layer_norm.weight" not in arrays
    whole = build_speech_encoder(SETTINGS)
    load_encoder_weights(whole, "speech_small", str(folder))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, named_arrays(whole)[name])
    argv = ["--model", "speech_small", *SHORT, "--set", "data.unseen_attacks=[hifigan]"]
    argv += ["--set", "training.epochs=1", "--set", f"model.weights={folder}"]
    assert train.main([*argv, "--run", str(tmp_path / "fine")]) == 0
    environment = json.loads((tmp_path / "fine" / "environment.json").read_text())
    assert environment["pretrained"]["file"] == "model.safetensors"


@pytest.fixture
def eagerly():
    """Steps are not traced, which takes longer than these few; the test above has them traced."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")
def test_a_stopped_run_continues_as_if_it_had_not_stopped(pretrained, tmp_path, monkeypatch):
    whole = pretrained("whole", "--set", "training.epochs=2")
    save = tf.train.CheckpointManager.save

    def stop(self, *arguments, **keywords):
        save(self, *arguments, **keywords)
        raise KeyboardInterrupt

    monkeypatch.setattr(tf.train.CheckpointManager, "save", stop)
    argv = [*SHORT, "--run", str(tmp_path / "parts"), "--set", "training.epochs=2"]
    assert pretrain.main(argv) == 130
    monkeypatch.setattr(tf.train.CheckpointManager, "save", save)
    parts = pretrained("parts", "--set", "training.epochs=2", "--resume")
    one, other = (pd.read_csv(f / "history.csv").drop(columns="seconds") for f in (whole, parts))
    pd.testing.assert_frame_equal(one, other, rtol=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_recordings_need_no_labels(tmp_path, speech):
    import soundfile

    for number, row in enumerate(speech[:4]):
        soundfile.write(tmp_path / f"{number}.wav", row, 16_000)
    argv = [*SHORT[2:], "--files", str(tmp_path), "--run", str(tmp_path / "run")]
    assert pretrain.main([*argv, "--set", "training.epochs=1"]) == 0
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_what_cannot_be_pretrained_is_told(tmp_path, capsys):
    argv = ["--model", "cnn", *SHORT, "--run", str(tmp_path / "r")]
    assert pretrain.main(argv) == 2
    assert "pretraining is for speech_small" in capsys.readouterr().err
    argv = ["--model", "speech_small", *SHORT, "--set", "model.weights=published"]
    assert train.main([*argv, "--run", str(tmp_path / "r")]) == 2
    assert "nobody published weights of speech_small" in capsys.readouterr().err
