"""Every kind of graph that is exported, in a stock server's runtime and behind its protocols."""

import io
import json

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from c_runtime import ERROR, run_in_child
from request_files import byte_rows
from tensorflow_serving.apis import prediction_log_pb2
from tf_serving_stand_in.models import load_models
from tf_serving_stand_in.server import open_stand_in

from tfpipeline.config import CONFIGS, load_config
from tfpipeline.data.audio.windows import stream_windows
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.features.handcrafted.layer import HandcraftedFeatures
from tfpipeline.models.classical.arrays import DenseModel, TreeEnsemble
from tfpipeline.models.classical.convert import to_arrays
from tfpipeline.models.classical.detector import build_feature_detector
from tfpipeline.models.classical.fitting import CLASSIFIERS, fit_classifier
from tfpipeline.models.classical.graph import oblivious_trees
from tfpipeline.models.detector import ClipScorer, build_detector
from tfpipeline.runs.run import Run
from tfpipeline.serving.client.client import open_client
from tfpipeline.serving.contract import EXTRA, read_contract
from tfpipeline.serving.savedmodel import WARMUP, export_version
from tfpipeline.serving.status import NO_SCORE, NOT_AUDIO, OK, SILENT, UNSUPPORTED_FORMAT

CALIBRATION = Calibration(a=0.7, b=-0.2, prior=0.3)
SMALL = ["model.weights=none", "mel.n_mels=64"]
NETWORKS = {"cnn": [], "baseline_cnn": [], "resnet18": SMALL, "efficientnet_lite0": SMALL}
# Trees that are walked (sum and mean), symmetric ones, and the three dense kinds.
FITTED = {
    "lightgbm": {"n_estimators": 20, "min_child_samples": 5},
    "random_forest": {"n_estimators": 10},
    "catboost": {"iterations": 20},
    "logistic_regression": {},
    "gaussian_nb": {},
    "bernoulli_nb": {},
}
CLOSE = {"atol": 1e-4, "rtol": 0}  # log-odds
DENSE = ("logistic_regression", "gaussian_nb", "bernoulli_nb")


def wav(waveform, form="WAV", subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, waveform, 16_000, subtype=subtype, format=form)
    return file.getvalue()


@pytest.fixture(scope="module")
def features(speech):
    """Features of many pieces of real speech, float64, and labels: by speaker, some mistaken."""
    layer = HandcraftedFeatures("baseline")
    pieces = speech.reshape(-1, 8_000)
    rows = layer(pieces).numpy().astype(np.float64)
    random = np.random.default_rng(0)
    labels = np.arange(len(rows)) * len(speech) // len(rows) % 2
    order = random.permutation(len(rows))
    return rows[order], np.where(random.random(len(rows)) < 0.1, 1 - labels, labels)[order]


def calm(built, speech):
    """Brings a fresh network's scores, several hundred, to the size of a trained one's."""
    kernel, bias = built.model.trainable_variables[-2:]
    assert kernel.shape[1:] == bias.shape == (1,)
    windows = np.tile(speech, (1, 2))[:, : built.window]
    kernel.assign(kernel * 5 / np.abs(built.model(windows, training=False)).max())


# The others differ in what is tested in this process: backbones, kinds of trees, dense layers.
QUICK = ("cnn", "random_forest")
PARAMS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in (*NETWORKS, *FITTED)
]


@pytest.fixture(scope="module", params=PARAMS)
def detector(request, features, speech):
    name = request.param
    keras.utils.set_random_seed(1)
    if name in NETWORKS:
        config = load_config(CONFIGS / f"{name}.yaml", NETWORKS[name])
        built = build_detector(config)
        calm(built, speech)
        return config, built
    config = load_config(CONFIGS / f"{name}.yaml", ["features.set=baseline"])
    half = len(features[0]) // 2
    train, validation = (
        tuple(own[part] for own in features) for part in (slice(half), slice(half, None))
    )
    model = fit_classifier(CLASSIFIERS[name](0, **FITTED[name]), train, validation)
    arrays = to_arrays(model, features[0].shape[1])
    assert isinstance(arrays, DenseModel if name in DENSE else TreeEnsemble)
    if name == "catboost":
        assert oblivious_trees(arrays)
    if name == "random_forest":
        assert arrays.link == "mean_probability"
        assert oblivious_trees(arrays) is None
    return config, build_feature_detector(config, arrays)


@pytest.fixture(scope="module")
def version(detector, tmp_path_factory):
    config, built = detector
    folder = tmp_path_factory.mktemp("runs") / config.name
    folder.mkdir()
    (folder / "environment.json").write_text("{}")
    threshold = {"value": 0.5, "rule": "validation EER", "part": "validation"}
    run = Run(folder, config, CALIBRATION, 0.5, {"threshold": threshold, "parts": {}})
    return export_version(run, built, folder / "serving", check=False)[0]


@pytest.fixture(scope="module")
def clips(speech):
    """Speech of awkward lengths, and one silent clip in their midst."""
    long = np.tile(speech, (1, 3))
    sizes = [16_000, 64_000, 800, 64_001, 130_000]
    found = [long[row][:size] for row, size in enumerate(sizes)]
    return [*found[:2], np.zeros(20_000, np.float32), *found[2:]]


