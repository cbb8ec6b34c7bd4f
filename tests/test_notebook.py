"""The cells of examples/quickstart.ipynb run, in order, as a kernel would run them."""

import json
from pathlib import Path

import numpy as np

NOTEBOOK = Path(__file__).parent.parent / "examples/quickstart.ipynb"


def test_the_quickstart_runs(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert len(names["clips"]) == 32
    assert set(names["run"].metrics["parts"]) >= {"train", "validation", "test"}
    assert np.isfinite(names["verdict"].score)
    # By hand: of the 16 pairs, one has the spoof at 0.2 below the bonafide clip at 0.5.
    assert names["metrics"]["auc"] == 15 / 16
    assert names["spectrograms"].shape == (2, 401, 80)
    assert names["verdict"].label == "abstained"  # there is no speech in it
    assert list(here.iterdir()) == []
