"""A run whose verdicts on two clips differ, and a page that is judged by it."""

import json
import shutil
import socket
import threading
from types import SimpleNamespace

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def two_clips(tiny_run, tiny_corpus):
    """The original and the copy that the tiny run tells apart best: paths and raw scores."""
    scores = pd.read_csv(tiny_run / "scores.csv")
    real = scores[scores["label"] == "bonafide"].nsmallest(1, "score").iloc[0]
    fake = scores[scores["label"] == "spoof"].nlargest(1, "score").iloc[0]
    assert real["score"] < fake["score"]
    return SimpleNamespace(real=real["path"], fake=fake["path"], scores=(real.score, fake.score))


@pytest.fixture(scope="session")
def sure_run(made_once, tiny_run, two_clips):
    """The tiny run with a threshold between the two clips, and a calibration sure of them."""

    def make(folder):
        shutil.copytree(tiny_run, folder / "sure", ignore=shutil.ignore_patterns("serving"))
        low, high = two_clips.scores
        slope = 8 / (high - low)  # log-odds of -4 and 4
        middle = (low + high) / 2
        metrics = json.loads((tiny_run / "metrics.json").read_text())
        metrics["threshold"]["value"] = middle
        (folder / "sure/metrics.json").write_text(json.dumps(metrics))
        (folder / "sure/calibration.json").write_text(
            json.dumps({"a": slope, "b": -slope * middle, "prior": 0.5})
        )

    return made_once("sure_run", make) / "sure"


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """(scorers, limits) → a page that is served: its address, and the folder of its uploads."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra: pip install -e '.[app]'")
    pytest.importorskip("starlette", reason="needs the extra: pip install -e '.[app]'")
    from tfpipeline.page.server import build_app

    running = []

    def start(scorers, limits=None):
        folder = tmp_path_factory.mktemp("uploads")
        listener = socket.create_server(("127.0.0.1", 0))
        app = build_app(scorers, folder, limits=limits)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        port = listener.getsockname()[1]
        return SimpleNamespace(address=f"http://127.0.0.1:{port}/", port=port, folder=folder)

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()
