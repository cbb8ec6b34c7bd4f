"""The models of a serving root: which versions are loaded, and what their labels mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tfpipeline.serving.stand_in.errors import Refused, invalid
from tfpipeline.serving.stand_in.versions import Version

if TYPE_CHECKING:
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

CONFIG = "models.config"


@dataclass
class Model:
    """One model: its loaded versions and its labels.

    Attributes:
        versions: number → version.
        labels: label → number.
    """

    versions: dict[int, Version] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


class Models:
    """What a server holds: name → model."""

    def __init__(self, models: dict[str, Model]):
        self.models = models

    def find(self, spec: ModelSpec) -> Version:
        """The version that a request means: by number, by label, or the highest.

        Raises:
            Refused: as the server refuses it.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        model = self.models.get(spec.name, Model())
        choice = spec.WhichOneof("version_choice")
        number = spec.version.value
        if choice == "version_label" and spec.version_label:
            if spec.version_label not in model.labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            number = model.labels[spec.version_label]
        elif choice != "version":
            if not model.versions:
                raise Refused("NOT_FOUND", f"Servable not found for request: Latest({spec.name})")
            number = max(model.versions)
        if number not in model.versions:
            raise Refused(
                "NOT_FOUND", f"Servable not found for request: Specific({spec.name}, {number})"
            )
        return model.versions[number]

    def status(self, spec: ModelSpec) -> list[int]:
        """The loaded versions that a status request asks of, the newest first.

        A label does not narrow them down: the server's own answer ignores it.

        Raises:
            Refused: there is none.
        """
        versions = self.models.get(spec.name, Model()).versions
        if spec.WhichOneof("version_choice") == "version":
            number = spec.version.value
            if number not in versions:
                raise Refused("NOT_FOUND", f"Could not find version {number} of model {spec.name}")
            return [number]
        if not versions:
            raise Refused("NOT_FOUND", f"Could not find any versions of model {spec.name}")
        return sorted(versions, reverse=True)

    def summary(self) -> dict[str, dict]:
        """Name → its versions and labels, for the terminal."""
        return {
            name: {"versions": sorted(model.versions), "labels": dict(model.labels)}
            for name, model in self.models.items()
        }

    def close(self) -> None:
        """Frees all graphs."""
        for model in self.models.values():
            for version in model.versions.values():
                version.close()


def load_models(root: Path) -> Models:
    """Loads what a serving root names.

    Args:
        root: a folder with `models.config`, read as the server reads it, but that each
            `base_path` is looked for under `root` by its last part (in a container it is
            `/models/<name>`); or without one: folders of models, all of whose versions are
            loaded, or the versions of one model, which is named by its contract.
    Raises:
        ValueError: nothing to serve; a version without a valid contract; a label of a version
            that is not loaded.
        OSError: a folder cannot be read.
    """
    if not root.is_dir():
        raise ValueError(f"a serving root is a folder of models. Received: {root}.")
    models: dict[str, Model] = {}
    if (root / CONFIG).is_file():
        for config in _read_config(root / CONFIG):
            base = root / Path(config.base_path).name
            found = _numbered(base) if base.is_dir() else {}
            models[config.name] = Model(
                {n: Version(found[n]) for n in _chosen(config, found, base)},
                dict(config.version_labels),
            )
    elif own := _numbered(root):
        versions = {number: Version(folder) for number, folder in own.items()}
        models[versions[max(versions)].contract["name"]] = Model(versions)
    else:
        for base in sorted(path for path in root.iterdir() if path.is_dir()):
            if found := _numbered(base):
                models[base.name] = Model({n: Version(folder) for n, folder in found.items()})
    if not models:
        raise ValueError(
            f"{root} must hold {CONFIG}, or folders <model>/<version number>. Received: neither. "
            f"Write one with python -m tfpipeline.export --run RUN --serving-root {root}."
        )
    for name, model in models.items():
        for label, number in model.labels.items():
            if number not in model.versions:
                raise ValueError(
                    f"a label must mean a loaded version. Received: label {label} of model {name}: "
                    f"version {number}; loaded: {', '.join(map(str, sorted(model.versions)))}."
                )
    return Models(models)


def _read_config(path: Path) -> Iterator[ModelConfig]:
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), ModelServerConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a ModelServerConfig. Received: {error}") from None
    for own in config.model_config_list.config:
        if own.model_platform != "tensorflow" or not own.name or not Path(own.base_path).name:
            raise ValueError(
                f'{path}: expected a name, a base_path and model_platform "tensorflow" for each '
                f"model. Received: {text_format.MessageToString(own, as_one_line=True)}"
            )
        yield own


def _numbered(base: Path) -> dict[int, Path]:
    """The version folders of a model."""
    return {
        int(path.name): path
        for path in base.iterdir()
        if path.is_dir() and path.name.isascii() and path.name.isdigit()
    }


def _chosen(config: ModelConfig, found: dict[int, Path], base: Path) -> list[int]:
    """The versions that a model's policy loads: by default the latest."""
    if not found:
        raise ValueError(f"{base} must hold folders named by version numbers. Received: none.")
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return sorted(found)
    if choice == "specific":
        absent = sorted(set(policy.specific.versions) - set(found))
        if absent or not policy.specific.versions:
            raise ValueError(
                f"{base} must hold the versions that {CONFIG} names. Received: no {absent}."
            )
        return sorted(policy.specific.versions)
    return sorted(found)[-(policy.latest.num_versions or 1) :]
