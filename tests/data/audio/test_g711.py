"""G.711 against the decision values of the recommendation, Python's audioop, and ffmpeg."""

import subprocess
import warnings

import numpy as np
import pytest

from tfpipeline.data.audio.ffmpeg import ffmpeg_program
from tfpipeline.data.audio.g711 import a_law, law_tables, mu_law

EVERY = np.arange(-32768, 32768)


def test_mu_law_has_the_values_of_the_recommendation():
    # Table 2: the decoded value of step s in segment k is (2 s + 33) 2^k - 33, of 14 bits.
    values = [((2 * step + 33) * 2**k - 33) * 4 for k in range(8) for step in range(16)]
    assert sorted(set(mu_law(EVERY))) == sorted({*values, *(-np.array(values))})
    error = np.abs(mu_law(EVERY) - EVERY)
    inside = np.abs(EVERY) < 32_124
    assert np.all(error[inside] <= 4 * 2.0 ** (np.log2(np.abs(EVERY[inside]) / 4 + 33) - 5) + 4)


def test_a_law_has_the_values_of_the_recommendation():
    # Table 1: steps of 2 of 13 bits in the first two segments, then twice as large in each.
    values = [2 * step + 1 for step in range(16)]
    values += [(2 * step + 33) * 2**k for k in range(7) for step in range(16)]
    values = 8 * np.array(values)
    assert sorted(set(a_law(EVERY))) == sorted({*values, *-values})


@pytest.mark.parametrize("name", ["ulaw", "alaw"])
def test_every_sample_as_audioop_has_it(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="Python 3.13 has none")
    codes = getattr(audioop, f"lin2{name}")(EVERY.astype("<i2").tobytes(), 2)
    decoded = np.frombuffer(getattr(audioop, f"{name}2lin")(codes, 2), "<i2")
    np.testing.assert_array_equal((mu_law if name == "ulaw" else a_law)(EVERY), decoded)


@pytest.mark.parametrize(("codec", "law"), [("mulaw", mu_law), ("alaw", a_law)])
def test_ffmpeg_decides_alike_but_for_ties(codec, law):
    form = ["-ar", "8000", "-ac", "1"]
    plain, coded = (["-f", own, *form] for own in ("s16le", codec))
    codes, decoded = EVERY.astype("<i2").tobytes(), None
    for given, wanted in ((plain, coded), (coded, plain)):
        command = [ffmpeg_program(), "-v", "error", *given, "-i", "-", *wanted, "-"]
        codes = subprocess.run(command, input=codes, capture_output=True, check=True).stdout
    decoded = np.frombuffer(codes, "<i2")
    # ffmpeg takes the next value at the borders between two.
    same = decoded == law(EVERY)
    assert same.mean() > 0.98
    np.testing.assert_array_equal(np.unique(decoded), np.unique(law(EVERY)))


def test_tables_are_of_both_laws():
    tables = law_tables()
    assert tables.dtype == np.float32
    np.testing.assert_array_equal(tables * 32768, [mu_law(EVERY), a_law(EVERY)])
