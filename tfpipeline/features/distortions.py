"""What recordings go through: rooms, noise, narrow bands, resampling, the telephone, clipping.

Each function takes waveforms float32 (batch, samples), ranges to draw from and a seed, int64 (2,);
each waveform gets its own draw. What comes back is as long, starts where it did, and has the level
that it had, but for what the distortion itself adds or takes away. Silence stays silence. Filters
are products of Fourier transforms, of lengths that are quick to compute.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfpipeline.data.audio import SAMPLE_RATE
from tfpipeline.data.audio.g711 import law_tables

Range = tuple[float, float]
Distort = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # waveforms and a seed → as many waveforms

FFT_STEP = 4096  # transforms are multiples of it: prime lengths take several times as long
FILTER_TAIL = 2048  # samples that a filter may ring on; less than that would come round in front
LOWEST_NOISE_HZ = 50.0  # below it the default front end hears nothing
DIRECT_DB = (0.0, 12.0)  # the direct sound above the reverberation
REFLECTIONS, FIRST_REFLECTION, LAST_REFLECTION = 8, 0.002, 0.05  # seconds
TELEPHONE_HZ = (300.0, 3400.0)
TELEPHONE_RATE = 8000
MOST_OFFSET = 0.1
TINY = 1e-12


def draw(waveform: tf.Tensor, bounds: Range, seed: tf.Tensor) -> tf.Tensor:
    """A number for each waveform, uniform within bounds; float32 (batch, 1)."""
    drawn = tf.random.stateless_uniform([tf.shape(waveform)[0], 1], seed)
    return bounds[0] + (bounds[1] - bounds[0]) * drawn


def to_share(
    waveform: tf.Tensor,
    change: Distort,
    share: float,
    seed: tf.Tensor,
    otherwise: Distort | None = None,
) -> tf.Tensor:
    """Changes a share of the waveforms; the others cost nothing.

    Args:
        waveform: float32 (batch, samples).
        change: waveforms and a seed → as many waveforms of the same length.
        share: probability of each.
        seed: int64 (2,), of the draws.
        otherwise: what comes to the others; None: nothing.
    """
    seeds = tf.random.split(seed, 3)
    chosen = tf.random.stateless_uniform([tf.shape(waveform)[0]], seeds[0]) < share
    result = _on_rows(waveform, tf.where(chosen), change, seeds[1])
    if otherwise is not None:
        result = _on_rows(result, tf.where(~chosen), otherwise, seeds[2])
    return result


def _on_rows(waveform: tf.Tensor, rows: tf.Tensor, change: Distort, seed: tf.Tensor) -> tf.Tensor:
    def changed() -> tf.Tensor:
        new = change(tf.gather_nd(waveform, rows), seed)
        return tf.tensor_scatter_nd_update(waveform, rows, new)

    result = tf.cond(tf.size(rows) > 0, changed, lambda: waveform)
    return tf.ensure_shape(result, waveform.shape)


def rms(waveform: tf.Tensor) -> tf.Tensor:
    """Root mean square of each waveform, float32 (batch, 1)."""
    return tf.sqrt(tf.reduce_mean(waveform**2, axis=1, keepdims=True))


def add_colored_noise(
    waveform: tf.Tensor, snr_db: Range, color: Range, seed: tf.Tensor
) -> tf.Tensor:
    """Adds stationary Gaussian noise whose power falls as 1 / f**color, from 50 Hz on.

    Args:
        waveform: float32 (batch, samples).
        snr_db: of the mean powers of waveform and noise over the window.
        color: 0 is white, 1 pink, 2 brown.
        seed: of the draws.
    """
    seeds = tf.random.split(seed, 3)
    samples = tf.shape(waveform)[1]
    length = transform_length(samples)
    octaves = log_frequencies(length) - math.log(LOWEST_NOISE_HZ)
    drawn = tf.random.stateless_normal([2, tf.shape(waveform)[0], tf.size(octaves)], seeds[0])
    fall = draw(waveform, color, seeds[1]) / 2
    shape = tf.exp(-fall * octaves) * tf.cast(octaves >= 0, tf.float32)
    noise = tf.signal.irfft(tf.complex(drawn[0] * shape, drawn[1] * shape), [length])[:, :samples]
    return mix_at(waveform, noise, draw(waveform, snr_db, seeds[2]))


def mix_at(waveform: tf.Tensor, noise: tf.Tensor, snr_db: tf.Tensor) -> tf.Tensor:
    """Adds noise (batch, samples) at a ratio in dB, (batch, 1), of the mean powers."""
    return waveform + noise * (rms(waveform) / (rms(noise) + TINY) * 10.0 ** (-snr_db / 20))


def reverberate(waveform: tf.Tensor, seconds: Range, seed: tf.Tensor) -> tf.Tensor:
    """Puts each waveform into a room of its own.

    Its impulse response is the direct sound, at once; a few reflections within 50 ms; and behind
    them Gaussian noise that falls by 60 dB in the reverberation time. The direct sound is by
    `DIRECT_DB` stronger than all that follows, and the level of the waveform is kept.

    Args:
        waveform: float32 (batch, samples).
        seconds: of the reverberation time.
        seed: of the draws.
    Reference:
        Polack (1988), "La transmission de l'énergie sonore dans les salles": the decay as noise.
    """
    response = room_responses(waveform, seconds, seed)
    samples = tf.shape(waveform)[1]
    length = [transform_length(samples + response.shape[1])]
    product = tf.signal.rfft(waveform, length) * tf.signal.rfft(response, length)
    wet = tf.signal.irfft(product, length)[:, :samples]
    return wet * rms(waveform) / (rms(wet) + TINY)


def room_responses(waveform: tf.Tensor, seconds: Range, seed: tf.Tensor) -> tf.Tensor:
    """Impulse responses of rooms, one a waveform; float32 (batch, taps), the direct sound is 1."""
    seeds = tf.random.split(seed, 6)
    batch, taps = tf.shape(waveform)[0], round(seconds[1] * SAMPLE_RATE)
    decay = math.log(1000) / draw(waveform, seconds, seeds[0])  # 60 dB in that time
    time = tf.range(taps, dtype=tf.float32) / SAMPLE_RATE  # (taps,)
    size = [batch, REFLECTIONS]
    delay = tf.random.stateless_uniform(size, seeds[1], FIRST_REFLECTION, LAST_REFLECTION)
    sign = tf.sign(tf.random.stateless_uniform(size, seeds[2], -1.0))
    place = tf.cast(delay * SAMPLE_RATE, tf.int32)
    rows = tf.repeat(tf.range(batch)[:, None], REFLECTIONS, axis=1)
    early = tf.scatter_nd(
        tf.stack([rows, tf.minimum(place, taps - 1)], axis=2), sign * 3, [batch, taps]
    )
    # The noise sets in behind the first reflections, and is as strong as they are in all.
    late = tf.random.stateless_normal([batch, taps], seeds[3]) * tf.cast(
        time > 2 * FIRST_REFLECTION, tf.float32
    )
    tail = (early + 0.2 * late) * tf.exp(-decay * time)
    energy = tf.reduce_sum(tail**2, axis=1, keepdims=True)
    ratio = draw(waveform, DIRECT_DB, seeds[4])
    tail *= 10.0 ** (-ratio / 20) / (tf.sqrt(energy) + TINY)
    return tf.concat([tf.ones([batch, 1]), tail[:, 1:]], axis=1)


def limit_band(waveform: tf.Tensor, low: Range, high: Range, seed: tf.Tensor) -> tf.Tensor:
    """A random low-pass, high-pass, or both, of 12 to 48 dB an octave.

    Args:
        waveform: float32 (batch, samples).
        low: of the low-pass's cutoff in Hz; drawn, as the other, on a logarithmic scale.
        high: of the high-pass's.
        seed: of the draws.
    """
    seeds = tf.random.split(seed, 5)
    kind = draw(waveform, (0.0, 3.0), seeds[0])  # low-pass, high-pass, both
    order = [2 * tf.floor(draw(waveform, (1.0, 5.0), seeds[k])) for k in (1, 2)]
    cutoffs = [
        draw(waveform, tuple(map(math.log, bounds)), seeds[k])
        for k, bounds in ((3, low), (4, high))
    ]

    def response(frequency: tf.Tensor) -> tf.Tensor:
        lower = low_pass_gain(frequency, cutoffs[0], order[0])
        upper = low_pass_gain(-frequency, -cutoffs[1], order[1])
        return tf.where((kind < 1) | (kind >= 2), lower, 1.0) * tf.where(kind >= 1, upper, 1.0)

    return filtered(waveform, response)


def low_pass_gain(frequency: tf.Tensor, cutoff: tf.Tensor, order: tf.Tensor | float) -> tf.Tensor:
    """Gain of a Butterworth low-pass; with both logarithms negative, of a high-pass.

    Args:
        frequency: float32 (bins,), the logarithm of each.
        cutoff: float32 (batch, 1), the logarithm of each, at -3 dB.
        order: 6 dB an octave each.
    """
    return tf.sqrt(tf.sigmoid(2 * order * (cutoff - frequency)))


def filtered(waveform: tf.Tensor, response: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """A linear filter without delay.

    Args:
        waveform: float32 (batch, samples).
        response: logarithms of frequencies in Hz, (bins,) → gains, (batch or 1, bins).
    """
    samples = tf.shape(waveform)[1]
    length = transform_length(samples + FILTER_TAIL)
    gain = tf.cast(response(log_frequencies(length)), tf.complex64)
    return tf.signal.irfft(tf.signal.rfft(waveform, [length]) * gain, [length])[:, :samples]


def resample_chain(waveform: tf.Tensor, rates: Range, seed: tf.Tensor) -> tf.Tensor:
    """Brings each waveform to a lower rate and back, half of them well and half of them badly.

    Args:
        waveform: float32 (batch, samples).
        rates: of the lower rate in Hz.
        seed: of the draws.
    """
    return to_share(
        waveform,
        lambda x, seed: resample_well(x, draw(x, rates, seed)),
        0.5,
        seed,
        otherwise=lambda x, seed: resample_badly(x, draw(x, rates, seed)),
    )


def resample_well(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """What a good resampler leaves after rates in Hz, (batch, 1): nothing from half the rate on."""
    cutoff = tf.math.log(0.47 * rate)
    return filtered(waveform, lambda frequency: low_pass_gain(frequency, cutoff, 64.0))


def resample_badly(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """The same by linear interpolation, which folds frequencies back and leaves images."""
    ratio = tf.cast(rate, tf.float64) / SAMPLE_RATE
    steps = tf.cast(tf.range(tf.shape(waveform)[1]), tf.float64)[None, :]
    return _interpolate(_interpolate(waveform, steps / ratio), steps * ratio)


def _interpolate(waveform: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Waveforms at places between their samples, in straight lines.

    Args:
        waveform: float32 (batch, samples).
        places: float64 (batch, places), in samples; those beyond the last are at the last.
    """
    last = tf.shape(waveform)[1] - 1
    before = tf.minimum(tf.cast(places, tf.int32), last)
    share = tf.cast(places - tf.cast(before, tf.float64), tf.float32)
    slope = tf.pad(waveform[:, 1:] - waveform[:, :-1], [[0, 0], [0, 1]])
    # Side by side in memory, since the single look-ups are what takes the time.
    taken = tf.gather(tf.stack([waveform, slope], axis=2), before, batch_dims=1)
    return taken[..., 0] + share * taken[..., 1]


