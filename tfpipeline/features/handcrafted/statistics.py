"""Statistics over time: how series of frames become columns of features.

A series is (size, frames, n): n values a frame, of a few clips. All statistics are finite; those
that a constant series leaves undefined (its skew and kurtosis) are 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

MOMENTS = ("mean", "std", "skew", "kurtosis")
QUANTILES = {"q10": 0.1, "q50": 0.5, "q90": 0.9}
STATISTICS = (*MOMENTS, *QUANTILES)

# A deviation below this, or this share of the mean, is rounding in float32, not change over time.
LEAST_DEVIATION, LEAST_RELATIVE_DEVIATION = 1e-6, 1e-5


def statistic_names(series: Sequence[str], statistics: Sequence[str] = STATISTICS) -> list[str]:
    """Names of the columns of `time_statistics`, `<series>_<statistic>`, in its order."""
    return [f"{name}_{statistic}" for name in series for statistic in statistics]


def time_statistics(series: tf.Tensor, statistics: Sequence[str] = STATISTICS) -> tf.Tensor:
    """Statistics of each series over its frames.

    Args:
        series: float32 (size, frames, n).
        statistics: some of `STATISTICS`. Skew and kurtosis are the biased ones, kurtosis less 3;
            a quantile is the order statistic at or below it, without interpolation.
    Returns:
        float32 (size, n · statistics): all statistics of the first series, then of the second …
    Reference:
        `numpy.mean, std, quantile(method="lower")`, `scipy.stats.skew, kurtosis`.
    """
    values = {}
    if set(statistics) & set(MOMENTS):
        values |= _moments(series)
    wanted = {name: share for name, share in QUANTILES.items() if name in statistics}
    if wanted:
        values |= _quantiles(series, wanted)
    stacked = tf.stack([values[name] for name in statistics], axis=2)  # (size, n, statistics)
    return tf.reshape(stacked, [tf.shape(series)[0], series.shape[2] * len(statistics)])


def masked_statistics(series: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean and deviation of one series over the frames of a mask; 0 where it holds none.

    Args:
        series: float32 (size, frames).
        mask: bool (size, frames).
    Returns:
        float32 (size, 2).
    """
    weight = tf.cast(mask, series.dtype)
    count = tf.maximum(tf.reduce_sum(weight, axis=1), 1)
    mean = tf.reduce_sum(series * weight, axis=1) / count
    centred = (series - mean[:, None]) * weight
    return tf.stack([mean, tf.sqrt(tf.reduce_sum(centred**2, axis=1) / count)], axis=1)


def masked_quantiles(series: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """`QUANTILES` of one series over the frames of a mask; 0 where it holds none.

    Args:
        series: float32 (size, frames), finite.
        mask: bool (size, frames).
    Returns:
        float32 (size, len(QUANTILES)).
    """
    ordered = tf.sort(tf.where(mask, series, series.dtype.max), axis=1)
    count = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    places = [
        tf.cast(tf.floor(share * tf.cast(tf.maximum(count - 1, 0), tf.float32)), tf.int32)
        for share in QUANTILES.values()
    ]
    values = tf.gather(ordered, tf.stack(places, axis=1), batch_dims=1)
    return tf.where(count[:, None] > 0, values, 0.0)


def _moments(series: tf.Tensor) -> dict[str, tf.Tensor]:
    mean = tf.reduce_mean(series, axis=1)
    centred = series - mean[:, None]
    variance = tf.reduce_mean(centred**2, axis=1)
    least = tf.maximum(LEAST_RELATIVE_DEVIATION * tf.abs(mean), LEAST_DEVIATION) ** 2
    varies = variance > least
    # Scaled before it is raised to powers, which float32 would not hold of small numbers.
    scaled = centred * tf.where(varies, tf.math.rsqrt(tf.maximum(variance, least)), 0.0)[:, None]
    cubed = scaled * scaled * scaled
    return {
        "mean": mean,
        "std": tf.sqrt(variance),
        "skew": tf.reduce_mean(cubed, axis=1),
        "kurtosis": tf.where(varies, tf.reduce_mean(cubed * scaled, axis=1) - 3, 0.0),
    }


def _quantiles(series: tf.Tensor, wanted: dict[str, float]) -> dict[str, tf.Tensor]:
    rows = tf.transpose(series, [0, 2, 1])  # (size, n, frames)
    last = tf.cast(tf.shape(rows)[2] - 1, tf.float32)
    # Selection, not sorting: it takes half the time for three quantiles.
    return {
        name: tf.raw_ops.NthElement(input=rows, n=tf.cast(tf.floor(share * last), tf.int32))
        for name, share in wanted.items()
    }