def windows_of(clips, window):
    """The windows of all clips, and how many each has."""
    each = [np.concatenate([*stream_windows([clip], window)]) for clip in clips]
    return np.concatenate(each), [len(own) for own in each]


def means(scores, counts):
    """The mean of each clip's windows."""
    return np.array([own.mean() for own in np.split(scores, np.cumsum(counts)[:-1])])


def requests_of(clips, window):
    """All signatures, on clips of the most different lengths."""
    audio = {"audio": byte_rows([*map(wav, clips), b"text", wav(clips[0], "FLAC", "PCM_16"), b""])}
    return {
        ("0", "serving_default"): {"waveform": np.stack([clip[:800] for clip in clips])},
        ("1", "serving_default"): {"waveform": clips[-1][None]},
        ("2", "audio_bytes"): audio,
        ("3", "windows"): {"windows": windows_of(clips, window)[0]},
        ("4", "contract"): {"request": byte_rows([b"", b"a"])},
    }


def read_warmup(version):
    """The requests that the server replays, as arrays."""
    requests = {}
    for number, record in enumerate(tf.data.TFRecordDataset(str(version / EXTRA / WARMUP))):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        arrays = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        requests[f"warmup {number}", request.model_spec.signature_name] = arrays
    return requests


def test_every_signature_equals_the_model_in_memory(detector, version, clips):
    """One process answers everything: all signatures on speech, then the warmup file."""
    window = detector[1].window
    requests, warmup = requests_of(clips, window), read_warmup(version)
    foreign = {("5", "windows"): {"windows": np.zeros((1, window // 2), np.float32)}}
    answers = run_in_child(version, requests | foreign | warmup)
    assert "not compatible with expected shape" in str(answers.pop(("5", "windows"))[ERROR])
    assert not [answer[ERROR] for answer in answers.values() if ERROR in answer]
    assert set(answers) == {*requests, *warmup}
    assert {name for _, name in warmup} == {name for _, name in requests}

    scorer = ClipScorer(detector[1].model, window)
    expected = np.array([scorer.score_waveform(clip) for clip in clips])
    status = np.array([OK] * len(clips), np.int32)
    # A window has neither a status nor a level that is too low.
    answer = answers["3", "windows"]
    assert set(answer) == {"score"}
    rows, counts = windows_of(clips, window)
    alone = [scorer.score_waveform(row) for row in rows]
    np.testing.assert_allclose(answer["score"], alone, **CLOSE)
    np.testing.assert_allclose(means(answer["score"], counts), expected, **CLOSE)
    status[2], expected[2] = SILENT, np.nan
    short = np.array([scorer.score_waveform(clip[:800]) for clip in clips])
    short[2] = np.nan
    rest = [NOT_AUDIO, UNSUPPORTED_FORMAT, NOT_AUDIO]
    for key, scores, codes in (
        (("0", "serving_default"), short, status),
        (("1", "serving_default"), expected[-1:], status[-1:]),
        (("2", "audio_bytes"), [*expected, *[np.nan] * 3], [*status, *rest]),
    ):
        answer, scores = answers[key], np.array(scores)
        np.testing.assert_array_equal(answer["status"], codes)
        for name, values in (
            ("score", scores),
            ("llr", CALIBRATION.llr(scores)),
            ("probability", CALIBRATION.probability(scores)),
        ):
            values = np.where(np.isnan(scores), NO_SCORE, values)
            np.testing.assert_allclose(answer[name], values, **CLOSE)
    text = (version / EXTRA / "contract.json").read_bytes()
    assert list(answers["4", "contract"]["contract"]) == [text, text]
    assert set(json.loads(text)["signatures"]) == {name for _, name in requests}
    for (number, name), arrays in warmup.items():
        answer = answers[number, name]
        if name == "contract":
            assert list(answer["contract"]) == [text]
        else:
            assert np.isfinite(answer["score"]).all()
            assert len(answer["score"]) == len(next(iter(arrays.values())))


@pytest.fixture(scope="module")
def served(version):
    """Addresses of the export behind the protocol stand-in."""
    models = load_models(version.parent)
    running = open_stand_in(models, grpc_port=0, rest_port=0)
    name = read_contract(version)["name"]
    yield [
        f"grpc://127.0.0.1:{running.grpc_port}/{name}",
        f"http://127.0.0.1:{running.rest_port}/{name}",
    ]
    running.close()
    models.close()


@pytest.mark.slow  # the protocols are the same for all graphs; test_stand_in has a run's
def test_both_protocols_equal_the_model_in_memory(detector, version, clips, served):
    scorer = ClipScorer(detector[1].model, detector[1].window)
    expected = [scorer.score_waveform(clip) for clip in clips]
    expected[2] = np.nan
    rows, counts = windows_of(clips, detector[1].window)
    whole = [scorer.score_waveform(clip) for clip in clips]
    for address in served:
        with open_client(address) as client:
            assert client.contract() == read_contract(version)
            answers = client.score_audio([*map(wav, clips), b"text"])
            scores = client.score_windows(rows)
        np.testing.assert_allclose(
            [answer["score"] for answer in answers], [*expected, np.nan], **CLOSE
        )
        assert [answer["status"] for answer in answers] == [OK, OK, SILENT, OK, OK, OK, NOT_AUDIO]
        np.testing.assert_allclose(means(scores, counts), whole, **CLOSE)
