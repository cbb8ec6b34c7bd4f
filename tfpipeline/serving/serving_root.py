"""The folder that TensorFlow Serving is started on: its models, versions, labels and settings.

    models.config  batching.config  monitoring.config  compose.yaml
    <model>/<version>/saved_model.pb …

A model's first version is labelled `stable`. Each later one is `canary`, so that clients of
`stable` notice nothing, until it is promoted.
"""

from __future__ import annotations

import re
from pathlib import Path

from tfpipeline.files.atomic import write_text
from tfpipeline.serving.savedmodel import versions

STABLE, CANARY = "stable", "canary"
IMAGE = "tensorflow/serving:2.19.1"  # at least as new as the TensorFlow that writes
IN_CONTAINER = "/models"
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
# Requests whose clips differ in length cannot share a batch, and the server says so. With padding
# on it would lengthen the shorter ones of `serving_default`, and their scores would change unseen.
BATCHING = """\
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 2 }
pad_variable_length_inputs: false
"""
MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""
# The ports are open to this machine alone: TensorFlow Serving asks nobody who they are.
COMPOSE = f"""\
services:
  serving:
    image: {IMAGE}
    ports: ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    volumes: ["./:{IN_CONTAINER}:ro"]
    command:
      - --model_config_file={IN_CONTAINER}/models.config
      - --model_config_file_poll_wait_seconds=10
      - --allow_version_labels_for_unavailable_models=true
      - --enable_batching=true
      - --batching_parameters_file={IN_CONTAINER}/batching.config
      - --monitoring_config_file={IN_CONTAINER}/monitoring.config
    restart: unless-stopped
"""


def check_name(name: str) -> str:
    """Returns a model's name that can stand in a path, a URL and a config.

    Raises:
        ValueError: it cannot.
    """
    if not re.fullmatch(NAME, name):
        raise ValueError(
            "a served model's name must be of letters, digits, dots, hyphens and underscores. "
            f"Received: {name!r}. Rename the run's folder."
        )
    return name


def write_root(
    root: Path, promote: tuple[str, ...] = (), base_path: str = IN_CONTAINER
) -> dict[str, dict[str, int]]:
    """Writes all settings anew from the models and versions that lie in the folder.

    Settings for batching, monitoring and compose are left alone where they exist: they are the
    user's to change.

    Args:
        root: of the folder.
        promote: models whose newest version becomes `stable`.
        base_path: of the folder as the server sees it.
    Returns:
        Model → label → version.
    Raises:
        ValueError: there is a `models.config` that is not to be read.
    """
    before = read_labels(root)
    labels = {}
    for name in sorted(f.name for f in root.iterdir() if re.fullmatch(NAME, f.name)):
        there = versions(root / name)
        if there:
            old = None if name in promote else before.get(name, {}).get(STABLE)
            labels[name] = _labels(there, old, name in promote)
    write_text(root / "models.config", _models_config(labels, base_path))
    for file, content in (
        ("batching.config", BATCHING),
        ("monitoring.config", MONITORING),
        ("compose.yaml", COMPOSE),
    ):
        if not (root / file).exists():
            write_text(root / file, content)
    return labels


def read_labels(root: Path) -> dict[str, dict[str, int]]:
    """Model → label → version, as `models.config` says; nothing where there is none.

    Raises:
        ValueError: it is no such config.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    path = root / "models.config"
    if not path.exists():
        return {}
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: expected a ModelServerConfig in text form. Received: {reason}. "
            "Fix or remove it."
        ) from None
    return {served.name: dict(served.version_labels) for served in config.model_config_list.config}


def _labels(there: list[int], stable: int | None, promote: bool) -> dict[str, int]:
    """The labels of a model's versions, ascending, with the one that was stable before."""
    if promote or len(there) == 1:
        return {STABLE: there[-1]}
    if stable not in there:
        stable = there[0]
    return {STABLE: stable} if stable == there[-1] else {STABLE: stable, CANARY: there[-1]}


def _models_config(labels: dict[str, dict[str, int]], base_path: str) -> str:
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = model_server_config_pb2.ModelServerConfig()
    for name, by_label in labels.items():
        model = config.model_config_list.config.add()
        model.name, model.base_path = name, f"{base_path.rstrip('/')}/{name}"
        model.model_platform = "tensorflow"
        # Both labelled versions are loaded; by default only the newest would be.
        model.model_version_policy.specific.versions.extend(sorted(set(by_label.values())))
        for label, version in by_label.items():
            model.version_labels[label] = version
    return text_format.MessageToString(config)
