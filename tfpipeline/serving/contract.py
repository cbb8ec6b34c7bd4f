"""The contract of an export: what a client must know of it, as JSON, readable without TensorFlow.

It lies in `assets.extra/contract.json` of a version's folder. The graph itself tells it through the
signature `contract` too, since a client of a remote server has no file of the export.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from tfpipeline.data.audio import LOUDEST, MIN_SECONDS, SAMPLE_RATE, SILENCE_DBFS, SOURCE_RATES
from tfpipeline.data.clips import LABELS
from tfpipeline.files.strict import check_value
from tfpipeline.runs.run import Run, read_environment
from tfpipeline.serving.status import CLIPPED_SHARE, FULL_SCALE, NO_SCORE, STATUSES
from tfpipeline.serving.wav_clips import LONGEST_SECONDS

SCHEMA = 3
SCHEMAS = (2, SCHEMA)  # that can be followed; in 2 NaN stands where `NO_SCORE` does now
EXTRA = "assets.extra"
POLARITY = "higher is more likely spoof"
TOLD = (
    "n_bonafide",
    "n_spoof",
    "auc",
    "auc_low",
    "auc_high",
    "eer",
    "miss_rate",
    "false_alarm_rate",
)

_WAVEFORM = "float32 (batch, samples), 16 kHz, in [-1, 1]"
_AUDIO = "string (batch,), WAV files as bytes"
_SCORES = {
    "score": "float32 (batch,), log-odds of spoof, the mean over windows",
    "llr": "float32 (batch,), calibrated log-likelihood ratio of spoof",
    "probability": "float32 (batch,), of spoof, at the calibration's prior",
    "status": "int32 (batch,), see status",
}
_NO_SCORE_USE = (
    "stands in score, llr and probability of a row whose status is neither ok nor clipped, and in "
    "score of a window that has none; every number of an answer is finite"
)
SIGNATURES = {
    "serving_default": {"inputs": {"waveform": _WAVEFORM}, "outputs": _SCORES},
    "audio_bytes": {"inputs": {"audio": _AUDIO}, "outputs": _SCORES},
    "windows": {
        "inputs": {"windows": "float32 (n, window_samples), 16 kHz, in [-1, 1], cut by the client"},
        "outputs": {"score": "float32 (n,), log-odds of spoof of each window by itself"},
    },
    "contract": {
        "inputs": {"request": "string (batch,), of any content"},
        "outputs": {"contract": "string (batch,), this text"},
    },
}
# What must be there, and of which type; what else is there is for people.
KEYS = {
    "name": str,
    "model": str,
    "sample_rate": int,
    "window_samples": int,
    "polarity": str,
    "threshold": dict,
    "calibration": dict,
    "labels": dict,
    "status": dict,
    "limits": dict,
    "signatures": dict,
    "corpus": dict,
    "metrics": dict,
    "versions": dict,
    "config": dict,
}


def build_contract(run: Run, window: int) -> dict:
    """The contract of a run's exports.

    Args:
        run: complete but for its exports.
        window: samples in a window.
    """
    environment = read_environment(run.folder)
    return {
        "schema": SCHEMA,
        "name": run.folder.name,
        "model": run.config.model.name,
        "sample_rate": SAMPLE_RATE,
        "window_samples": window,
        "polarity": POLARITY,
        "threshold": {
            **run.metrics["threshold"],
            "use": "a clip is called spoof where score >= value",
        },
        "thresholds": run.thresholds,
        "calibration": {
            "a": run.calibration.a,
            "b": run.calibration.b,
            "prior": run.calibration.prior,
            "use": "llr = a * score + b; probability = sigmoid(llr + logit(prior))",
        },
        "labels": {str(code): name for name, code in LABELS.items()},
        "status": {str(code): name for code, name in STATUSES.items()},
        "no_score": {"value": NO_SCORE, "use": _NO_SCORE_USE},
        "limits": {
            "wav_rates_hz": list(SOURCE_RATES),
            "longest_wav_seconds": LONGEST_SECONDS,
            "shortest_seconds": MIN_SECONDS,
            "silent_below_dbfs": SILENCE_DBFS,
            "loudest_sample": LOUDEST,
            "clipped": {"at": FULL_SCALE, "share_of_samples": CLIPPED_SHARE},
        },
        "signatures": SIGNATURES,
        "corpus": {
            "name": run.config.data.corpus_name,
            "fingerprint": environment.get("corpus_fingerprint"),
        },
        "metrics": {
            part: {key: figures[key] for key in TOLD if key in figures}
            for part, figures in run.metrics["parts"].items()
        },
        "versions": {
            "tfpipeline": environment.get("tfpipeline"),
            **environment.get("versions", {}),
        },
        "config": run.config.model_dump(mode="json"),
    }


def contract_text(contract: dict) -> str:
    """The contract as the JSON text that is exported."""
    return json.dumps(contract, indent=1, allow_nan=False) + "\n"


def read_contract(version: Path) -> dict:
    """Reads and checks the contract of an export.

    Args:
        version: the folder that holds `saved_model.pb`.
    Raises:
        FileNotFoundError: it holds no contract, so it is no export of tfpipeline.
        ValueError: the contract is damaged, or of another kind.
    """
    path = Path(version) / EXTRA / "contract.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{version}: an export of tfpipeline holds {EXTRA}/contract.json. Received: a folder "
            "without one. Write it with: python -m tfpipeline.export --run RUN"
        )
    return parse_contract(path.read_bytes(), str(path))


def parse_contract(text: str | bytes, source: str) -> dict:
    """Checks a contract's text.

    Args:
        text: JSON.
        source: where it comes from, named in errors.
    Raises:
        ValueError: it is no contract that this version can follow.
    """
    try:
        contract = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{source}: a contract is a JSON object. Received: {error}.") from None
    return check_contract(contract, source)


def check_contract(contract: object, source: str) -> dict:
    """Returns a contract that this version can follow.

    Args:
        contract: as read from JSON.
        source: where it comes from, named in errors.
    Raises:
        ValueError: it is none, or of another kind.
    """
    if not isinstance(contract, dict):
        raise ValueError(f"{source}: a contract is a JSON object. Received: {contract!r:.100}.")
    schema = contract.get("schema")
    if schema not in SCHEMAS:
        raise ValueError(
            f"{source}: schema must be {' or '.join(map(str, SCHEMAS))}. Received: {schema!r}. It "
            "is the export of another version of tfpipeline. Export again with this one: python -m "
            "tfpipeline.export --run RUN"
        )
    for key, kind in KEYS.items():
        if not isinstance(contract.get(key), kind):
            raise ValueError(
                f"{source}: {key} must be {kind.__name__}. Received: {contract.get(key)!r}"
            )
    if contract["sample_rate"] != SAMPLE_RATE or contract["polarity"] != POLARITY:
        raise ValueError(
            f"{source}: expected {SAMPLE_RATE} Hz and scores of which {POLARITY}. Received: "
            f"{contract['sample_rate']} Hz, {contract['polarity']!r}."
        )
    if contract["window_samples"] < 1:
        raise ValueError(
            f"{source}: window_samples must be at least 1. Received: {contract['window_samples']}"
        )
    given = contract.get("no_score")
    if schema == SCHEMA and not (isinstance(given, dict) and given.get("value") == NO_SCORE):
        raise ValueError(f"{source}: no_score.value must be {NO_SCORE:g}. Received: {given!r:.100}")
    check_value(contract["threshold"].get("value"), float, f"{source}: threshold.value")
    a, b, prior = (
        check_value(contract["calibration"].get(key), float, f"{source}: calibration.{key}")
        for key in ("a", "b", "prior")
    )
    if not (math.isfinite(a + b) and 0 < prior < 1):
        raise ValueError(f"{source}: calibration.prior must lie in 0 … 1. Received: {prior!r}")
    return contract
