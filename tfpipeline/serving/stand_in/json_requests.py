"""Tensors of a JSON request, in the shapes of TensorFlow Serving's REST API.

Reference: `tensorflow_serving/util/json_tensor.cc` and the guide `api_rest.md`, from which the
rules and the messages are taken.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfpipeline.serving.stand_in.errors import Refused, invalid, shown

_KINDS = {str: "String", bool: "Bool", dict: "Object", list: "Array", type(None): "Null"}
_INTEGERS = {tf.int32, tf.int16, tf.int8, tf.uint8, tf.int64, tf.uint32, tf.uint64}


def parse_request(body: bytes) -> dict[str, Any]:
    """The JSON object of a request; NaN, Infinity and -Infinity are numbers.

    Raises:
        Refused: it is not JSON, or not an object, or its signature's name is not a string.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {shown(str(error))}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_quoted(document)} Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid(
            f"JSON Value: {_quoted(document)} not formatted correctly. 'signature_name' key must "
            f"be a string value."
        )
    return document


def read_tensors(
    document: Mapping[str, Any], expected: Mapping[str, tf.DType]
) -> tuple[dict[str, np.ndarray], bool]:
    """The tensors of a request.

    Args:
        document: of `parse_request`.
        expected: input → type.
    Returns:
        Input → value, and whether they came as rows.
    Raises:
        Refused: they do not fit.
    """
    if "instances" not in document and "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {_quoted(document)} Not formatted correctly expecting only one of "
            f"'inputs' or 'instances' keys to exist "
        )
    if "inputs" in document:
        return _from_columns(document["inputs"], expected), False
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {_quoted(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {_quoted(document)} No values in 'instances' array")
    return _from_rows(rows, expected), True


def _from_columns(value: Any, expected: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or _is_base64(value):
        if len(expected) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        return {name: _tensor(value, dtype) for name, dtype in expected.items()}
    for name in expected:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], dtype) for name, dtype in expected.items()}


def _from_rows(rows: list, expected: Mapping[str, tf.DType]) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(expected) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = isinstance(rows[0], dict) and not _is_base64(rows[0])
    values: dict[str, list[np.ndarray]] = {name: [] for name in expected}
    for number, row in enumerate(rows):
        if named != (isinstance(row, dict) and not _is_base64(row)):
            wanted, got = ("object", "list") if named else ("value/list", "object")
            raise invalid(f"Expecting {wanted} but got {got} at item {number} of input list")
        for name, value in (row if named else {next(iter(expected)): row}).items():
            try:
                if name not in expected:
                    raise invalid(f"JSON object: does not have named input: {name}")
                values[name].append(_like(_tensor(value, expected[name]), values[name]))
            except Refused as error:
                raise invalid(
                    f"Failed to process element: {number}{f' key: {name}' if named else ''} of "
                    f"'instances' list. Error: {error.code}: {error.message}"
                ) from None
        if named and set(row) != set(expected):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{_quoted(row)} must only have keys: {','.join(expected)}"
            )
    return {name: np.stack(own) for name, own in values.items()}


def _like(value: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """The value, if its shape is that of the rows before it."""
    if others and value.size != others[0].size:
        raise invalid(f"Expecting tensor size: {others[0].size} but got: {value.size}")
    if others and value.shape != others[0].shape:
        wanted, got = (",".join(map(str, v.shape)) for v in (others[0], value))
        raise invalid(f"Expecting shape [{wanted}] but got: [{got}]")
    return value


def _tensor(value: Any, dtype: tf.DType) -> np.ndarray:
    """A value in nested lists; its shape is that of the first of each list."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    leaves: list = []
    _collect(value, shape, 0, leaves)
    return _converted(leaves, dtype).reshape(shape)


def _collect(value: Any, shape: list[int], level: int, leaves: list) -> None:
    """Adds the leaves of nested lists, which must all be as deep and as long as `shape`."""
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_quoted(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        leaves.append(value)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    # A list of numbers alone is taken whole: a clip has tens of thousands of them.
    if level == len(shape) - 1 and not any(kind is list for kind in set(map(type, value))):
        leaves.extend(value)
        return
    for own in value:
        _collect(own, shape, level + 1, leaves)


def _converted(leaves: list, dtype: tf.DType) -> np.ndarray:
    """The leaves as an array, each of which must fit the type without loss."""
    if dtype == tf.string:
        strings = np.empty(len(leaves), object)
        strings[:] = [_bytes(leaf) for leaf in leaves]
        return strings
    if dtype not in _INTEGERS and not dtype.is_floating and dtype != tf.bool:
        raise Refused("UNIMPLEMENTED", f"Conversion of JSON Value to type: {dtype.name}")
    allowed = {int, float} if dtype.is_floating else {bool} if dtype == tf.bool else {int}
    kinds = set(map(type, leaves))
    if not kinds <= allowed:
        raise _type_error(next(leaf for leaf in leaves if type(leaf) not in allowed), dtype)
    if dtype in _INTEGERS:
        for leaf in leaves:
            if not dtype.min <= leaf <= dtype.max:
                raise _type_error(leaf, dtype)
    if not dtype.is_floating:
        return np.array(leaves, dtype.as_numpy_dtype)
    if int in kinds:
        exact = 2 ** (np.finfo(dtype.as_numpy_dtype).nmant + 1) - 1
        _check_lossless((leaf for leaf in leaves if type(leaf) is int and abs(leaf) > exact), dtype)
    values = np.array(leaves, np.float64)
    too_large = np.isfinite(values) & (np.abs(values) > float(dtype.max))
    _check_lossless(iter(values[too_large].tolist()), dtype)
    return values.astype(dtype.as_numpy_dtype)


def _check_lossless(wrong: Iterator[float], dtype: tf.DType) -> None:
    """Refuses the first of the numbers that the type cannot hold."""
    for leaf in wrong:
        name = "double" if dtype == tf.float64 else "float"
        raise invalid(
            f"Cannot convert JSON value: {_quoted(leaf)} to {name} without loss of precision."
        )


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", "surrogatepass")
    if not isinstance(leaf, dict):
        raise _type_error(leaf, tf.string)
    if not _is_base64(leaf):
        raise invalid(f"JSON Value: {_quoted(leaf)} not formatted correctly for base64 data")
    text = leaf["b64"].rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _type_error(value: Any, dtype: tf.DType) -> Refused:
    kind = _KINDS.get(type(value), "Number")
    return invalid(
        f"JSON Value: {_quoted(value)} Type: {kind} is not of expected type: "
        f"{'float' if dtype == tf.float32 else dtype.name}"
    )


def _quoted(value: Any) -> str:
    # An object is quoted by its keys alone: written out, it could be as large as the request.
    return shown(json.dumps(value if not isinstance(value, dict | list) else _outline(value)))


def _outline(value: dict | list) -> Any:
    return dict.fromkeys(list(value)[:8], "…") if isinstance(value, dict) else ["…"]
