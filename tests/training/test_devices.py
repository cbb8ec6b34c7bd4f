"""Two logical CPUs stand for two accelerators: what was put on the second runs there."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tfpipeline.data.clips import write_manifest
from tfpipeline.data.pipeline import distribution

SCRIPT = """
import json, pathlib, sys, tempfile
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.clips import read_manifest
from tfpipeline.data.clip_audio import open_audio
from tfpipeline.data.automatic_splits import hold_out_attacks
from tfpipeline.training import fit

manifest, overrides = sys.argv[1], json.loads(sys.argv[2])
clips = hold_out_attacks(read_manifest(manifest), ["hifigan"])
clips, audio, _ = open_audio(clips)
config = load_config(CONFIGS / "cnn.yaml", [
    "training.epochs=2", "training.batch_size=8", "training.tensorboard=false",
    "model.channels=[4, 8]", "data.crop_seconds=1", "augment={}", "model.head_dropout=0",
    *overrides,
])
seen = {}
stream = fit.training_stream
def spy(config, detector, *rest, **named):
    made = stream(config, detector, *rest, **named)
    seen["input"] = next(iter(made))[0].device
    variable = detector.model.trainable_variables[0].value
    replicas = getattr(variable, "values", [variable])
    seen["variables"] = [replica.device for replica in replicas]
    return made
fit.training_stream = spy
selection = fit.fit_network(config, clips, audio, pathlib.Path(tempfile.mkdtemp()))[1]
print(json.dumps({**seen, "losses": [row["loss"] for row in selection.history],
                  "val_losses": [row["val_loss"] for row in selection.history]}))
"""


def train(manifest, *overrides):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(manifest), json.dumps(overrides)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def manifest(tiny_corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("devices") / "manifest.csv"
    write_manifest(path, tiny_corpus)
    return path


@pytest.fixture(scope="module")
def plain(manifest):
    return train(manifest)


@pytest.mark.slow  # test_pipeline puts a stage on a device, test_fit trains through it
def test_the_mel_stage_runs_where_it_was_put(manifest, plain):
    moved = train(manifest, "mel.place=pipeline", "mel.device=/CPU:1")
    assert moved["input"].endswith("CPU:1")
    assert plain["input"].endswith("CPU:0")
    np.testing.assert_allclose(moved["losses"], plain["losses"], rtol=1e-3)


@pytest.mark.slow  # test_two_devices_train_one_model places its steps by the same key
def test_the_training_step_runs_where_it_was_put(manifest, plain):
    moved = train(manifest, "training.devices=[/CPU:1]")
    assert all(device.endswith("CPU:1") for device in moved["variables"])
    np.testing.assert_allclose(moved["losses"], plain["losses"], rtol=1e-3)


def test_two_devices_train_one_model(manifest, plain):
    both = train(manifest, "training.devices=[/CPU:0, /CPU:1]")
    assert [device[-5:] for device in both["variables"]] == ["CPU:0", "CPU:1"]
    # The gradients and the moments of batch normalization are summed over both halves of a batch.
    np.testing.assert_allclose(both["losses"], plain["losses"], rtol=1e-3)
    np.testing.assert_allclose(both["val_losses"], plain["val_losses"], rtol=1e-3)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"a device must be one of /CPU:0.* Received: '/GPU:3'"):
        distribution(["/CPU:0", "/GPU:3"])
