"""Spoiled files of every format: two hundred, and proof that what is wrong would be found.

Ten thousand: `python tests/benchmarks/fuzz_decode.py`.
"""

import os
import signal

import decode_fuzzing
import numpy as np
import pytest
from decode_fuzzing import Child, fuzz, judged, mutation
from decode_mutations import every_format

from tfpipeline.data.audio import decode as decode_module
from tfpipeline.data.audio.decode import Decoded

NUMBERS = 200
MOST_MB = 1500


@pytest.fixture(scope="module")
def seeds(recordings, tmp_path_factory):
    long_enough = [r for r in recordings.values() if len(r) >= 6 * 24_000]
    return every_format(long_enough[:4], tmp_path_factory.mktemp("seeds"))


def test_spoiled_files_are_refused_in_a_line_or_decoded(seeds):
    found = fuzz(seeds, [*range(NUMBERS)])
    assert not found.failures
    assert found.results["ok"] >= len(seeds)
    assert found.results["not audio"] > NUMBERS / 10
    assert max(found.peaks.values()) < MOST_MB
    assert found.ffmpeg_mb < MOST_MB


def test_a_mutation_depends_on_its_number_alone(seeds):
    number = len(seeds) + 5
    assert mutation(seeds, 0, number) == mutation(seeds, 0, number)
    assert mutation(seeds, 0, number) != mutation(seeds, 1, number)


@pytest.mark.parametrize(
    "waveform",
    [
        np.full(2000, np.nan, np.float32),
        np.full(2000, 1, np.float32),
        np.zeros(2000),
        np.full(2000, 0.1, np.float32),
        np.zeros(10, np.float32),
    ],
)
def test_a_wrong_waveform_would_be_found(waveform, monkeypatch):
    wrong = Decoded(waveform, ("",), (), "WAV", 16_000)
    monkeypatch.setattr(decode_module, "decode", lambda source, name: wrong)
    assert judged(b"")[1]


@pytest.mark.parametrize("error", [MemoryError("none"), ValueError("no kind"), OSError("broken")])
def test_another_error_would_be_found(error, monkeypatch):
    def fail(source, name):
        raise error

    monkeypatch.setattr(decode_module, "decode", fail)
    assert type(error).__name__ in judged(b"")[1]


def test_a_crash_and_a_hang_would_be_found(seeds, monkeypatch):
    contents = seeds["PCM_16.wav"]
    with Child() as child:
        assert child.run(contents, True)[:2] == ("ok", "")
        os.kill(child._process.pid, signal.SIGSEGV)
        with pytest.raises(EOFError, match="exit code -11"):
            child.run(contents, False)
        assert child.run(contents, False)[:2] == ("ok", "")
        monkeypatch.setattr(decode_fuzzing, "SECONDS_AT_MOST", 0.3)
        os.kill(child._process.pid, signal.SIGSTOP)
        with pytest.raises(TimeoutError, match=r"no answer in 0\.3 s"):
            child.run(contents, False)
