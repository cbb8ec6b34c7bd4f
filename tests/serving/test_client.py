"""The client against the servers, and against failures that are made to order."""

import http.client
import http.server
import json
import re
import socket
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest

from tfpipeline.serving.client import http as http_transport
from tfpipeline.serving.client.client import Batching, Client, open_client
from tfpipeline.serving.client.transport import (
    Address,
    RetryableError,
    RetryPolicy,
    parse_address,
    try_again,
)
from tfpipeline.serving.status import NO_SCORE, NOT_AUDIO, OK

PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http"])


# Against the servers


@PROTOCOLS
@pytest.mark.parametrize("rows", [1, 4, 32])
def test_windows_equal_the_saved_model(server, protocol, expected, speech, rows):
    with open_client(server.address(protocol), batching=Batching(rows=rows)) as client:
        scores = client.score_windows(speech)
        assert scores.dtype == np.float64
        for signature, name in (("windows", "windows"), ("serving_default", "waveform")):
            reference = expected(2, signature, **{name: speech})
            np.testing.assert_allclose(scores, reference["score"], atol=1e-4)
        with pytest.raises(ValueError, match="refuses the request"):
            client.score_windows(speech[:2, :32_000])
        assert client.score_windows(speech[:0]).shape == (0,)


@PROTOCOLS
@pytest.mark.parametrize("rows", [1, 2, 3, 32])
def test_batches_keep_order_and_one_bad_clip_is_its_own(server, protocol, expected, wavs, rows):
    with open_client(server.address(protocol), batching=Batching(rows=rows)) as client:
        found = client.score_audio(wavs)
        reference = expected(2, "audio_bytes", audio=wavs)
        assert [row["status"] for row in found] == [OK, OK, NOT_AUDIO, OK, OK]
        assert [np.isnan(row["score"]) for row in found] == [False, False, True, False, False]
        for number, row in enumerate(found):
            assert set(row) == {"score", "llr", "probability", "status"}
            for name in ("score", "llr", "probability"):
                value = np.nan if number == 2 else reference[name][number]
                np.testing.assert_allclose(row[name], value, atol=1e-4)
        assert client.score_audio([]) == []


@PROTOCOLS
@pytest.mark.parametrize(
    ("where", "version"),
    [("", 2), ("/versions/1", 1), ("/labels/stable", 1), ("/labels/canary", 2)],
)
def test_the_contract_of_a_version(server, protocol, where, version):
    with open_client(server.address(protocol, where)) as client:
        contract = client.contract()
    folder = server.root / server.model / str(version)
    assert contract == json.loads((folder / "assets.extra" / "contract.json").read_text())
    assert contract["threshold"]["value"] == 0.25 * version


@PROTOCOLS
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("other", "Servable not found for request: Latest"),
        ("small/versions/9", "Servable not found for request: Specific"),
        ("small/labels/old", "Unrecognized servable version label: old"),
    ],
)
def test_what_is_not_there_is_refused_at_once(server, protocol, model, message):
    address = server.address(protocol).removesuffix(server.model) + model
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    with open_client(address, policy) as client, pytest.raises(ValueError, match=message):
        client.contract()


@PROTOCOLS
def test_windows_of_nan_and_infinity_have_no_score(server, protocol, expected, speech):
    windows = speech[:3].copy()
    windows[0, 5], windows[1, 7] = np.nan, np.inf
    with open_client(server.address(protocol)) as client:
        scores = client.score_windows(windows)
    reference = expected(2, "windows", windows=windows)
    assert np.isnan(scores).tolist() == (reference["score"] == NO_SCORE).tolist()
    assert np.isnan(scores).tolist() == [True, True, False]
    assert scores[2] == pytest.approx(reference["score"][2], abs=1e-4)
    whole = expected(2, "windows", windows=speech[:3])["score"]
    assert (np.abs(scores - whole) < 1e-4).tolist() == [False, False, True]


def test_rest_sends_each_float_exactly(speech):
    from tfpipeline.serving.client.http import HttpTransport

    transport = HttpTransport(parse_address("http://127.0.0.1/m"))
    for row in (speech[0], np.float32([1e-45, 3.4028235e38, -0.0, 1 / 3, np.nan, -np.inf])):
        np.testing.assert_array_equal(np.float32(json.loads(transport.encode(row))), row)


