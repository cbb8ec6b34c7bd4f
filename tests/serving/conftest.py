"""Two small exports under one root, and the servers that serve them on the loopback.

The tests of the protocols run against whatever `server` is: the protocol stand-in, and the genuine
`tensorflow_model_server` where one is found (`TFS_MODEL_SERVER`, or on the PATH).
"""

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.models.detector import build_detector
from tfpipeline.serving.contract import EXTRA, KEYS, SIGNATURES, contract_text
from tfpipeline.serving.signatures import ServedDetector
from tfpipeline.serving.status import STATUSES

MODEL = "small"
CALIBRATION = Calibration(a=0.7, b=-0.2, prior=0.3)
LABELS = {"stable": 1, "canary": 2}
CONFIG = """model_config_list {{ config {{
  name: "{model}" base_path: "{base}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "canary" value: 2 }}
}} }}
"""


@dataclass(frozen=True)
class Server:
    """Where a server is, and what it serves."""

    kind: str
    host: str
    grpc_port: int
    rest_port: int
    root: Path
    model: str = MODEL

    def address(self, protocol, path=""):
        port = self.grpc_port if protocol == "grpc" else self.rest_port
        return f"{protocol}://{self.host}:{port}/{self.model}{path}"


def make_contract(version):
    filled = {key: {} if kind is dict else kind() for key, kind in KEYS.items()}
    return filled | {
        "schema": 1, "name": MODEL, "model": "cnn", "sample_rate": 16_000,
        "window_samples": 64_000, "polarity": "higher is more likely spoof",
        "threshold": {"value": 0.25 * version}, "signatures": SIGNATURES,
        "calibration": {"a": CALIBRATION.a, "b": CALIBRATION.b, "prior": CALIBRATION.prior},
        "status": {str(code): name for code, name in STATUSES.items()},
    }  # fmt: skip


@pytest.fixture(scope="session")
def serving_root(tmp_path_factory):
    """`small/1` and `small/2` of different weights, and `models.config`."""
    root = tmp_path_factory.mktemp("served")
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
    return root


@pytest.fixture(scope="session")
def models(serving_root):
    """The stand-in's models."""
    from tfpipeline.serving.stand_in.models import load_models

    loaded = load_models(serving_root)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def stand_in(models, serving_root):
    from tfpipeline.serving.stand_in.server import open_stand_in

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


@contextlib.contextmanager
def genuine_server(binary, root):
    grpc_port, rest_port = free_port(), free_port()
    process = subprocess.Popen([
        binary, f"--model_config_file={root / 'models.config'}", f"--port={grpc_port}",
        f"--rest_api_port={rest_port}", "--grpc_bind_addresses=127.0.0.1",
        "--allow_version_labels_for_unavailable_models=true",
    ])  # fmt: skip
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                url = f"http://127.0.0.1:{rest_port}/v1/models/{MODEL}"
                states = json.load(urllib.request.urlopen(url))["model_version_status"]
                if [state["state"] for state in states] == ["AVAILABLE"] * 2:
                    break
            assert process.poll() is None, "tensorflow_model_server ended"
            time.sleep(0.1)
        yield Server("tensorflow_model_server", "127.0.0.1", grpc_port, rest_port, root)
    finally:
        process.terminate()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
    clips = [np.tile(speech[0], 2)[:100_000], speech[1], None, speech[2][:20_000],
             np.tile(speech[3], 3)[:150_000]]  # fmt: skip
    return [b"no audio" if clip is None else wav(clip) for clip in clips]


def wav(clip):
    file = io.BytesIO()
    soundfile.write(file, clip, 16_000, subtype="PCM_16", format="WAV")
    return file.getvalue()
