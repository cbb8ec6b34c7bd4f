import numpy as np
import pandas as pd

from tfpipeline.reporting.plots import draw_learning_curve, draw_spectrograms


def test_pictures_are_written(tmp_path):
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [0.7, 0.5],
            "val_auc": [0.6, 0.9],
            "val_eer": [0.4, 0.1],
            "best": [False, True],
        }
    )
    draw_learning_curve(history, tmp_path / "figures" / "curve.png")
    mel = np.random.default_rng(0).normal(size=(50, 20))
    draw_spectrograms({"original": mel, "world": mel}, 0.01, tmp_path / "figures" / "mel.png")
    for name in ("curve.png", "mel.png"):
        assert (tmp_path / "figures" / name).read_bytes().startswith(b"\x89PNG")
