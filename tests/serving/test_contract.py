import json
import subprocess
import sys

import pytest

from tfpipeline.config import Config, config_from_dict
from tfpipeline.data.audio import SOURCE_RATES
from tfpipeline.evaluation.calibration import Calibration
from tfpipeline.runs.run import Run
from tfpipeline.serving.contract import (
    EXTRA,
    SIGNATURES,
    build_contract,
    contract_text,
    parse_contract,
    read_contract,
)
from tfpipeline.serving.status import STATUSES


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    environment = {
        "tfpipeline": "0.1.0",
        "corpus_fingerprint": "ab" * 32,
        "versions": {"keras": "3.15.1"},
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    threshold = {"value": -0.5, "rule": "equal error rate", "part": "validation"}
    part = {"n_bonafide": 3, "n_spoof": 6, "auc": 0.9, "eer": 0.1, "cllr": 0.4}
    metrics = {"threshold": threshold, "parts": {"test": part}}
    return Run(folder, Config(), Calibration(0.7, -0.2, 0.3), -0.5, metrics)


@pytest.fixture
def version(run, tmp_path):
    folder = tmp_path / "1"
    (folder / EXTRA).mkdir(parents=True)
    (folder / EXTRA / "contract.json").write_text(contract_text(build_contract(run, 64_000)))
    return folder


def test_it_comes_back_and_says_what_a_client_needs(version, run):
    contract = read_contract(version)
    assert contract == build_contract(run, 64_000)
    assert contract["name"] == "mine"
    assert contract["threshold"]["value"] == -0.5
    assert contract["threshold"]["rule"] == "equal error rate"
    assert {k: contract["calibration"][k] for k in "ab"} == {"a": 0.7, "b": -0.2}
    assert contract["calibration"]["prior"] == 0.3
    assert contract["labels"] == {"0": "bonafide", "1": "spoof"}
    assert contract["status"] == {str(code): name for code, name in STATUSES.items()}
    assert contract["limits"]["wav_rates_hz"] == list(SOURCE_RATES)
    assert contract["schema"] == 3
    assert contract["no_score"]["value"] == -1e10
    assert contract["signatures"] == SIGNATURES
    assert set(SIGNATURES) == {"serving_default", "audio_bytes", "windows", "contract"}
    assert contract["corpus"] == {"name": "demo", "fingerprint": "ab" * 32}
    assert contract["metrics"]["test"]["auc"] == 0.9
    assert contract["versions"] == {"tfpipeline": "0.1.0", "keras": "3.15.1"}
    assert config_from_dict(contract["config"]) == Config()


def test_it_is_readable_without_tensorflow(version):
    code = (
        "import json, sys\n"
        f"contract = json.load(open({str(version / EXTRA / 'contract.json')!r}))\n"
        "assert contract['sample_rate'] == 16000\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_without_one_is_no_export(tmp_path):
    with pytest.raises(FileNotFoundError, match="a folder without one"):
        read_contract(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"schema": 1},
            "schema must be 2 or 3. Received: 1. .* Export again with this one",
        ),
        ({"sample_rate": 8000}, "expected 16000 Hz"),
        ({"polarity": "higher is more likely bonafide"}, "of which higher is more likely spoof"),
        ({"window_samples": 0}, "window_samples must be at least 1"),
        ({"window_samples": None}, "window_samples must be int"),
        ({"threshold": {"value": "low"}}, "threshold.value must be a finite number"),
        ({"calibration": {"a": 1.0, "b": 0.0}}, "calibration.prior must be a finite number"),
        ({"calibration": {"a": 1.0, "b": 0.0, "prior": 1.0}}, "calibration.prior must lie in 0"),
        ({"signatures": []}, "signatures must be dict"),
        ({"no_score": None}, r"no_score\.value must be -1e\+10\. Received: None"),
        ({"no_score": {"value": -1}}, "no_score.value must be"),
    ],
)
def test_what_cannot_be_followed_is_refused(run, change, message):
    text = json.dumps({**build_contract(run, 64_000), **change})
    with pytest.raises(ValueError, match=message):
        parse_contract(text, "here")


def test_exports_of_schema_2_are_still_followed(run):
    """They answer NaN where there is no score, and have no word for it."""
    old = build_contract(run, 64_000) | {"schema": 2}
    del old["no_score"]
    assert parse_contract(json.dumps(old), "here") == old


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "1", b"\xff"])
def test_what_is_no_contract_is_refused(text):
    with pytest.raises(ValueError, match="here: a contract is a JSON object"):
        parse_contract(text, "here")
