import numpy as np
import pytest
import tensorflow as tf

from tfpipeline.data.audio.windows import cut_windows, repeat_to, window_count

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