@PROTOCOLS
def test_a_server_that_is_not_there(protocol):
    naps = []
    policy = RetryPolicy(tries=3, sleep=naps.append)
    with socket.socket() as held:  # bound, but it does not listen
        held.bind(("127.0.0.1", 0))
        address = f"{protocol}://127.0.0.1:{held.getsockname()[1]}/m"
        with (
            open_client(address, policy) as client,
            pytest.raises(ConnectionError, match=r"3 tries failed.*Is the server running"),
        ):
            client.contract()
    assert len(naps) == 2


@pytest.mark.parametrize(("protocol", "other"), [("grpc", "http"), ("http", "grpc")])
def test_the_port_of_the_other_protocol_is_told_in_words(server, protocol, other):
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    address = server.address(other).replace(other, protocol)
    with open_client(address, policy) as client, pytest.raises(ConnectionError) as raised:
        client.contract()
    message = str(raised.value)
    assert message.startswith(f"{address}: expected a ")
    assert message.endswith(f"the address is {server.address(other)}.")
    assert message.isascii()
    assert message.isprintable()


# Without TensorFlow


def test_the_http_client_needs_neither_tensorflow_nor_grpc(stand_in):
    code = (
        "import sys\n"
        "from tfpipeline.serving.client.client import open_client\n"
        f"with open_client({stand_in.address('http')!r}) as client:\n"
        "    assert client.contract()['name'] == 'small'\n"
        "heavy = {'tensorflow', 'grpc', 'keras', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Sizes of requests


class Recorder:
    """A transport that keeps what it is asked to send."""

    def __init__(self):
        self.batches = []

    def encoded_size(self, audio):
        return len(audio)

    def encode(self, row):
        return row if isinstance(row, bytes) else row.tobytes()

    def predict(self, signature, name, rows, samples, outputs, seconds):
        self.batches.append(list(rows))
        return {own: np.arange(len(rows)) for own in outputs}

    def close(self):
        pass


def recording_client(**batching):
    address = Address("http", "127.0.0.1", 1, "m")
    return Client(address, Recorder(), RetryPolicy(), Batching(**batching))


def test_requests_stay_under_both_limits():
    sizes = [400, 300, 300, 900, 10, 10, 10, 10]
    audio = [bytes([number]) * size for number, size in enumerate(sizes)]
    client = recording_client(rows=3, request_bytes=1024 + 1000)
    client.score_audio(audio)
    batches = client._transport.batches
    assert [len(own) for batch in batches for own in batch] == sizes  # all, in order
    assert [len(batch) for batch in batches] == [2, 1, 3, 2]
    assert all(sum(map(len, batch)) + 16 * len(batch) <= 1000 for batch in batches)


def test_a_clip_above_the_limit_is_refused_before_anything_is_sent():
    client = recording_client(request_bytes=2000)
    with pytest.raises(ValueError, match=r"most 2000 bytes long\. Received: a recording of 1000"):
        client.score_audio([b"a" * 10, b"b" * 1000])
    with pytest.raises(ValueError, match="at most 2000 bytes long"):
        client.score_windows(np.zeros((1, 500), np.float32))
    assert client._transport.batches == []
    client.score_audio([b"b" * (2000 - 1024 - 16)])  # just fits
    assert len(client._transport.batches) == 1


def test_base64_is_counted():
    client = open_client("http://127.0.0.1:1/m", batching=Batching(request_bytes=2000))
    client.check_size(b"a" * 690)
    with pytest.raises(ValueError, match="at most 2000 bytes"):
        client.check_size(b"a" * 730)


@pytest.mark.parametrize("windows", [np.zeros(5), np.zeros((1, 2, 3))])
def test_windows_of_another_rank(windows):
    with pytest.raises(ValueError, match=r"windows must be \(n, samples\)"):
        recording_client().score_windows(windows)


# Tries and deadlines, on a clock of their own


class Clock:
    """Time passes by sleeping alone."""

    def __init__(self):
        self.now, self.naps = 100.0, []

    def policy(self, **changes):
        return RetryPolicy(clock=lambda: self.now, sleep=self.sleep, chance=lambda: 1.0, **changes)

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds


def failing(times, error=RetryableError, seconds=0.0, clock=None):
    """An attempt that fails so many times, each of which takes so long."""
    left = []

    def attempt(allowed):
        left.append(allowed)
        if clock:
            clock.now += seconds
        if len(left) <= times:
            raise error("busy")
        return "answer"

    attempt.left = left
    return attempt


def test_pauses_double_up_to_a_limit():
    clock = Clock()
    policy = clock.policy(tries=6, first_pause=1, longest_pause=5)
    assert try_again(failing(5), policy, policy.until(), "it") == "answer"
    assert clock.naps == [1, 2, 4, 5, 5]


def test_pauses_are_shortened_by_chance():
    naps = []
    chances = iter([0.0, 0.5, 1.0])
    policy = RetryPolicy(tries=4, first_pause=1, sleep=naps.append, chance=lambda: next(chances))
    try_again(failing(3), policy, policy.until(), "it")
    assert naps == [0.5, 1.5, 4.0]


def test_tries_are_counted():
    clock = Clock()
    policy = clock.policy(tries=3)
    with pytest.raises(ConnectionError, match=r"^it: 3 tries failed\. The last failure: busy\. Is"):
        try_again(failing(3), policy, policy.until(), "it")
    assert len(clock.naps) == 2


@pytest.mark.parametrize("error", [ValueError, ConnectionError, TimeoutError, KeyError])
def test_what_cannot_pass_is_not_tried_again(error):
    clock = Clock()
    policy = clock.policy()
    with pytest.raises(error, match="busy"):
        try_again(failing(1, error), policy, policy.until(), "it")
    assert clock.naps == []


def test_the_deadline_holds_over_tries_and_pauses():
    clock = Clock()
    policy = clock.policy(seconds=10, tries=100, first_pause=1, longest_pause=2)
    attempt = failing(100, seconds=1.5, clock=clock)
    with pytest.raises(
        TimeoutError, match=r"^it: no answer within 10 s. The last failure: busy\.$"
    ):
        try_again(attempt, policy, policy.until(), "it")
    assert clock.naps == [1, 2, 2]
    assert attempt.left == [10, 7.5, 4.0, 0.5]


def test_the_deadline_holds_over_all_requests_of_a_call():
    clock = Clock()
    transport = Recorder()
    sent = transport.predict

    def slow(*arguments):
        clock.now += 4
        return sent(*arguments)

    transport.predict = slow
    client = Client(
        parse_address("http://h/m"), transport, clock.policy(seconds=10), Batching(rows=1)
    )
    with pytest.raises(TimeoutError, match="http://h:8501/m: no answer within 10 s"):
        client.score_audio([b"a"] * 4)
    assert len(transport.batches) == 3
    client.score_audio([b"a"] * 2)  # the next call has its own


# HTTP servers that misbehave


@pytest.fixture
def opened(monkeypatch):
    """The sockets that connect, in order."""
    sockets, connect = [], socket.socket.connect

    def connecting(own, address):
        sockets.append(own)
        connect(own, address)

    monkeypatch.setattr(socket.socket, "connect", connecting)
    return sockets


@pytest.fixture
def scripted():
    """A server that plays a list of (status, body), then closes each connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.paths.append(self.path)
            status, body = self.server.script.pop(0)
            self.close_connection = True
            if status is None:  # gone without an answer
                return
            self.send_response(status)
            # One byte more than is sent, where the answer is to be cut short.
            self.send_header("Content-Length", str(len(body) + (body == b"short")))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.script, server.paths = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/m"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


GOOD = (200, b'{"outputs": {"score": [1.5], "status": [0], "llr": [1], "probability": [0.5]}}')


def test_http_failures_that_may_pass(scripted):
    scripted.script = [
        (503, b'{"error": "loading"}'),
        (429, b""),
        (502, b"<html>"),
        (None, b""),
        (200, b"short"),
        GOOD,
    ]
    clock = Clock()
    with open_client(scripted.url + "/labels/a%20b", clock.policy()) as client:
        assert client.score_audio([b"a"])[0]["score"] == 1.5
    assert len(clock.naps) == 5
    assert scripted.paths == ["/v1/models/m/labels/a%20b:predict"] * 6


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (400, b'{"error": "bad\\u001b[31m input"}', ValueError, r"refuses the request: bad \[31m"),
        (404, b'{"error": "Servable not found"}', ValueError, r"Servable not found \(HTTP 404\)"),
        (413, b"", ValueError, r"no reason given \(HTTP 413\)"),
        (301, b"", ConnectionError, "HTTP 301"),
        (500, b'{"error": "out of memory"}', ConnectionError, r"out of memory \(HTTP 500\)"),
        (504, b"", ConnectionError, "HTTP 504"),
        (200, b"<html>", ConnectionError, "Is it TensorFlow Serving"),
        (200, b'{"predictions": []}', ConnectionError, "expected the outputs score, llr"),
        (200, b'{"outputs": {"score": [1]}}', ConnectionError, "expected the outputs"),
        (
            200,
            GOOD[1].replace(b"[1.5]", b"[1.5, 2.5]"),
            ConnectionError,
            "score for each of 1",
        ),
        (200, GOOD[1].replace(b"[1.5]", b'["a"]'), ConnectionError, "score for each of 1"),
        (200, GOOD[1].replace(b"[1.5]", b"[[1.5]]"), ConnectionError, "score for each of 1"),
    ],
)
def test_http_failures_that_are_final(scripted, status, body, error, message):
    scripted.script = [(status, body)]
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    with (
        open_client(scripted.url, policy) as client,
        pytest.raises(error, match=message) as raised,
    ):
        client.score_audio([b"a"])
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("none", ["NaN", "-1e+10"])
def test_no_score_is_nan_of_exports_old_and_new(scripted, none):
    """Schema 2 answered bare NaN, schema 3 answers its sentinel."""
    floats = f'"score": [{none}, 2.0], "llr": [{none}, 1.5], "probability": [{none}, 0.75]'
    scripted.script = [
        (200, f'{{"outputs": {{{floats}, "status": [4, 0]}}}}'.encode()),
        (200, f'{{"outputs": [{none}, 2.0]}}'.encode()),
    ]
    with open_client(scripted.url) as client:
        first, second = client.score_audio([b"a", b"b"])
        windows = client.score_windows(np.zeros((2, 4)))
    assert second == {"score": 2.0, "llr": 1.5, "probability": 0.75, "status": 0}
    assert first.pop("status") == NOT_AUDIO
    assert np.isnan([*first.values()]).tolist() == [True] * 3
    np.testing.assert_array_equal(windows, [np.nan, 2.0])


def test_no_http_answer_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with (
            open_client(f"http://127.0.0.1:{port}/m", RetryPolicy(seconds=0.2)) as client,
            pytest.raises(TimeoutError, match="no answer within"),
        ):
            client.contract()


def test_one_connection_is_kept(stand_in, speech, opened):
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    with open_client(stand_in.address("http"), policy, Batching(rows=1)) as client:
        client.contract()
        client.score_windows(speech[:3])
        assert len(opened) == 1
        assert opened[0].fileno() >= 0
    assert opened[0].fileno() < 0  # closed


def test_a_closed_connection_is_opened_anew(stand_in, opened):
    clock = Clock()
    with open_client(stand_in.address("http"), clock.policy()) as client:
        client.contract()
        opened[0].shutdown(socket.SHUT_RDWR)
        client.contract()
    assert len(opened) == 2
    assert clock.naps == []  # that is no failure of the server's


def test_an_answer_that_dribbles_is_given_up(scripted):
    scripted.script = [GOOD]
    times = iter([0.0, 0.0, 0.0, 99.0])  # the call begins; a try; its request; its answer is read
    policy = RetryPolicy(seconds=10, clock=lambda: next(times))
    with (
        open_client(scripted.url, policy) as client,
        pytest.raises(TimeoutError, match="no answer within 10 s"),
    ):
        client.score_audio([b"a"])


def test_an_answer_without_end_is_cut_off(scripted, monkeypatch):
    monkeypatch.setattr(http_transport, "MOST_ANSWER_BYTES", 50)
    scripted.script = [GOOD]
    with open_client(scripted.url) as client, pytest.raises(ValueError, match="at most 50 bytes"):
        client.score_audio([b"a"])


def test_an_unknown_host_is_final(monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    with (
        open_client("http://nowhere.invalid/m", policy) as client,
        pytest.raises(ConnectionError, match=r"unknown host \(Name or service not known\)"),
    ):
        client.contract()


def test_a_server_without_tls_is_final(stand_in):
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    address = stand_in.address("http").replace("http:", "https:")
    with (
        open_client(address, policy) as client,
        pytest.raises(ConnectionError, match=r"no secure connection \([A-Z_]+\)"),
    ):
        client.contract()


def test_the_proxy_of_the_environment_is_not_asked(scripted, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    scripted.script = [GOOD]
    policy = RetryPolicy(sleep=lambda seconds: pytest.fail("tried again"))
    with open_client(scripted.url, policy) as client:
        assert client.score_audio([b"a"])[0]["score"] == 1.5


# gRPC failures, made in the stub


class Failure(grpc.RpcError):
    def __init__(self, code, details):
        self.code, self.details = (lambda: code), (lambda: details)


CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "details", "error", "tries"),
    [
        (CODE.UNAVAILABLE, "connection refused", None, 2),
        (CODE.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!", None, 2),
        (CODE.RESOURCE_EXHAUSTED, "Received message larger than max (5 vs. 4)", ValueError, 1),
        (CODE.INVALID_ARGUMENT, "bad shape", ValueError, 1),
        (CODE.NOT_FOUND, "Servable not found", ValueError, 1),
        (CODE.FAILED_PRECONDITION, "no signature", ValueError, 1),
        (CODE.UNIMPLEMENTED, "", ValueError, 1),
        (CODE.DEADLINE_EXCEEDED, "", TimeoutError, 1),
        (CODE.INTERNAL, "out of memory", ConnectionError, 1),
    ],
)
def test_grpc_failures(stand_in, code, details, error, tries):
    clock = Clock()
    with open_client(stand_in.address("grpc"), clock.policy()) as client:
        predict, calls = client._transport._stub.Predict, []

        def failing_once(request, timeout):
            calls.append(timeout)
            if len(calls) == 1:
                raise Failure(code, details)
            return predict(request, timeout=timeout)

        client._transport._stub.Predict = failing_once
        if error:
            with pytest.raises(error, match=re.escape(details or "127.0.0.1")):
                client.contract()
        else:
            assert client.contract()["name"] == "small"
    assert len(calls) == tries


# Addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("grpc://host:9/m", Address("grpc", "host", 9, "m")),
        ("grpc://host/m", Address("grpc", "host", 8500, "m")),
        ("http://127.0.0.1/m/versions/12", Address("http", "127.0.0.1", 8501, "m", version=12)),
        ("http://[::1]:7/a%20b/labels/c%2Fd", Address("http", "::1", 7, "a b", label="c/d")),
        ("https://host/v1/models/m", Address("https", "host", 443, "m")),
    ],
)
def test_addresses(text, found):
    assert parse_address(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://host:8501", "must be asked for a model by name, since it does not list them"),
        ("grpc://host:8500/", "must be asked for a model by name"),
        ("http://host:8501/v1/models", "must be asked for a model by name"),
        ("host:8500/m", "a server must be grpc://HOST:PORT/MODEL"),
        ("ftp://host/m", "a server must be grpc://HOST:PORT/MODEL"),
        ("http:///m", "a server must be"),
        ("http://host:99999/m", "Port out of range"),
        ("http://host/m/versions/x", "a server must be"),
        ("http://host/m/versions", "a server must be"),
        ("http://host/m?version=1", "a server must be"),
        ("http://me:secret@host/m", "must hold no user name. Received: one"),
    ],
)
def test_addresses_of_another_form(text, message):
    with pytest.raises(ValueError, match=message) as raised:
        parse_address(text)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RetryPolicy(seconds=0), "seconds must be above 0"),
        (lambda: RetryPolicy(tries=0), "tries at least 1"),
        (lambda: Batching(rows=0), "rows must be at least 1"),
        (lambda: Batching(request_bytes=1000), "request_bytes above 1040"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()
