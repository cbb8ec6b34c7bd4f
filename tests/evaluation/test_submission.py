import numpy as np
import pandas as pd
import pytest

from tfpipeline.evaluation.scores import write_submission


def test_order_and_digits_are_kept(tmp_path):
    ids = ["b", "a", "007"]
    probabilities = np.array([1 / 3, np.nan, 1.0])
    write_submission(tmp_path / "s.csv", ids, probabilities)
    assert (tmp_path / "s.csv").read_text().splitlines()[0] == "id,is_tts"
    written = pd.read_csv(tmp_path / "s.csv", dtype=str)
    assert written["id"].tolist() == ids
    assert [float(text) for text in written["is_tts"]] == [1 / 3, 0.5, 1.0]


@pytest.mark.parametrize(
    ("ids", "probabilities", "message"),
    [
        (["a", "b"], [0.5], r"each id has one probability\. Received: 2 ids, 1"),
        (["a", "a"], [0.5, 0.5], r"once\. Received: a twice"),
        (["a"], [1.5], r"lies in 0 … 1\. Received: 1\.5 for a"),
        (["a"], [-0.1], r"Received: -0\.1 for a"),
        (["a"], [np.inf], r"Received: inf for a"),
    ],
)
def test_what_is_no_submission(ids, probabilities, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_submission(tmp_path / "s.csv", ids, np.array(probabilities))
    assert not (tmp_path / "s.csv").exists()
