"""The names of the files in a run folder; docs/reference/run-folder.md tells what they hold."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# The detector that comes with the project: in a checkout, or inside the package of a wheel.
PRETRAINED = next(
    (
        folder
        for folder in (_PACKAGE / "pretrained", _PACKAGE.parent / "saved_models" / "pretrained")
        if folder.is_dir()
    ),
    _PACKAGE.parent / "saved_models" / "pretrained",
)

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
NETWORK = "model.weights.h5"
CLASSICAL = "trees.npz"
CHECKPOINT = "checkpoint.npz"
HISTORY = "history.csv"
IMPORTANCES = "importances.csv"
CALIBRATION = "calibration.json"
SCORES = "scores.csv"
METRICS = "metrics.json"
REPORT = "report.html"
REMARKS = "remarks.csv"
SKIPPED = "skipped.csv"
AUDIT = "audit.json"
FIGURES = "figures"
SERVING = "serving"
EVALUATIONS = "evaluations"
