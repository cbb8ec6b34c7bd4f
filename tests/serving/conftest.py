"""What is served in the tests: two small untrained networks; and servers on the loopback.

The tests of the protocols run against whatever `server` is: the protocol stand-in, and the genuine
`tensorflow_model_server` where one is found (`TFS_MODEL_SERVER`, or on the PATH).
"""

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from servers import CALIBRATION, CONFIG, MODEL, Server, genuine_server, make_contract, wav

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.audio.decode import on_grid
from tfpipeline.models.detector import build_detector
from tfpipeline.serving.contract import EXTRA, contract_text
from tfpipeline.serving.signatures import ServedDetector


@pytest.fixture(scope="session")
def speech(speech):
    """On the grid of 16 bits, as `decode` gives it and a client sends it."""
    return on_grid(speech)


@pytest.fixture(scope="session")
def serving_root(made_once):
    """`small/1` and `small/2` of different weights, and `models.config`. Not to be changed."""
    return made_once("served", _make_serving_root)


def _make_serving_root(root):
    for version in (1, 2):
        keras.utils.set_random_seed(version)
        detector = build_detector(load_config(CONFIGS / "cnn.yaml", ["model.channels=[4, 8]"]))
        contract = contract_text(make_contract(version))
        served = ServedDetector(detector.model, detector.window, CALIBRATION, contract)
        folder = root / MODEL / str(version)
        tf.saved_model.save(served, str(folder), served.signatures())
        (folder / EXTRA).mkdir()
        (folder / EXTRA / "contract.json").write_text(contract)
    (root / "models.config").write_text(CONFIG.format(model=MODEL, base=root / MODEL))


@pytest.fixture(scope="session")
def models(serving_root):
    """The stand-in's models."""
    from tf_serving_stand_in.models import load_models

    loaded = load_models(serving_root)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def stand_in(models, serving_root):
    from tf_serving_stand_in.server import open_stand_in

    running = open_stand_in(models, grpc_port=0, rest_port=0)
    yield Server("stand-in", "127.0.0.1", running.grpc_port, running.rest_port, serving_root)
    running.close()


@pytest.fixture(scope="session", params=["stand-in", "tensorflow_model_server"])
def server(request, serving_root):
    """Each server that there is."""
    if request.param == "stand-in":
        yield request.getfixturevalue("stand_in")
        return
    binary = os.environ.get("TFS_MODEL_SERVER") or shutil.which("tensorflow_model_server")
    if not binary:
        pytest.skip("tensorflow_model_server is neither in TFS_MODEL_SERVER nor on the PATH")
    with genuine_server(binary, serving_root) as running:
        yield running


@pytest.fixture(scope="session")
def expected(serving_root):
    """(version, signature, inputs) → the outputs of the SavedModel as TensorFlow loads it."""
    loaded = {v: tf.saved_model.load(str(serving_root / MODEL / str(v))) for v in (1, 2)}

    def run(version, signature, **inputs):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = loaded[version].signatures[signature](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    return run


@pytest.fixture(scope="session")
def wavs(speech):
    """Five files: two windows, one, one that is no audio, a short one, and three windows."""
    clips = [
        np.tile(speech[0], 2)[:100_000],
        speech[1],
        None,
        speech[2][:20_000],
        np.tile(speech[3], 3)[:150_000],
    ]
    return [b"no audio" if clip is None else wav(clip) for clip in clips]
