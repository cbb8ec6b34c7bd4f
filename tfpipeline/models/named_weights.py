"""Weights by PyTorch's names and layout, put into the Keras layers that carry the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

CLASSIFIER = ("fc.", "classifier.")  # of ImageNet's 1000 classes


@dataclass(frozen=True)
class Pretrained:
    """What a network was given to begin with.

    Attributes:
        source: `imagenet`, `published`, `none`, or the path or repository that was named.
        file: name of the file; None without one.
        sha256: of the file.
    """

    source: str
    file: str | None = None
    sha256: str | None = None


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


def named_arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """PyTorch's name of each array of a network, and the array in PyTorch's layout."""
    return {
        f"{layer.name}.{part}": np.ascontiguousarray(np.transpose(variable, np.argsort(order)))
        for layer in network.layers
        for part, variable, order in _parts(layer)
    }


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


def _some(names: list[str]) -> str:
    return f" ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})" if names else ""
