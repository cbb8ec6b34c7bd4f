"""Statistics over time against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfpipeline.features.handcrafted.statistics import (
    QUANTILES,
    STATISTICS,
    masked_quantiles,
    masked_statistics,
    statistic_names,
    time_statistics,
)


def reference(series, statistics):
    """One column of frames at a time, in float64."""
    functions = {
        "mean": np.mean,
        "std": np.std,
        "skew": scipy.stats.skew,
        "kurtosis": scipy.stats.kurtosis,
        **{
            name: lambda row, share=share: np.quantile(row, share, method="lower")
            for name, share in QUANTILES.items()
        },
    }
    series = np.asarray(series, np.float64)
    return np.array(
        [[functions[name](column) for column in clip.T for name in statistics] for clip in series]
    )


@pytest.mark.parametrize("frames", [2, 9, 10, 11, 401])
def test_equal_numpy_and_scipy(speech, frames):
    # |x| of speech: skewed, heavy-tailed, and small
    series = np.abs(speech[:3, 20_000 : 20_000 + frames * 5].reshape(3, frames, 5)) * 0.01
    received = time_statistics(tf.constant(series)).numpy()
    np.testing.assert_allclose(received, reference(series, STATISTICS), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("statistics", [("kurtosis", "mean"), ("q90",), STATISTICS])
def test_columns_follow_their_names(statistics):
    series = np.random.default_rng(0).normal(5, 2, (2, 50, 3)).astype("float32")
    names = statistic_names(("a", "b", "c"), statistics)
    received = time_statistics(tf.constant(series), statistics).numpy()
    assert received.shape == (2, len(names))
    np.testing.assert_allclose(received, reference(series, statistics), rtol=1e-4, atol=1e-5)
    column = names.index(f"b_{statistics[0]}")
    alone = time_statistics(tf.constant(series[:, :, 1:2]), statistics[:1]).numpy()[:, 0]
    np.testing.assert_allclose(received[:, column], alone, rtol=1e-4)


@pytest.mark.parametrize("level", [0.0, -80.0, 1e-20, 3e5])
def test_a_constant_series_has_no_shape(level):
    received = time_statistics(tf.fill([1, 77, 1], level)).numpy()[0]
    values = dict(zip(STATISTICS, received, strict=True))
    for name in ("mean", "q10", "q50", "q90"):
        assert values[name] == pytest.approx(level, rel=1e-6)
    assert values["std"] == pytest.approx(0, abs=1e-6 * abs(level))
    assert values["skew"] == values["kurtosis"] == 0


def test_masked_statistics_look_at_the_mask_alone():
    rng = np.random.default_rng(1)
    series = rng.normal(7, 1, (4, 60)).astype("float32")
    mask = rng.random((4, 60)) < 0.4
    mask[1], mask[2], mask[3] = False, True, np.arange(60) == 17
    moments, quantiles = (
        function(tf.constant(series), tf.constant(mask)).numpy()
        for function in (masked_statistics, masked_quantiles)
    )
    for clip in (0, 2, 3):
        chosen = series[clip][mask[clip]]
        np.testing.assert_allclose(moments[clip], [chosen.mean(), chosen.std()], atol=1e-5)
        expected = np.quantile(chosen, list(QUANTILES.values()), method="lower")
        np.testing.assert_array_equal(quantiles[clip], expected)
    np.testing.assert_array_equal(moments[1], 0)
    np.testing.assert_array_equal(quantiles[1], 0)
