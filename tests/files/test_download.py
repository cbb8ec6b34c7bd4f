"""Downloads from a server on the loopback."""

import functools
import hashlib
import http.server
import threading

import pytest

from tfpipeline.files.download import Download, fetch

CONTENT = bytes(range(256)) * 1000
SIZE = len(CONTENT)


@pytest.fixture
def address(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(CONTENT)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def download(address, size=SIZE, content=CONTENT, name="weights.bin"):
    digest = hashlib.sha256(content).hexdigest()
    return Download(f"{address}/{name}", "kept.bin", size, digest)


def test_fetched_once_and_checked(address, tmp_path, capsys):
    path = fetch(download(address), tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert capsys.readouterr().err.startswith("downloading kept.bin from http://127.0.0.1:")
    nowhere = download("http://127.0.0.1:9")
    assert fetch(nowhere, tmp_path / "cache") == path
    path.write_bytes(b"tampered")
    with pytest.raises(ValueError, match=r"the SHA-256 must be .* Delete it"):
        fetch(nowhere, tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"size": len(CONTENT) + 1}, ConnectionError, "fewer than 256,001 bytes"),
        ({"size": len(CONTENT) - 1}, ConnectionError, "more than 255,999 bytes"),
        ({"content": b"other"}, ValueError, "The server sent another file"),
        ({"name": "none.bin"}, ConnectionError, "could not be downloaded"),
    ],
)
def test_what_goes_wrong_leaves_nothing(address, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        fetch(download(address, **change), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_address_that_does_not_answer(tmp_path):
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9/weights\.bin could not be"):
        fetch(download("http://127.0.0.1:9"), tmp_path / "cache")
