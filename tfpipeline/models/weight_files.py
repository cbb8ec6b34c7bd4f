"""Files of pretrained weights, read into arrays by their PyTorch names.

PyTorch checkpoints, safetensors and KerasHub's ResNet presets; none is executed. Keras's own
`.weights.h5` is left to Keras, which knows a network's layout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfpipeline.files.torch_weights import read_torch_weights

HDF5 = b"\x89HDF\r\n\x1a\n"
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# KerasHub's Conv2D and BatchNormalization layers in the order in which it numbers them.
KERAS_HUB_RESNET18 = (
    "conv1",
    *(
        f"layer{stage}.{block}.{number}"
        for stage in (1, 2, 3, 4)
        for block in (0, 1)
        for number in (("1", "downsample", "2") if stage > 1 and not block else ("1", "2"))
    ),
)


def is_keras_file(path: Path) -> bool:
    """Whether a file is Keras's own `.weights.h5`."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(HDF5)) == HDF5


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of weights.

    Args:
        path: a PyTorch checkpoint (`.pth`), a safetensors file, or the folder of a KerasHub preset
            of ResNet-18.
    Returns:
        PyTorch name, such as `layer1.0.conv1.weight` → array in PyTorch's layout.
    Raises:
        ValueError: the file is none of these, truncated, or tampered with.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return _read_keras_hub(path)
    with path.open("rb") as file:
        head = file.read(16)
    if head[:2] == b"PK" or head.startswith(LEGACY_TORCH[:10]):
        return _flat(read_torch_weights(path), path)
    return _read_safetensors(path)


def _flat(saved: Mapping, path: Path) -> dict[str, np.ndarray]:
    """A state dict; trainers often put it into another dict."""
    for key in ("state_dict", "model"):
        if isinstance(saved.get(key), Mapping):
            saved = saved[key]
    arrays = {name: value for name, value in saved.items() if isinstance(value, np.ndarray)}
    if not arrays:
        raise ValueError(
            f"{path}: expected a state dict of arrays. Received: {', '.join(map(str, saved))[:200]}"
        )
    return arrays


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: expected weights as .pth, .safetensors, .weights.h5 or a KerasHub preset's "
            f"folder. Received: a file that is none of them, or not whole ({error})."
        ) from None


def _read_keras_hub(folder: Path) -> dict[str, np.ndarray]:
    """A KerasHub preset of ResNet-18: `config.json` and `model.weights.h5`."""
    import h5py

    _check_keras_hub(folder)
    path = folder / "model.weights.h5"
    arrays = {}
    try:
        with h5py.File(path, "r") as file:
            layers = file["layers"]
            for number, place in enumerate(KERAS_HUB_RESNET18):
                end = f"_{number}" if number else ""
                conv, norm = _torch_names(place)
                (kernel,) = _variables(layers[f"conv2d{end}"], 1)
                arrays[f"{conv}.weight"] = kernel.transpose(3, 2, 0, 1)
                parts = _variables(layers[f"batch_normalization{end}"], 4)
                for part, values in zip(
                    ("weight", "bias", "running_mean", "running_var"), parts, strict=True
                ):
                    arrays[f"{norm}.{part}"] = values
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: expected the weights of KerasHub's ResNet-18. Received: "
            f"{' '.join(str(error).split())}. Is the download complete?"
        ) from None
    return arrays


def _check_keras_hub(folder: Path) -> None:
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        name, config = content["class_name"], content["config"]
        same = (
            name == "ResNetBackbone"
            and config["block_type"] == "basic_block"
            and list(config["stackwise_num_blocks"]) == [2, 2, 2, 2]
            and not config["use_pre_activation"]
            and list(config["input_conv_kernel_sizes"]) == [7]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder}: expected the folder of a KerasHub preset, with config.json. "
            f"Received: {type(error).__name__} {error}."
        ) from None
    if not same:
        raise ValueError(
            f"{path}: expected a ResNetBackbone of basic blocks [2, 2, 2, 2], such as the preset "
            f"resnet_18_imagenet. Received: {name} of {config.get('stackwise_num_blocks')}."
        )


def _torch_names(place: str) -> tuple[str, str]:
    if place == "conv1":
        return "conv1", "bn1"
    block, number = place.rsplit(".", 1)
    if number == "downsample":
        return f"{block}.downsample.0", f"{block}.downsample.1"
    return f"{block}.conv{number}", f"{block}.bn{number}"


def _variables(group, count: int) -> list[np.ndarray]:
    variables = group["vars"]
    if len(variables) != count:
        raise ValueError(f"{group.name} holds {len(variables)} arrays, not {count}")
    return [np.asarray(variables[str(number)]) for number in range(count)]
