"""Models of the Hugging Face hub by name: found in a cache, or downloaded file by file.

Only JSON files and weights are fetched. Sizes and checksums are the hub's own: SHA-256 of large
files, git's of small ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.download import TIMEOUT, Download, fetch

# The first that is there is taken.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
SETTINGS = ("preprocessor_config.json", "processor_config.json")
PREFIX = "hf:"
NAME = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w.-]*))?")
LARGEST_JSON = 10_000_000  # bytes


@dataclass(frozen=True)
class HubModel:
    """A model by name.

    Attributes:
        repo: such as `facebook/wav2vec2-xls-r-300m`.
        revision: a branch, a tag or a commit.
    """

    repo: str
    revision: str = "main"

    @property
    def folder(self) -> Path:
        """Where this project keeps it."""
        return cache_folder() / "weights" / "hf" / f"{self.repo.replace('/', '--')}@{self.revision}"


def find_hub_folder(source: str | Path) -> Path:
    """The folder of a model.

    Args:
        source: a folder; or `hf:organization/name`, with `@revision` or without, which is looked
            for in this project's cache and in Hugging Face's, and else downloaded.
    Raises:
        ConnectionError: it is in no cache and cannot be downloaded; the message names the ways.
        FileNotFoundError: there is no such folder.
        ValueError: the name has another form, or the hub served something else.
    """
    if not str(source).startswith(PREFIX):
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise FileNotFoundError(
                f"expected a folder with config.json and the weights, or hf:organization/name. "
                f"Received: {source}, which is no folder."
            )
        return folder
    match = NAME.fullmatch(str(source)[len(PREFIX) :])
    if match is None or ".." in str(source):
        raise ValueError(f"expected hf:organization/name[@revision]. Received: {source}.")
    model = HubModel(match[1], match[2] or "main")
    for folder in (model.folder, _snapshot(model)):
        if folder is not None and _is_complete(folder):
            return folder
    try:
        _download(model)
    except ConnectionError as error:
        raise ConnectionError(
            f"{source} is in no cache and could not be downloaded "
            f"({' '.join(str(error).split()).rstrip('.')}). Three ways: a network, or a mirror "
            "named in HF_ENDPOINT; putting config.json, preprocessor_config.json and "
            f"model.safetensors or pytorch_model.bin into {model.folder} by hand; or any folder "
            "that holds them, named in place of hf:."
        ) from None
    return model.folder


def _is_complete(folder: Path) -> bool:
    """Whether settings and weights are there; of a download, the settings come last."""
    names = ("config.json", *WEIGHTS)
    here = [name for name in names if (folder / name).is_file()]
    return len(here) > 1 and here[0] == "config.json"


def _snapshot(model: HubModel) -> Path | None:
    """The model's folder in the cache of Hugging Face's own libraries."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    folder = cache / f"models--{model.repo.replace('/', '--')}"
    reference = folder / "refs" / model.revision
    commit = reference.read_text("utf-8").strip() if reference.is_file() else model.revision
    if re.fullmatch(r"\w[\w.-]*", commit) and (folder / "snapshots" / commit).is_dir():
        return folder / "snapshots" / commit
    snapshots = [snapshot for snapshot in folder.glob("snapshots/*") if snapshot.is_dir()]
    # Copied by hand, often without the references.
    return snapshots[0] if len(snapshots) == 1 and model.revision == "main" else None


def _download(model: HubModel) -> None:
    """Fetches the model's files into its folder, `config.json` last.

    Raises:
        ConnectionError: the hub cannot be reached, or does not hold the model.
        ValueError: the bytes are not those that the hub lists.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        raise ConnectionError("HF_HUB_OFFLINE is set")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    listed = f"{endpoint}/api/models/{model.repo}/revision/{model.revision}?blobs=true"
    try:
        answer = json.loads(_get(listed))
        commit = str(answer["sha"])
        files = {str(file["rfilename"]): file for file in answer["siblings"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ConnectionError(f"{listed} answered no list of files: {error!r}") from None
    weights = next((name for name in WEIGHTS if name in files), None)
    if weights is None or "config.json" not in files:
        raise ValueError(
            f"hf:{model.repo}: a model must have config.json and one of {', '.join(WEIGHTS)}. "
            f"Received: {', '.join(sorted(files))[:200]}."
        )
    base = f"{endpoint}/{model.repo}/resolve/{commit}"
    model.folder.mkdir(parents=True, exist_ok=True)
    for name in [setting for setting in SETTINGS if setting in files]:
        _keep(model.folder / name, _small(base, name, files))
    parts = [weights]
    if weights.endswith(".json"):
        index = _small(base, weights, files)
        _keep(model.folder / weights, index)
        parts = _parts(index, files, f"{base}/{weights}")
    for name in parts:
        large = files[name].get("lfs") or {}
        if not re.fullmatch("[0-9a-f]{64}", str(large.get("sha256"))):
            raise ValueError(
                f"{base}/{name}: the hub must state the SHA-256. Received: {large!r:.100}."
            )
        fetch(Download(f"{base}/{name}", name, int(large["size"]), large["sha256"]), model.folder)
    _keep(model.folder / "config.json", _small(base, "config.json", files))


def _parts(index: bytes, files: dict[str, dict[str, Any]], source: str) -> list[str]:
    """The files that an index of weights names."""
    try:
        parts = sorted(set(json.loads(index)["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{source}: expected an index of weights. Received: {error!r}.") from None
    odd = [name for name in parts if name not in files or Path(name).name != name]
    if odd:
        raise ValueError(f"{source}: parts must be files beside it. Received: {odd[0]!r}.")
    return parts


def _small(base: str, name: str, files: dict[str, dict[str, Any]]) -> bytes:
    """A small file, checked against the name that git gives its content."""
    content = _get(f"{base}/{name}")
    received = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    if received.hexdigest() != files[name].get("blobId"):
        raise ValueError(
            f"{base}/{name}: git's checksum must be {files[name].get('blobId')}. Received: "
            f"{received.hexdigest()}. The server sent another file; nothing of it was kept."
        )
    return content


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content = answer.read(LARGEST_JSON + 1)
    except (urllib.error.URLError, OSError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        raise ConnectionError(f"{url}: {reason}") from None
    if len(content) > LARGEST_JSON:
        raise ValueError(f"{url}: expected at most {LARGEST_JSON:,} bytes. Received: more.")
    return content


def _keep(path: Path, content: bytes) -> None:
    with atomic_file(path) as partial:
        Path(partial).write_bytes(content)
