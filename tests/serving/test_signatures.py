import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.models.detector import build_detector
from tfpipeline.models.scoring import ClipScorer
from tfpipeline.serving.contract import check_core_ops
from tfpipeline.serving.signatures import export_saved_model

CALIBRATION = Calibration(a=0.7, b=-0.2, prior=0.3)


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(1)
    return build_detector(load_config(CONFIGS / "cnn.yaml"))


@pytest.fixture(scope="module")
def exported(detector, tmp_path_factory):
    serving = tmp_path_factory.mktemp("serving")
    return export_saved_model(detector.model, detector.window, CALIBRATION, serving)


@pytest.fixture(scope="module")
def serve(exported):
    loaded = tf.saved_model.load(str(exported))
    signature = loaded.signatures["serving_default"]
    return lambda waveform: (
        {name: value.numpy() for name, value in signature(waveform=tf.constant(waveform)).items()}
        | {"keep": loaded}
    )  # a signature does not hold on to its model


def test_names_and_types(serve, speech):
    answer = serve(speech[:2])
    assert set(answer) == {"score", "probability", "keep"}
    assert answer["score"].shape == answer["probability"].shape == (2,)
    assert answer["score"].dtype == np.float32


@pytest.mark.parametrize("samples", [800, 63_999, 64_000, 64_001, 150_000])
def test_equals_the_model_in_memory(serve, detector, speech, samples):
    waveform = np.tile(speech[:3], (1, 3))[:, :samples]
    answer = serve(waveform)
    scorer = ClipScorer(detector.model, detector.window)
    expected = np.array([scorer.score_waveform(row) for row in waveform])
    np.testing.assert_allclose(answer["score"], expected, atol=1e-4)
    np.testing.assert_allclose(answer["probability"], CALIBRATION.probability(expected), atol=1e-4)


def test_batch_and_batch_mates_change_nothing(serve, speech):
    together = serve(speech)["score"]
    alone = np.concatenate([serve(row[None])["score"] for row in speech])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(serve(speech[::-1])["score"], together[::-1], atol=1e-4)


def test_the_graph_holds_core_operations_alone(exported):
    used = check_core_ops(exported)
    assert {"RFFT", "Conv2D", "MatMul"} <= used


def test_versions_are_numbered_onward_and_never_replaced(detector, tmp_path):
    for expected in ("1", "2"):
        version = export_saved_model(detector.model, detector.window, CALIBRATION, tmp_path)
        assert version.name == expected
    (tmp_path / "7").mkdir()
    assert export_saved_model(detector.model, detector.window, CALIBRATION, tmp_path).name == "8"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "7", "8"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: tf.numpy_function(np.abs, [x], tf.float32), "Received: PyFunc"),
        (tf.function(lambda x: 2 * x, jit_compile=True), "must run without XLA"),
    ],
)
def test_foreign_operations_are_refused(function, message, tmp_path):
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec([None], tf.float32)])
    outer = tf.Module()
    outer.serve = tf.function(
        lambda x: {"y": module.serve(x)}, input_signature=[tf.TensorSpec([None], tf.float32)]
    )
    outer.module = module
    tf.saved_model.save(outer, str(tmp_path), {"serving_default": outer.serve})
    with pytest.raises(ValueError, match=message):
        check_core_ops(tmp_path)
