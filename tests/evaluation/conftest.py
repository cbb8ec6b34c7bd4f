"""A score table whose figures can be told by looking at it."""

import numpy as np
import pandas as pd
import pytest

from tfpipeline.data.clips import normalize_manifest
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.evaluation.scores import score_table


@pytest.fixture
def table():
    """Four readers a part, each with an original and two spoofs; four unseen spoofs."""
    rows = [
        {
            "path": f"{part}/{speaker}{attack}",
            "part": part,
            "speaker": f"{part}{speaker}",
            "attack": attack,
            "label": "bonafide" if attack == "-" else "spoof",
            "language": "de" if speaker < 2 else "en",
            "seconds": speaker + 1.0,
        }
        for part in ("train", "validation", "test")
        for speaker in range(4)
        for attack in ("-", "world", "griffin_lim")
    ]
    rows += [
        {
            "path": f"u{i}",
            "part": "unseen",
            "speaker": f"test{i}",
            "attack": "hifigan",
            "label": "spoof",
            "language": "de",
            "seconds": 4.0,
        }
        for i in range(4)
    ]
    clips = normalize_manifest(pd.DataFrame(rows), "table")
    strength = clips["attack"].map({"-": 0.0, "world": 5.0, "griffin_lim": 0.6, "hifigan": -9.0})
    scores = strength + np.tile([0, 0.25, 0.5, 1.0], len(clips) // 4 + 1)[: len(clips)]
    return score_table(clips, scores.to_numpy(float), Calibration(1.0, 0.0))