@functools.cache
def _laws() -> Sequence:
    return law_tables()


def telephone(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """300 to 3,400 Hz at 8 kHz, coded and decoded by G.711: half by mu-law, half by A-law.

    Args:
        waveform: float32 (batch, samples); beyond full scale it is clipped.
        seed: of the draws.
    """
    samples = tf.shape(waveform)[1]
    length = transform_length(samples + FILTER_TAIL)
    frequency, (low, high) = log_frequencies(length), map(math.log, TELEPHONE_HZ)
    gain = low_pass_gain(-frequency, -low, 6.0) * low_pass_gain(frequency, high, 16.0)
    spectrum = tf.signal.rfft(waveform, [length]) * tf.cast(gain, tf.complex64)
    kept, ratio = length // 4, SAMPLE_RATE // TELEPHONE_RATE
    # What is above 4 kHz is gone: half the bins are a waveform of half the rate.
    narrow = tf.signal.irfft(tf.pad(spectrum[:, :kept], [[0, 0], [0, 1]]), [length // ratio])
    coded = through_g711(narrow / ratio, draw(waveform, (0.0, 1.0), seed) < 0.5)
    spectrum = tf.signal.rfft(coded)[:, :kept] * ratio
    spectrum = tf.pad(spectrum, [[0, 0], [0, length // 2 + 1 - kept]])
    # A-law has no zero: where nothing was said, nothing is heard.
    audible = tf.cast(tf.reduce_any(waveform != 0, axis=1, keepdims=True), tf.float32)
    return tf.signal.irfft(spectrum, [length])[:, :samples] * audible


def through_g711(waveform: tf.Tensor, mu: tf.Tensor) -> tf.Tensor:
    """Codes and decodes float32 (batch, samples), where `mu`, bool (batch, 1), by mu-law."""
    steps = tf.clip_by_value(tf.round(waveform * 32768), -32768, 32767)
    index = tf.cast(steps, tf.int32) + 32768
    return tf.gather(tf.reshape(_laws(), [-1]), tf.where(mu, index, index + 65536))


def clip(waveform: tf.Tensor, down_db: Range, seed: tf.Tensor) -> tf.Tensor:
    """Cuts each waveform off at so many dB below its peak."""
    peak = tf.reduce_max(tf.abs(waveform), axis=1, keepdims=True)
    limit = peak * 10.0 ** (-draw(waveform, down_db, seed) / 20)
    return tf.clip_by_value(waveform, -limit, limit)


def offset(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds a constant to each waveform, of at most a tenth of full scale; none to silence."""
    audible = tf.reduce_any(waveform != 0, axis=1, keepdims=True)
    return waveform + tf.where(audible, draw(waveform, (-MOST_OFFSET, MOST_OFFSET), seed), 0.0)


def transform_length(samples: tf.Tensor | int) -> tf.Tensor | int:
    """The least multiple of `FFT_STEP` that holds so many samples."""
    return -(-samples // FFT_STEP) * FFT_STEP


def log_frequencies(length: tf.Tensor | int) -> tf.Tensor:
    """Logarithms of the frequencies in Hz of the bins of a transform; float32 (bins,).

    That of 0 Hz is as if it were a hundredth of the next bin's.
    """
    bins = tf.range(tf.cast(length // 2 + 1, tf.float32))
    return tf.math.log(tf.maximum(bins, 0.01) * (SAMPLE_RATE / tf.cast(length, tf.float32)))
