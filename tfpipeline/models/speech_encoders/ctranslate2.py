"""Whisper models in CTranslate2's format, read with NumPy, under Hugging Face's names.

`model.bin` is little-endian: version, name and revision of the model's kind; then the variables,
each its name, rank, dimensions, type and bytes; then aliases, which an encoder has none of.

Reference:
    `ctranslate2.specs.model_spec.ModelSpec._serialize`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

import numpy as np

TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
LAYER_NAMES = {
    "self_attention/layer_norm/gamma": "self_attn_layer_norm.weight",
    "self_attention/layer_norm/beta": "self_attn_layer_norm.bias",
    "self_attention/linear_1/weight": "self_attn.out_proj.weight",
    "self_attention/linear_1/bias": "self_attn.out_proj.bias",
    "ffn/layer_norm/gamma": "final_layer_norm.weight",
    "ffn/layer_norm/beta": "final_layer_norm.bias",
    "ffn/linear_0/weight": "fc1.weight",
    "ffn/linear_0/bias": "fc1.bias",
    "ffn/linear_1/weight": "fc2.weight",
    "ffn/linear_1/bias": "fc2.bias",
}
OTHER_NAMES = {
    "conv1/weight": "conv1.weight",
    "conv1/bias": "conv1.bias",
    "conv2/weight": "conv2.weight",
    "conv2/bias": "conv2.bias",
    "position_encodings/encodings": "embed_positions.weight",
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
}


def read_whisper_encoder(content: bytes, source: str) -> dict[str, np.ndarray]:
    """The encoder's weights.

    Args:
        content: of `model.bin`.
        source: named in errors.
    Returns:
        Hugging Face's name, such as `layers.0.fc1.weight` → float32 array in PyTorch's layout.
    Raises:
        ValueError: not such a file, cut off, of another kind of model, or quantized.
    """
    arrays = {}
    try:
        for name, values in _variables(BytesIO(content), source):
            if name.startswith("encoder/") and values.ndim:
                arrays.update(_renamed(name.removeprefix("encoder/"), values, source))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{source}: expected a Whisper model in CTranslate2's format. Received: {error}"
        ) from None
    return arrays


def _variables(file: BytesIO, source: str) -> Iterator[tuple[str, np.ndarray]]:
    version, kind, _ = _number(file, "I"), _text(file), _number(file, "I")
    if version != 6 or kind != "WhisperSpec":
        raise ValueError(
            f"{source}: expected a WhisperSpec of version 6. Received: {kind!r}, version {version}."
        )
    for _ in range(_number(file, "I")):
        name, rank = _text(file), _number(file, "B")
        shape = [_number(file, "I") for _ in range(rank)]
        kind, size = _number(file, "B"), _number(file, "I")
        data = file.read(size)
        expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(TYPES.get(kind, "V")).itemsize
        if kind not in TYPES or len(data) != size or size != expected:
            raise ValueError(
                f"{source}: {name} must have {expected:,} bytes of a known type. Received: "
                f"{len(data):,} of type {kind}. Is the file cut off?"
            )
        yield name, np.frombuffer(data, TYPES[kind]).reshape(shape)


def _renamed(name: str, values: np.ndarray, source: str) -> dict[str, np.ndarray]:
    """A variable under its other name; query, key and value are one matrix here."""
    if values.dtype.kind != "f":
        raise ValueError(
            f"{source}: encoder/{name} must be float16 or float32. Received: {values.dtype}. "
            "Take the model that is not quantized."
        )
    values = values.astype(np.float32)
    if name in OTHER_NAMES:
        return {OTHER_NAMES[name]: values}
    layer, _, rest = name.partition("/")
    prefix = f"layers.{layer.removeprefix('layer_')}."
    if rest in LAYER_NAMES:
        return {prefix + LAYER_NAMES[rest]: values}
    if rest in ("self_attention/linear_0/weight", "self_attention/linear_0/bias"):
        part = rest.rpartition("/")[2]
        query, key, value = np.split(values, 3)
        arrays = {"q_proj": query, "k_proj": key, "v_proj": value}
        # Whisper's keys have no bias; the joint matrix has zeros in its place.
        if part == "bias" and arrays.pop("k_proj").any():
            raise ValueError(f"{source}: encoder/{name} must be zero for keys.")
        return {f"{prefix}self_attn.{key}.{part}": array for key, array in arrays.items()}
    raise ValueError(f"{source}: a Whisper encoder has no variable encoder/{name}.")


def _number(file: BytesIO, kind: str) -> int:
    return struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0]


def _text(file: BytesIO) -> str:
    return file.read(_number(file, "H"))[:-1].decode("utf-8")
