"""Speech encoders out of folders of the Hugging Face hub: `config.json` beside the weights.

Nothing of a folder is executed. What belongs to another task's head is left out by name; every
other array must fit the network, and every one that the network needs must be there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpipeline.models.named_weights import assign_weights
from tfpipeline.models.speech_encoders.hub_download import WEIGHTS, find_hub_folder
from tfpipeline.models.speech_encoders.settings import Wav2Vec2Settings, WavLMSettings
from tfpipeline.models.speech_encoders.wav2vec2 import build_wav2vec2
from tfpipeline.models.speech_encoders.wavlm import build_wavlm
from tfpipeline.models.speech_encoders.whisper import WhisperSettings, build_whisper
from tfpipeline.models.weight_files import read_weights

Settings = Wav2Vec2Settings | WhisperSettings
MODEL_TYPES: dict[str, type[Settings]] = {
    "wav2vec2": Wav2Vec2Settings,
    "hubert": Wav2Vec2Settings,
    "wavlm": WavLMSettings,
    "whisper": WhisperSettings,
}
# Of pretraining and of other tasks; no hidden state depends on them.
LEFT_OUT = (
    "masked_spec_embed",
    "quantizer.",
    "project_q.",
    "project_hid.",
    "final_proj.",
    "lm_head.",
    "adapter.",
    "projector.",
    "classifier.",
    "layer_weights",
    "tdnn.",
    "feature_extractor.weight",  # of x-vectors
    "feature_extractor.bias",
    "objective.",
    "decoder.",
    "proj_out.",
)
BLOCK = re.compile(r"(?:encoder\.)?layers\.(\d+)\.")
# The two spellings of PyTorch's weight norm: length, direction.
WEIGHT_NORMS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


def load_encoder(
    source: str, layers: int | None = None, masked: bool = False, final_norm: bool = False
) -> keras.Model:
    """A pretrained encoder.

    Args:
        source: a folder, or `hf:organization/name` with `@revision` or without; see
            `find_hub_folder`.
        layers, masked, final_norm: see `build_wav2vec2`.
    Returns:
        The network with its weights.
    Raises:
        ConnectionError, FileNotFoundError: the folder is not to be had.
        ValueError: it holds something else, or not all, or more than the network.
    """
    folder = find_hub_folder(source)
    settings, arrays = load_hub_folder(folder, layers, final_norm)
    network = build_speech_encoder(settings, layers, masked, final_norm)
    assign_weights(network, arrays, str(folder))
    return network


def build_speech_encoder(
    settings: Settings,
    layers: int | None = None,
    masked: bool = False,
    final_norm: bool = False,
) -> keras.Model:
    """The network of some settings with random weights; see `build_wav2vec2`."""
    if isinstance(settings, WhisperSettings):
        return build_whisper(settings, layers)
    build = build_wavlm if isinstance(settings, WavLMSettings) else build_wav2vec2
    return build(settings, layers, masked, final_norm)


def load_hub_folder(
    folder: str | Path, layers: int | None = None, final_norm: bool = False
) -> tuple[Settings, dict[str, np.ndarray]]:
    """The settings and the arrays of a folder.

    Args:
        folder: with `config.json`, and `model.safetensors` or `pytorch_model.bin`, whole or in
            parts; and `preprocessor_config.json`, as a rule.
        layers, final_norm: see `build_wav2vec2`.
    Returns:
        The settings; and by the network's names its arrays in PyTorch's layout, without the heads
        of other tasks and what lies behind the blocks that were asked for, and with the weight
        norm multiplied out.
    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, of another architecture, or there are fewer blocks.
    """
    folder = Path(folder).expanduser()
    settings = read_settings(folder)
    count = settings.count_layers(layers)
    prefix = f"{_read_json(folder / 'config.json')['model_type']}."
    whisper = isinstance(settings, WhisperSettings)
    arrays = {}
    for name, array in _read_arrays(folder).items():
        name = name.removeprefix("model." if whisper else prefix)
        if not name.startswith(LEFT_OUT):
            arrays[name.removeprefix("encoder.") if whisper else name] = array
    if whisper:
        return settings, first_layers(
            arrays, count, settings.encoder_layers, final_norm=count == settings.encoder_layers
        )
    final_norm = final_norm or not settings.do_stable_layer_norm
    arrays = first_layers(arrays, count, settings.num_hidden_layers, final_norm)
    return settings, without_weight_norm(arrays)


def read_settings(folder: Path) -> Settings:
    """The settings that a folder's JSON files state.

    Raises:
        FileNotFoundError, ValueError: as `load_hub_folder`.
    """
    path = folder / "config.json"
    config = _read_json(path)
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise ValueError(
            f"{path}: model_type must be one of {', '.join(MODEL_TYPES)}. Received: {kind!r}."
        )
    preprocessor = None
    if (folder / "preprocessor_config.json").is_file():
        preprocessor = _read_json(folder / "preprocessor_config.json")
    elif (folder / "processor_config.json").is_file():
        preprocessor = _read_json(folder / "processor_config.json").get("feature_extractor")
    if preprocessor is None:
        print(
            f"{folder}: no preprocessor_config.json says do_normalize; as in transformers, "
            "waveforms are brought to mean 0 and variance 1",
            file=sys.stderr,
        )
    elif not isinstance(preprocessor, Mapping):
        raise ValueError(
            f"{folder}: the feature extractor's settings must be a JSON object. "
            f"Received: {preprocessor!r}."
        )
    return MODEL_TYPES[kind].from_hub(config, preprocessor, str(path))


def _read_arrays(folder: Path) -> dict[str, np.ndarray]:
    """All arrays of the folder, from one file or from the parts that an index names."""
    path = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder}: the weights must be in {', '.join(WEIGHTS)}. Received: none of them."
        )
    if path.suffix != ".json":
        return read_weights(path)
    index = _read_json(path).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(p, str) for p in index.values()):
        raise ValueError(f"{path}: weight_map must map arrays to files. Received: {index!r:.100}.")
    arrays: dict[str, np.ndarray] = {}
    for part in sorted(set(index.values())):
        if Path(part).name != part:
            raise ValueError(f"{path}: parts must lie in the folder itself. Received: {part!r}.")
        if not (folder / part).is_file():
            raise FileNotFoundError(f"{path}: the part {part} is missing.")
        named = {name for name, file in index.items() if file == part}
        received = read_weights(folder / part)
        if received.keys() != named:
            odd = sorted(received.keys() ^ named)
            raise ValueError(
                f"{folder / part}: expected the arrays that {path.name} says. Received: "
                f"{len(odd)} missing or more, such as {odd[0]}."
            )
        arrays |= received
    return arrays


def first_layers(
    arrays: Mapping[str, np.ndarray], count: int, blocks: int, final_norm: bool
) -> dict[str, np.ndarray]:
    """The arrays of the first `count` of so many blocks; `final_norm`: with the last norm's."""
    norms = () if final_norm else ("encoder.layer_norm.", "layer_norm.")
    return {
        name: array
        for name, array in arrays.items()
        if not ((block := BLOCK.match(name)) and count <= int(block[1]) < blocks)
        and not name.startswith(norms)
    }


def without_weight_norm(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays with each weight that is given as length and direction multiplied out.

    Raises:
        ValueError: a length does not belong to its direction.
    """
    plain = dict(arrays)
    for name in arrays:
        for length, direction in WEIGHT_NORMS:
            base = name.removesuffix(length)
            if base == name or base + direction not in arrays:
                continue
            lengths = plain.pop(name).astype(np.float64)
            directions = plain.pop(base + direction).astype(np.float64)
            axes = tuple(axis for axis, size in enumerate(lengths.shape) if size == 1)
            if lengths.ndim != directions.ndim:
                raise ValueError(
                    f"{name} must have as many axes as its direction. Received: {lengths.shape} "
                    f"and {directions.shape}."
                )
            with np.errstate(invalid="ignore", divide="ignore"):
                norms = np.sqrt(np.sum(directions**2, axis=axes, keepdims=True))
                plain[f"{base}weight"] = (directions * (lengths / norms)).astype(np.float32)
    return plain


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file. A folder of the Hugging Face hub holds it; is this one?"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON. Received: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object. Received: {type(content).__name__}.")
    return content
