import numpy as np
import pytest
from matplotlib.image import imread

from tfpipeline.reporting.timeline import BANDS_HZ, MOST_EDGES, Timeline, draw_timeline


def timeline(scores, seconds, columns, **more):
    starts = np.minimum(4.0 * np.arange(len(scores)), max(0.0, seconds - 4))
    spectrogram = np.random.default_rng(0).standard_normal((columns, 80)).astype(np.float32)
    values = {
        "name": "a $1$ [b]_^{.wav",
        "verdict": "spoof",
        "subtitle": "$",
        "threshold": 0.0,
        **more,
    }
    return Timeline(
        seconds=seconds,
        places=np.stack([starts, np.minimum(starts + 4, seconds)], axis=1),
        scores=np.asarray(scores, float),
        spectrogram=spectrogram,
        column_seconds=seconds / columns,
        band_places=10.0 * np.arange(len(BANDS_HZ)),
        **values,
    )


@pytest.mark.parametrize(
    ("windows", "seconds", "columns"),
    [
        (1, 0.6, 1),
        (1, 4.0, 500),
        (3, 10.5, 400),
        (40, 158.0, 2000),
        (MOST_EDGES, 1599.5, 2000),
        (MOST_EDGES + 1, 1600.5, 2000),
        (3600, 14_400.0, 2000),
    ],
)
def test_any_length_is_drawn(windows, seconds, columns, tmp_path):
    path = tmp_path / "new" / "a.png"
    draw_timeline(timeline(np.sin(np.arange(windows)), seconds, columns), path)
    picture = imread(path)
    assert picture.shape[1] > picture.shape[0] > 500
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50


def test_the_sides_have_their_colours(tmp_path):
    """Windows above the threshold are drawn red, those below blue, whatever the threshold."""
    for threshold, red, blue in ((-2.0, True, False), (2.0, False, True), (0.0, True, True)):
        own = timeline([1.0, -1.0], 8.0, 100, threshold=threshold, verdict="abstained")
        draw_timeline(own, tmp_path / "a.png")
        upper = imread(tmp_path / "a.png")[100:300, 150:1000, :3]
        excess = upper[..., 0] - upper[..., 2]
        assert (excess > 0.1).mean() > 0.02 if red else (excess > 0.1).mean() < 0.002
        assert (excess < -0.1).mean() > 0.02 if blue else (excess < -0.1).mean() < 0.002
