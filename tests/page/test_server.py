"""The page's server over HTTP: limits, deletion, several visitors, requests of other sites."""

import http.client
import json
import threading

import numpy as np
import pytest
import soundfile

from tfpipeline import app
from tfpipeline.evaluation.calibration import Calibration

WINDOW = 16_000


class GatedScorer:
    """Scores nothing until its gate is open; counts windows by visitor, told by their level."""

    name, window, batch_size, threshold = "gated", WINDOW, 4, 0.0
    calibration = Calibration(1.0, 0.0, 0.5)

    def __init__(self):
        self.gate, self.reached, self.levels = threading.Event(), threading.Event(), []
        self.run = type("Run", (), {"metrics": {}, "folder": app.Path("nowhere")})

    def score_windows(self, windows):
        self.reached.set()
        assert self.gate.wait(60)
        self.levels.append(float(windows.max()))
        return np.ones(len(windows))


@pytest.fixture
def scorer():
    scorer = GatedScorer()
    yield scorer
    scorer.gate.set()


def sound(tmp_path, seconds=2, level=0.5):
    noise = np.random.default_rng(0).uniform(-1, 1, seconds * WINDOW)
    path = tmp_path / f"{seconds}-{level}.wav"
    soundfile.write(path, level * noise / np.abs(noise).max(), WINDOW)
    return path.read_bytes()


def post(site, contents, path="/judge?name=a.wav", headers=None):
    """Sends a file, and gives the connection, whose answer is still to be read."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("POST", path, contents, headers or {})
    return connection


def answer(connection):
    response = connection.getresponse()
    lines = response.read().decode().splitlines()
    return response.status, [json.loads(line) for line in lines]


def wait_until(true):
    """Waits for what another thread will make true."""
    ticks = threading.Event()
    for _ in range(600):
        if true():
            return
        ticks.wait(0.1)
    pytest.fail("it never came true")


def test_an_upload_is_deleted_once_it_is_judged(serve, scorer, tmp_path):
    site = serve([scorer])
    connection = post(site, sound(tmp_path))
    assert scorer.reached.wait(60)
    assert len(list(site.folder.iterdir())) == 1
    scorer.gate.set()
    status, events = answer(connection)
    assert status == 200
    assert events[0] == {"waiting": True}
    assert events[-1]["done"]["results"][0]["headline"] == "No verdict"  # noise
    wait_until(lambda: not list(site.folder.iterdir()))


def test_a_page_that_goes_stops_its_work(serve, scorer, tmp_path):
    site = serve([scorer])
    connection = post(site, sound(tmp_path, seconds=20))
    assert scorer.reached.wait(60)
    connection.close()
    # In line behind it, and gone too.
    other = post(site, sound(tmp_path))
    other.close()
    scorer.gate.set()
    wait_until(lambda: not list(site.folder.iterdir()))


def test_a_short_file_is_done_before_a_long_one_that_came_first(serve, scorer, tmp_path):
    from tfpipeline.page.server import Limits

    site = serve([scorer], Limits(at_once=2))
    first = post(site, sound(tmp_path, seconds=200, level=0.9))
    assert scorer.reached.wait(60)
    second = post(site, sound(tmp_path, seconds=2, level=0.1))
    assert next(iter(second.getresponse()))  # it waits or is read
    scorer.gate.set()
    assert answer(first)[1][-1]["done"]
    quiet = [at for at, level in enumerate(scorer.levels) if level < 0.2]
    assert quiet[0] < len(scorer.levels) - 1


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_is_too_large_is_refused(serve, scorer, tmp_path, told):
    from tfpipeline.page.server import Limits

    site = serve([scorer], Limits(megabytes=0.05))
    contents = sound(tmp_path)
    status, events = answer(post(site, contents if told else iter([contents])))
    assert status == 413
    assert events == [{"error": "A file may have 0.05 MB. This one is larger: cut it up."}]
    assert not list(site.folder.iterdir())


def test_what_takes_too_long_is_stopped(serve, scorer, tmp_path):
    from tfpipeline.page.server import Limits

    site = serve([scorer], Limits(seconds=0.5))
    _, events = answer(post(site, sound(tmp_path)))
    assert events[-1] == {"error": "It took more than 0.5 s, and was stopped."}
    scorer.gate.set()
    wait_until(lambda: not list(site.folder.iterdir()))


def test_other_sites_cannot_use_it(serve, scorer, tmp_path):
    site = serve([scorer])
    refused = post(site, b"x", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer(refused)[0] == 403
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("GET", "/about", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 400
    assert not scorer.reached.is_set()


def test_the_browser_is_told_to_load_nothing_from_elsewhere(serve, scorer):
    site = serve([scorer])
    for path in ("/", "/page.js", "/player.js", "/page.css", "/about"):
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    about = json.loads(response.read())
    assert about["runs"] == [{"name": "gated", "errs": [], "card": False}]


@pytest.mark.parametrize("path", ["/card/0", "/card/9", "/nowhere", "/explain?run=9", "/explain"])
def test_what_is_not_there(serve, scorer, path):
    site = serve([scorer])
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request("POST" if "explain" in path else "GET", path)
    assert connection.getresponse().status in (400, 404)


def test_the_command_says_what_is_missing(capsys, monkeypatch):
    assert app.main(["--at-once", "0"]) == 2
    assert "must be above 0" in capsys.readouterr().err
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    assert app.main([]) == 2
    assert "pip install 'tfpipeline[app]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_what_is_reached_from_this_machine_alone(host, local):
    pytest.importorskip("starlette", reason="needs the extra: pip install -e '.[app]'")
    from tfpipeline.page.server import is_loopback

    assert is_loopback(host) is local
