"""REST as raw JSON over a socket, against the SavedModel as TensorFlow itself loads it."""

import base64
import http.client
import json
import re
import shutil
import subprocess

import numpy as np
import pydantic_core
import pytest

from tfpipeline.serving.status import NO_SCORE, NOT_AUDIO, OK, SCORED

SCORES = {"score", "llr", "probability", "status"}


def ask(server, method, path, body=None, headers=None):
    """Status and answer, as JSON."""
    connection = http.client.HTTPConnection(server.host, server.rest_port, timeout=60)
    try:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, sent, headers or {})
        response = connection.getresponse()
        text = response.read()
        assert response.headers["Content-Type"] == "application/json"
        return response.status, json.loads(text)
    finally:
        connection.close()


def predict(server, body, where=""):
    return ask(server, "POST", f"/v1/models/{server.model}{where}:predict", body)


def b64(contents):
    return {"b64": base64.b64encode(contents).decode()}


def test_bare_rows_and_named_rows_and_columns_are_one_request(server, expected, speech):
    waveform = speech[:3, :32_000]
    rows = waveform.tolist()
    forms = [
        {"instances": rows},
        {"instances": [{"waveform": row} for row in rows]},
        {"inputs": rows},
        {"inputs": {"waveform": rows}, "signature_name": "serving_default"},
    ]
    answers = [predict(server, form) for form in forms]
    assert [status for status, _ in answers] == [200] * 4
    by_row, named, bare, by_column = (answer for _, answer in answers)
    assert by_row == named
    assert bare == by_column
    assert set(by_row) == {"predictions"}
    assert set(by_column) == {"outputs"}
    reference = expected(2, "serving_default", waveform=waveform)  # the highest version
    assert set(by_column["outputs"]) == set(reference) == SCORES
    for name, value in reference.items():
        np.testing.assert_allclose(by_column["outputs"][name], value, rtol=1e-4, atol=1e-5)
        found = [row[name] for row in by_row["predictions"]]
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)


def test_an_only_output_stands_without_its_name(server):
    contract = (server.root / server.model / "2" / "assets.extra" / "contract.json").read_text()
    body = {"signature_name": "contract", "instances": ["", "any"]}
    assert predict(server, body) == (200, {"predictions": [contract] * 2})
    body = {"signature_name": "contract", "inputs": {"request": [""]}}
    assert predict(server, body) == (200, {"outputs": [contract]})


def test_audio_as_base64_and_one_bad_clip(server, expected, wavs):
    for rows in ([b64(w) for w in wavs], [{"audio": b64(w)} for w in wavs]):
        status, answer = predict(server, {"signature_name": "audio_bytes", "instances": rows})
        assert status == 200
        reference = expected(2, "audio_bytes", audio=wavs)
        found = {name: [row[name] for row in answer["predictions"]] for name in SCORES}
        assert found["status"] == [OK, OK, NOT_AUDIO, OK, OK]
        assert [score == NO_SCORE for score in found["score"]] == [False, False, True, False, False]
        for name in SCORES:
            np.testing.assert_allclose(found[name], reference[name], rtol=1e-4, atol=1e-5)


def read_python(text):
    def refuse(constant):
        raise ValueError(f"no JSON: {constant}")

    return json.loads(text, parse_constant=refuse)


def read_rust(text):
    return pydantic_core.from_json(text, allow_inf_nan=False)


def read_javascript(text):
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not on the PATH")
    code = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf-8'))))"
    done = subprocess.run([node, "-e", code], input=text, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)


