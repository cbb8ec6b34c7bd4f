"""Tensors as a JSON answer, in the shapes of TensorFlow Serving's REST API.

Reference: `tensorflow_serving/util/json_tensor.cc` and the guide `api_rest.md`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfpipeline.serving.stand_in.errors import invalid


def write_tensors(outputs: Mapping[str, np.ndarray], as_rows: bool) -> str:
    """The answer: `predictions`, an item a row, or `outputs`, an item an output.

    One output stands without its name. Strings are text, or {"b64": …} where the output's name
    ends in `_bytes`. Floats are written as the server writes them, NaN and Infinity bare.

    Raises:
        Refused: rows are asked for, and the outputs have none, or not equally many.
    """
    names = sorted(outputs)
    if not as_rows:
        columns = [_write(outputs[name], name.endswith("_bytes")) for name in names]
        return f'{{\n    "outputs": {_object(names, columns)}\n}}'
    rows = 0
    for name in names:
        shape = outputs[name].shape
        if not shape:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if shape[0] < 1:
            raise invalid(f"Tensor name: {name} has invalid batch size: {shape[0]}")
        if rows and shape[0] != rows:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {shape[0]} expecting: {rows}"
            )
        rows = shape[0]
    items = (
        _object(names, [_write(outputs[name][row], name.endswith("_bytes")) for name in names])
        for row in range(rows)
    )
    return f'{{\n    "predictions": [{", ".join(items)}]\n}}'


def _object(names: list[str], texts: list[str]) -> str:
    if len(names) == 1:
        return texts[0]
    pairs = (f"{json.dumps(n)}: {text}" for n, text in zip(names, texts, strict=True))
    return "{" + ", ".join(pairs) + "}"


def _write(value: Any, as_bytes: bool) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"[{', '.join(_write(own, as_bytes) for own in value)}]"
    value = value[()] if isinstance(value, np.ndarray) else value
    if isinstance(value, bytes):
        if as_bytes:
            return json.dumps({"b64": base64.b64encode(value).decode()})
        return json.dumps(value.decode("utf-8", "replace"), ensure_ascii=False)
    if isinstance(value, np.floating):
        return _decimal(value)
    return json.dumps(value.item())


def _decimal(value: np.floating) -> str:
    """Six digits where they are enough, else all that tell the float from its neighbours."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if type(value)(text) != value:
        text = f"{value:.{9 if value.itemsize == 4 else 17}g}"
    return text if "." in text or "e" in text else f"{text}.0"
