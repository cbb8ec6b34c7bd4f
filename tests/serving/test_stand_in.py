"""gRPC as raw messages through the stubs; and the stand-in's own: roots, limits, the command."""

import contextlib
import http.client
import json
import shutil
import socket
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from servers import wav
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog
from tf_serving_stand_in.limits import Limits
from tf_serving_stand_in.models import load_models
from tf_serving_stand_in.server import open_stand_in
from tf_serving_stand_in.versions import Version

from tfpipeline import predict
from tfpipeline.data.audio.decode import decode
from tfpipeline.evaluation.scores import read_scores
from tfpipeline.serving.client.client import open_client
from tfpipeline.serving.contract import read_contract
from tfpipeline.serving.savedmodel import warmup_requests
from tfpipeline.serving.status import NOT_AUDIO, OK


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(
        f"{server.host}:{server.grpc_port}", options=[("grpc.enable_http_proxy", 0)]
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def predictions(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request_of(server, signature="", version=None, label=None, outputs=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = server.model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


@pytest.mark.parametrize(
    ("choice", "version"),
    [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)],
)
def test_predict_equals_the_saved_model(server, predictions, expected, speech, choice, version):
    answer = predictions.Predict(request_of(server, **choice, waveform=speech), timeout=60)
    reference = expected(version, "serving_default", waveform=speech)
    assert set(answer.outputs) == set(reference)
    for name, value in reference.items():
        found = tf.make_ndarray(answer.outputs[name])
        assert found.dtype == value.dtype
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    assert answer.model_spec.name == server.model
    assert answer.model_spec.version.value == version
    assert answer.model_spec.signature_name == "serving_default"


def test_every_signature_and_one_bad_clip(server, predictions, expected, wavs, speech):
    for signature, inputs in [
        ("serving_default", {"waveform": speech[:3, :40_000]}),
        ("windows", {"windows": speech[:3]}),
        ("audio_bytes", {"audio": wavs}),
        ("contract", {"request": [b"", b"\xff"]}),
    ]:
        answer = predictions.Predict(request_of(server, signature, **inputs), timeout=60)
        reference = expected(2, signature, **inputs)
        assert set(answer.outputs) == set(reference)
        for name, value in reference.items():
            found = tf.make_ndarray(answer.outputs[name])
            if value.dtype == object:
                assert found.tolist() == value.tolist()
            else:
                np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
        if signature == "audio_bytes":
            status = tf.make_ndarray(answer.outputs["status"]).tolist()
            assert status == [OK, OK, NOT_AUDIO, OK, OK]


def test_an_output_filter(server, predictions, speech):
    request = request_of(server, outputs=["status", "llr"], waveform=speech[:2])
    assert set(predictions.Predict(request, timeout=60).outputs) == {"status", "llr"}


def with_content(request, name, **changes):
    request = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    for key, value in changes.items():
        setattr(request.inputs[name], key, value)
    return request


def test_foreign_requests_are_refused_by_code(server, predictions, speech):
    good = request_of(server, waveform=speech[:1])
    other = request_of(server, waveform=speech[:1])
    other.model_spec.name = "other"
    no_spec = predict_pb2.PredictRequest()
    cases = [
        (other, "NOT_FOUND", "Servable not found for request: Latest(other)"),
        (request_of(server, version=9), "NOT_FOUND", f"Specific({server.model}, 9)"),
        (request_of(server, label="old"), "INVALID_ARGUMENT", "Unrecognized servable version"),
        (no_spec, "INVALID_ARGUMENT", "Missing ModelSpec"),
        (request_of(server, "none"), "FAILED_PRECONDITION", '"none" not found'),
        (request_of(server), "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
        (request_of(server, sound=speech[:1]), "INVALID_ARGUMENT", "alias not found"),
        (request_of(server, waveform=["a"]), "INVALID_ARGUMENT", ""),
        (request_of(server, waveform=speech[0]), "INVALID_ARGUMENT", ""),
        (request_of(server, "windows", windows=speech[:1, 1:]), "INVALID_ARGUMENT", "64000"),
        (
            request_of(server, outputs=["logit"], waveform=speech[:1]),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: logit",
        ),
        (
            request_of(server, outputs=["llr"] * 2, waveform=speech[:1]),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: llr",
        ),
        (
            with_content(good, "waveform", tensor_content=b"123"),
            "INVALID_ARGUMENT",
            "tensor parsing error: waveform",
        ),
    ]
    for request, code, message in cases:
        with pytest.raises(grpc.RpcError) as raised:
            predictions.Predict(request, timeout=60)
        assert raised.value.code().name == code, message
        assert message in raised.value.details()
    assert predictions.Predict(good, timeout=60).outputs  # and the server continues


def test_metadata_and_status(server, channel, predictions):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = server.model
    request.model_spec.version_label = "stable"
    answer = predictions.GetModelMetadata(request, timeout=60)
    assert answer.model_spec.version.value == 1
    found = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(found)
    assert set(found.signature_def["windows"].outputs) == {"score"}
    outputs = found.signature_def["audio_bytes"].outputs
    assert set(outputs) == {"score", "llr", "probability", "status"}
    request.metadata_field.append("weights")
    with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
        predictions.GetModelMetadata(request, timeout=60)

    statuses = model_service_pb2_grpc.ModelServiceStub(channel)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = server.model
    states = statuses.GetModelStatus(asked, timeout=60).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert {state.version: state.state for state in states} == {1: available, 2: available}
    asked.model_spec.version.value = 9
    with pytest.raises(grpc.RpcError, match="Could not find version 9 of model"):
        statuses.GetModelStatus(asked, timeout=60)


def test_what_the_stand_in_does_not_do_it_says(stand_in):
    with grpc.insecure_channel(f"{stand_in.host}:{stand_in.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            stub.Classify(classification_pb2.ClassificationRequest(), timeout=60)
    code, _, text = raw(
        stand_in, b"POST /v1/models/small:classify HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert code == 501
    assert "does not classify" in json.loads(text)["error"]


def test_a_tensor_announced_larger_than_sent_is_refused(stand_in, speech):
    """One value, repeated to a shape of four terabytes."""
    request = request_of(stand_in, waveform=np.zeros((1, 1), np.float32))
    request.inputs["waveform"].tensor_shape.dim[1].size = 10**12
    with grpc.insecure_channel(f"{stand_in.host}:{stand_in.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="larger than the request may be"):
            stub.Predict(request, timeout=60)


# The limits of the stand-in


@pytest.fixture(scope="module")
def strict(models, serving_root):
    """A stand-in with narrow limits."""
    limits = Limits(request_bytes=100_000, concurrent=1, connections=2, request_seconds=0.5)
    running = open_stand_in(models, grpc_port=0, rest_port=0, limits=limits)
    running.host, running.model = "127.0.0.1", "small"
    yield running
    running.close()


def raw(server, sent):
    """Status, headers and body of what comes back for bytes on a socket, until it is closed."""
    with socket.create_connection((server.host, server.rest_port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.headers, response.read()


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        (b"Content-Length: 100001\r\n", 413, "at most 100000 bytes"),
        (b"Content-Length: 99999999999999999999999999\r\n", 413, "at most 100000 bytes"),
        (b"Content-Length: 100001\r\nExpect: 100-continue\r\n", 413, "at most 100000 bytes"),
        (b"", 411, "must announce its Content-Length"),
        (b"Transfer-Encoding: chunked\r\n", 411, "must announce its Content-Length"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 411, "must announce"),
        (b"Content-Length: -1\r\n", 400, "one whole number"),
        (b"Content-Length: two\r\n", 400, "one whole number"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n", 400, "one whole number"),
    ],
)
def test_lengths_are_judged_before_the_body_is_read(strict, headers, code, message):
    # No body follows, and none is waited for.
    sent = b"POST /v1/models/small:predict HTTP/1.1\r\n" + headers + b"\r\n"
    status, answered, text = raw(strict, sent)
    assert status == code
    assert answered["Connection"] == "close"
    assert message in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"BREW /v1/models/small HTTP/1.1\r\n\r\n", 501),
        (b"GET /v1/models/small HTTP/2.0\r\n\r\n", 505),
        (b"GET /v1/models/small HTTP/x\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"PUT /v1/models/small HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /v1/models/small/versions/" + b"0" * 5000 + b"1 HTTP/1.1\r\n\r\n", 200),
        (b"GET /v1/models/small/versions/" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_foreign_http(stand_in, sent, code):
    status, headers, text = raw(stand_in, sent)
    assert status == code
    assert headers["Content-Type"] == "application/json"
    assert set(json.loads(text)) == {"model_version_status" if code == 200 else "error"}


def test_a_body_that_was_not_read_is_not_taken_for_a_request(stand_in):
    inner = b"GET /v1/models/other HTTP/1.1\r\n\r\n"
    head = b"GET /v1/models/small HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(inner)
    with socket.create_connection((stand_in.host, stand_in.rest_port), timeout=30) as connection:
        connection.sendall(head + inner)
        connection.shutdown(socket.SHUT_WR)
        told = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(10_000):
                told += piece
    assert told.count(b"HTTP/1.1 ") == 1
    assert told.startswith(b"HTTP/1.1 200 ")


def test_a_fault_of_its_own_is_told(stand_in, models, monkeypatch, capsys):
    def broken(*inputs):
        raise MemoryError

    monkeypatch.setitem(models.models["small"].versions[2]._calls, "contract", broken)
    body = b'{"signature_name": "contract", "instances": [""]}'
    head = b"POST /v1/models/small:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    status, _, text = raw(stand_in, head + body)
    assert (status, json.loads(text)) == (500, {"error": "internal error: MemoryError"})
    assert "MemoryError" in capsys.readouterr().err


def test_deep_nesting_is_refused(stand_in):
    body = b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    head = b"POST /v1/models/small:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    status, _, text = raw(stand_in, head + body)
    assert status == 400
    assert "JSON Parse error" in json.loads(text)["error"]


def test_a_large_grpc_message_is_refused(strict):
    with grpc.insecure_channel(f"127.0.0.1:{strict.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = request_of(strict, waveform=np.zeros((1, 25_001), np.float32))
        with pytest.raises(grpc.RpcError, match="larger than max"):
            stub.Predict(request, timeout=60)


def test_a_slow_client_is_cut_off(strict):
    """A request that stops in its headers, and one that stops in its body."""
    for sent in (
        b"POST /v1/mo",
        b"POST /v1/models/small:predict HTTP/1.1\r\nContent-Length: 50\r\n\r\n{",
    ):
        with socket.create_connection(("127.0.0.1", strict.rest_port), timeout=30) as connection:
            connection.sendall(sent)
            assert connection.recv(1000) == b""


def test_more_connections_than_allowed_are_told_to_come_back(models):
    limits = Limits(connections=2, request_seconds=30)
    running = open_stand_in(models, grpc_port=0, rest_port=0, limits=limits)
    address = ("127.0.0.1", running.rest_port)
    try:
        held = [socket.create_connection(address, timeout=30) for _ in range(2)]
        for connection in held:  # both are being served once they have answered
            connection.sendall(b"GET /v1/models/small HTTP/1.1\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        with socket.create_connection(address, timeout=30) as third:
            assert third.recv(100).startswith(b"HTTP/1.1 503 ")
        for connection in held:
            connection.close()
    finally:
        running.close()


def test_more_requests_than_allowed_are_told_to_come_back(models, stand_in, monkeypatch):
    running = open_stand_in(models, grpc_port=0, rest_port=0, limits=Limits(concurrent=1))
    version = models.models["small"].versions[2]
    entered, leave = threading.Event(), threading.Event()

    def slow(*inputs):
        entered.set()
        assert leave.wait(30)
        return [np.array([b"{}"], object)]

    monkeypatch.setitem(version._calls, "contract", slow)
    body = b'{"signature_name": "contract", "instances": [""]}'
    post = b"POST /v1/models/small:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    running.host = "127.0.0.1"
    first = {}
    worker = threading.Thread(target=lambda: first.update(answer=raw(running, post + body)))
    try:
        worker.start()
        assert entered.wait(30)
        status, _, text = raw(running, post + body)
        assert (status, json.loads(text)) == (503, {"error": "too many requests at once"})
        leave.set()
        worker.join(30)
        assert first["answer"][0] == 200

        entered.clear(), leave.clear()
        with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            request = request_of(stand_in, "contract", request=[b""])
            under_way = stub.Predict.future(request, timeout=60)
            assert entered.wait(30)
            with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
                stub.Predict(request, timeout=60)
            leave.set()
            assert tf.make_ndarray(under_way.result().outputs["contract"])[0] == b"{}"
    finally:
        leave.set()
        running.close()


def test_ports_are_not_shared(models, stand_in):
    for ports in (
        {"grpc_port": stand_in.grpc_port, "rest_port": 0},
        {"grpc_port": 0, "rest_port": stand_in.rest_port},
    ):
        with pytest.raises(OSError, match="port must be free on this machine"):
            open_stand_in(models, **ports)


# What is loaded


def same_rows(argv, others, recordings, capsys):
    """Both judges give these recordings the same rows, to 1e-4 in log-odds."""
    found = []
    capsys.readouterr()
    for judge in (argv, others):
        assert predict.main([*judge, "--json", *recordings]) == 0
        found.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    assert len(found[0]) == len(recordings)
    for row, own in zip(*found, strict=True):
        evidence = [
            [(e["start"], e["end"], e["score"]) for e in r.pop("evidence")] for r in (row, own)
        ]
        np.testing.assert_allclose(*evidence, atol=1e-4)
        for key in ("score", "llr", "probability", "confidence"):
            assert row.pop(key) == pytest.approx(own.pop(key), abs=1e-4)
        assert row == own


def test_an_exported_run_is_served(tiny_run, tmp_path, capsys, monkeypatch):
    """From `export --serving-root` to scores over both protocols, equal to the run's own.

    `predict` gives the run's rows too, of clips and of a recording that ends in silence.
    """
    from tfpipeline import export

    replayed = []
    predict = Version.predict

    def recorded(self, name, inputs, wanted=()):
        replayed.append((name, len(next(iter(inputs.values())))))
        return predict(self, name, inputs, wanted)

    monkeypatch.setattr(Version, "predict", recorded)
    root = tmp_path / "served"
    assert export.main(["--run", str(tiny_run), "--serving-root", str(root), "--unchecked"]) == 0
    scores = read_scores(tiny_run / "scores.csv").head(5)
    files = [Path(path).read_bytes() for path in scores["path"]]
    recordings = [*scores["path"], str(tmp_path / "long.wav")]
    sound = np.concatenate([*(decode(path).waveform for path in scores["path"]), np.zeros(70_000)])
    (tmp_path / "long.wav").write_bytes(wav(sound))
    loaded = load_models(root)
    warmup = [(name, len(next(iter(own.values())))) for name, own in warmup_requests(64_000)]
    assert replayed == warmup
    running = open_stand_in(loaded, grpc_port=0, rest_port=0)
    try:
        for address in (
            f"grpc://127.0.0.1:{running.grpc_port}/tiny/labels/stable",
            f"http://127.0.0.1:{running.rest_port}/tiny",
        ):
            with open_client(address) as client:
                assert client.contract() == read_contract(root / "tiny" / "1")
                for row, expected in zip(
                    client.score_audio(files), scores.itertuples(), strict=True
                ):
                    assert row["status"] == OK
                    assert row["score"] == pytest.approx(expected.score, abs=1e-4)
                    assert row["llr"] == pytest.approx(expected.llr, abs=1e-4)
                    assert row["probability"] == pytest.approx(expected.probability, abs=1e-4)
            same_rows(["--server", address], ["--run", str(tiny_run)], recordings, capsys)
    finally:
        running.close()
        loaded.close()


def link_versions(root, serving_root, *names):
    base = root / "small"
    base.mkdir(parents=True)
    for name, version in names:
        shutil.copytree(serving_root / "small" / str(version), base / name)
    return base


def test_a_root_without_a_config_loads_all_versions(serving_root, tmp_path):
    base = link_versions(tmp_path, serving_root, ("3", 1), (".partial-1", 2))
    (base / "notes").mkdir()
    (tmp_path / "empty").mkdir()
    for root in (tmp_path, base):  # a root of models, and the versions of one
        loaded = load_models(root)
        assert loaded.summary() == {"small": {"versions": [3], "labels": {}}}
        loaded.close()


@pytest.mark.parametrize(
    ("policy", "found"),
    [
        ("", [2]),
        ("latest { num_versions: 2 }", [1, 2]),
        ("all {}", [1, 2]),
        ("specific { versions: 1 }", [1]),
    ],
)
def test_version_policies(serving_root, tmp_path, policy, found):
    link_versions(tmp_path, serving_root, ("1", 1), ("2", 2))
    # As in a container, where the root has another name.
    policy = f"model_version_policy {{ {policy} }}" if policy else ""
    (tmp_path / "models.config").write_text(
        'model_config_list { config { name: "renamed" base_path: "/models/small" '
        f'model_platform: "tensorflow" {policy} }} }}'
    )
    loaded = load_models(tmp_path)
    assert loaded.summary() == {"renamed": {"versions": found, "labels": {}}}
    loaded.close()


def damage(root, how):
    version, extra = root / "small" / "1", root / "small" / "1" / "assets.extra"
    if how == "no contract":
        (extra / "contract.json").unlink()
    elif how == "other contract":
        (extra / "contract.json").write_text('{"schema": 7}')
    elif how == "foreign operation":
        module = tf.Module()
        module.serve = tf.function(
            lambda x: {"y": tf.numpy_function(np.abs, [x], tf.float32)},
            input_signature=[tf.TensorSpec([None], tf.float32)],
        )
        text = (extra / "contract.json").read_text()
        shutil.rmtree(version)
        tf.saved_model.save(module, str(version), {"serving_default": module.serve})
        extra.mkdir()
        (extra / "contract.json").write_text(text)
    elif how == "foreign warmup":
        request = predict_pb2.PredictRequest()
        request.inputs["sound"].CopyFrom(tf.make_tensor_proto([0.0]))
        log = PredictionLog(predict_log=PredictLog(request=request))
        with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
            writer.write(log.SerializeToString())
    elif how == "no config":
        (root / "models.config").write_text("models {")
    elif how == "other platform":
        (root / "models.config").write_text('model_config_list { config { name: "small" } }')
    else:
        (root / "models.config").write_text(
            'model_config_list { config { name: "small" base_path: "/models/small" '
            f'model_platform: "tensorflow" {how} }} }}'
        )


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no contract", "holds assets.extra/contract.json"),
        ("other contract", "schema must be 2 or 3. Received: 7"),
        ("foreign operation", "core TensorFlow operations alone. Received: PyFunc"),
        ("foreign warmup", "must answer its own warmup requests. Received: input tensor alias"),
        ("no config", "expected a ModelServerConfig"),
        ("other platform", 'model_platform "tensorflow"'),
        ('version_labels { key: "stable" value: 4 }', "a label must mean a loaded version"),
        ("model_version_policy { specific { versions: 4 } }", "must hold the versions"),
    ],
)
def test_what_is_no_export_is_not_loaded(serving_root, tmp_path, how, message):
    link_versions(tmp_path, serving_root, ("1", 1))
    damage(tmp_path, how)
    with pytest.raises((ValueError, OSError), match=message):
        load_models(tmp_path)


def test_an_empty_root_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold models\.config, or"):
        load_models(tmp_path)
    with pytest.raises(ValueError, match="a serving root is a folder"):
        load_models(tmp_path / "absent")