def read_grammar(text):
    """By the numbers of RFC 8259 alone, each within float32, as Go and Java may read them."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    for token in re.findall(r"[^\s,:\[\]{}]+", bare):
        number = re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", token)
        if token not in ('""', "true", "false", "null") and not (
            number and abs(float(token)) < 3.4e38
        ):
            raise ValueError(f"no JSON: {token}")
    return json.loads(text)


STRICT = pytest.mark.parametrize("read", [read_python, read_rust, read_javascript, read_grammar])


@STRICT
@pytest.mark.parametrize("text", ["NaN", "-Infinity", "Infinity"])
def test_strict_parsers_refuse_what_is_no_number(read, text):
    with pytest.raises(ValueError):  # noqa: PT011 - in the words of each
        read(f'{{"outputs": [1.5, {text}]}}')


@STRICT
def test_strict_parsers_accept_every_answer(server, expected, speech, wavs, read):
    """Whatever is in the batch: what cannot be judged, NaN, infinity, and what overflows."""
    spoiled = np.stack([speech[0], *[speech[1]] * 4])
    for row, value in enumerate((np.nan, np.inf, -np.inf, 3e38), start=1):
        spoiled[row, 777] = value
    silent = np.zeros_like(speech[:1])
    files = [*wavs, b"", b"RIFF", b"OggS"]
    for signature, name, rows, inputs in (
        ("audio_bytes", "audio", [b64(own) for own in files], files),
        ("serving_default", "waveform", spoiled.tolist(), spoiled),
        ("serving_default", "waveform", silent.tolist(), silent),
        ("windows", "windows", spoiled.tolist(), spoiled),
        ("contract", "request", [""], [b""]),
    ):
        reference = expected(2, signature, **{name: inputs})
        for form in ({"inputs": {name: rows}}, {"instances": rows}):
            text = answer_text(server, {"signature_name": signature, **form})
            answer = read(text)
            found = answer.get("outputs") or answer["predictions"]
            if signature == "contract":
                read(found[0])
                continue
            if len(reference) == 1:
                found = {"score": found}
            elif "predictions" in answer:
                found = {key: [row[key] for row in found] for key in found[0]}
            for key, value in reference.items():
                np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4)
                if key != "status":
                    assert np.isfinite(value).all()
            lost = np.array(found["score"]) == NO_SCORE
            assert lost.any()
            if "status" in found:
                np.testing.assert_array_equal(lost, ~np.isin(found["status"], SCORED))


def answer_text(server, body):
    connection = http.client.HTTPConnection(server.host, server.rest_port, timeout=60)
    connection.request("POST", f"/v1/models/{server.model}:predict", json.dumps(body))
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return text


@pytest.mark.parametrize(
    ("where", "version"),
    [("", 2), ("/versions/1", 1), ("/versions/2", 2), ("/labels/stable", 1), ("/labels/canary", 2)],
)
def test_versions_and_labels(server, expected, speech, where, version):
    status, answer = predict(server, {"inputs": speech[:1].tolist()}, where)
    reference = expected(version, "serving_default", waveform=speech[:1])
    assert status == 200
    np.testing.assert_allclose(answer["outputs"]["score"], reference["score"], atol=1e-4)


def test_versions_differ(expected, speech):
    first, second = (expected(v, "serving_default", waveform=speech)["score"] for v in (1, 2))
    assert (np.abs(first - second) > 1e-3).all()


def test_status_and_metadata(server):
    path = f"/v1/models/{server.model}"
    state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    states = [{"version": version, **state} for version in ("2", "1")]
    assert ask(server, "GET", path) == (200, {"model_version_status": states})
    assert ask(server, "GET", f"{path}/versions/1") == (200, {"model_version_status": states[1:]})
    status, answer = ask(server, "GET", f"{path}/labels/stable/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": server.model, "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "audio_bytes", "windows", "contract"} <= set(signatures)
    for name, own, sizes in (
        ("serving_default", "waveform", ["-1", "-1"]),
        ("windows", "windows", ["-1", "64000"]),
    ):
        tensor = signatures[name]["inputs"][own]
        assert tensor["dtype"] == "DT_FLOAT"
        assert [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == sizes
        assert signatures[name]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/{m}/versions/9", 404, "Could not find version 9 of model {m}"),
        ("GET", "/v1/models/{m}/versions/9/metadata", 404, "Specific({m}, 9)"),
        ("GET", "/v1/models", 400, "Missing model name in request"),
        ("GET", "/v1/models/{m}/versions/one", 400, "Malformed request: GET"),
        ("GET", "/v1/models/{m}:predict", 400, "Malformed request: GET"),
        ("POST", "/v1/models/{m}:judge", 400, "Malformed request: POST"),
        ("POST", "/v1/models/{m}", 400, "Malformed request: POST"),
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/{m}/versions/9:predict", 404, "request: Specific({m}, 9)"),
        ("POST", "/v1/models/{m}/labels/old:predict", 400, "Unrecognized servable version label"),
        ("POST", "/v1/models/{m}/versions/99999999999999999999:predict", 400, "to numeric"),
    ],
)
def test_foreign_paths(server, method, path, code, message):
    body = {"signature_name": "contract", "instances": [""]} if method == "POST" else None
    status, answer = ask(server, method, path.format(m=server.model), body)
    assert status == code
    assert set(answer) == {"error"}
    assert message.format(m=server.model) in answer["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error"),
        (b"\xff\xfe{}", "JSON Parse error"),
        ([1], "Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[0.1]], "inputs": [[0.1]]}, "expecting only one of"),
        ({"instances": 0.1}, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"signature_name": 7, "instances": [[0.1]]}, "'signature_name' key must be a string"),
        ({"signature_name": "none", "instances": [[0.1]]}, 'Serving signature name: "none"'),
        ({"instances": [["a"]]}, "is not of expected type: float"),
        ({"instances": [[True]]}, "is not of expected type: float"),
        ({"instances": [[None]]}, "Type: Null is not of expected type: float"),
        ({"instances": [[16_777_216]]}, "to float without loss of precision"),
        ({"instances": [[1e39]]}, "to float without loss of precision"),
        ({"instances": [[0.1, 0.2], [0.1]]}, "Expecting tensor size: 2 but got: 1"),
        ({"instances": [[[0.1, 0.2]], [[0.1], [0.2]]]}, "Expecting shape [1,2] but got: [2,1]"),
        ({"inputs": [[0.1, 0.2], [0.1]]}, "Encountered list at unexpected size: 1 at level: 1"),
        ({"inputs": [0.1, [0.1]]}, "Encountered list at unexpected level: 1 expected < 1"),
        ({"inputs": [[0.1], 0.1]}, "found at incorrect level"),
        ({"instances": [{"sound": [0.1]}]}, "JSON object: does not have named input: sound"),
        ({"instances": [{"waveform": [0.1]}, [0.1]]}, "Expecting object but got list at item 1"),
        ({"instances": [[0.1], {"waveform": [0.1]}]}, "Expecting value/list but got object"),
        ({"inputs": {"sound": [[0.1]]}}, "Missing named input: waveform in 'inputs' object"),
        ({"signature_name": "windows", "inputs": [[0.1, 0.2]]}, "64000"),
        ({"signature_name": "audio_bytes", "instances": [{"b64": "#"}]}, "Unable to base64 decode"),
        ({"signature_name": "audio_bytes", "instances": [7]}, "is not of expected type: string"),
    ],
)
def test_malformed_bodies(server, body, message):
    status, answer = predict(server, body)
    assert status == 400
    assert set(answer) == {"error"}
    assert message in answer["error"]


@pytest.mark.parametrize("rows", [[0.1, 0.2], [[[0.1]]]])
def test_a_wrong_rank_is_refused_and_the_server_goes_on(server, rows, speech):
    status, answer = predict(server, {"inputs": rows})
    assert status == 400
    assert answer["error"]
    assert predict(server, {"inputs": speech[:1].tolist()})[0] == 200


def test_numbers_are_read_exactly(server, expected):
    # Neighbouring floats, whole numbers, exponents, NaN and Infinity.
    texts = ["0.1", "1", "-0", "1e-3", "9.99999975e-05", "3.4028234e38", "NaN", "-Infinity"]
    for text in texts:
        body = f'{{"inputs": [[{", ".join([text] * 800)}]]}}'.encode()
        status, answer = predict(server, body)
        assert status == 200
        waveform = np.full((1, 800), float(text), np.float32)
        reference = expected(2, "serving_default", waveform=waveform)
        for name, value in reference.items():
            np.testing.assert_allclose(answer["outputs"][name], value, rtol=1e-4, atol=1e-5)


def test_one_connection_serves_many_requests(server, speech):
    connection = http.client.HTTPConnection(server.host, server.rest_port, timeout=60)
    body = json.dumps({"inputs": speech[:1, :8000].tolist()})
    for method, path, sent, code in [
        ("POST", f"/v1/models/{server.model}:predict", body, 200),
        ("GET", f"/v1/models/{server.model}", None, 200),
        ("POST", f"/v1/models/{server.model}:predict", "{", 400),
        ("POST", f"/v1/models/{server.model}:predict", body, 200),
    ]:
        connection.request(method, path, sent)
        socket = connection.sock
        response = connection.getresponse()
        response.read()
        assert response.status == code
        assert connection.sock is socket
    connection.close()
