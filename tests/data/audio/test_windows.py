import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.data.audio.windows import (
    cut_windows,
    repeat_to,
    stream_windows,
    trim_edges,
    window_count,
)

WINDOW = 1000


def reference_windows(clip):
    """The rule, spelt out clip by clip."""
    if len(clip) < WINDOW:
        return np.resize(clip, WINDOW)[None]
    starts = list(range(0, len(clip) - WINDOW + 1, WINDOW))
    if starts[-1] + WINDOW < len(clip):
        starts.append(len(clip) - WINDOW)
    return np.stack([clip[start : start + WINDOW] for start in starts])


@pytest.mark.parametrize("samples", [1, 7, 499, 500, 501, 999, 1000, 1001, 1999, 2000, 2001, 5432])
def test_windows_follow_the_rule(samples, speech):
    clips = speech[:2, 8000 : 8000 + samples]
    windows = cut_windows(tf.constant(clips), WINDOW).numpy()
    for row, clip in zip(windows, clips, strict=True):
        np.testing.assert_array_equal(row, reference_windows(clip))
    assert int(window_count(samples, WINDOW)) == windows.shape[1]


def test_a_long_clip_is_not_repeated(speech):
    clip = tf.constant(speech[0])
    assert repeat_to(clip, 64_000).shape == (64_000,)
    assert repeat_to(clip, 63_999).shape == (64_000,)
    np.testing.assert_array_equal(repeat_to(clip, 64_001)[-1], clip[0])


@pytest.mark.parametrize("samples", [1, 9, 10, 11, 19, 20, 21, 30, 39, 40, 41, 97])
@pytest.mark.parametrize("block", [1, 9, 10, 11, 25, 100])
def test_streamed_windows_are_the_rules_windows(samples, block):
    waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    blocks = [waveform[begin : begin + block] for begin in range(0, samples, block)]
    received = np.concatenate(list(stream_windows([np.zeros(0, np.float32), *blocks], 10)))
    np.testing.assert_array_equal(received, cut_windows(waveform[None], 10)[0])


def test_an_empty_stream_has_no_windows():
    assert list(stream_windows([], 10)) == []


@pytest.mark.parametrize(("lead", "tail"), [(0, 0), (511, 0), (512, 513), (5000, 1), (0, 7777)])
def test_trimmed_edges_equal_librosa(lead, tail, speech):
    import librosa

    faint = 1e-4 * np.random.default_rng(0).standard_normal(lead + tail).astype(np.float32)
    for length in (511, 512, 513, 2048, 20_001):
        waveform = np.concatenate(
            [faint[:lead], speech[0, 8000 : 8000 + length], faint[lead:]]
        ).astype(np.float32)
        for top_db in (20.0, 45.0):
            expected, _ = librosa.effects.trim(waveform, top_db=top_db)
            np.testing.assert_array_equal(trim_edges(tf.constant(waveform), top_db), expected)
    assert len(trim_edges(tf.zeros([700]), 45.0)) == 700
