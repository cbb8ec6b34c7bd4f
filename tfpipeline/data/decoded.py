"""Decoded audio on disk: one file of float32 samples a clip, found by path, size and change time.

Any number of processes may share the folder: a file is whole or absent, and whoever comes second
finds it there. A clip that changed gets a new file, and the old one goes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfpipeline.files.archives import cache_folder

# Another version for other bytes: a change of the decoder or of the resampler raises it.
VERSION = 1


class DecodedFiles:
    """Where the decoded samples of some clips are, or will be.

    Args:
        paths: of the clips.
        folder: of the cache; default: `decoded` in the user's cache.
    """

    def __init__(self, paths: Iterable[str], folder: Path | None = None):
        self.folder = folder or cache_folder() / "decoded"
        self.files = [self._file(path) for path in paths]
        self._listed: dict[Path, dict[str, list[str]]] = {}
        self._names = tf.constant(np.array(self.files, dtype=str))

    def missing(self) -> np.ndarray:
        """Indices of the clips that have no decoded file yet, int64."""
        # An empty file is what a crash of the machine may leave; no clip decodes to nothing.
        there = [os.path.exists(file) and os.path.getsize(file) > 0 for file in self.files]
        return np.flatnonzero(~np.array(there, bool))

    def write(self, index: int, waveform: np.ndarray) -> None:
        """Stores the samples of one clip, and removes those of an older state of it."""
        file = Path(self.files[index])
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
        try:
            waveform.astype("<f4").tofile(partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        for older in self._older(file):
            older.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes of the decoded files that are there."""
        return sum(os.path.getsize(file) for file in self.files if os.path.exists(file))

    def waveform(self, index: tf.Tensor) -> tf.Tensor:
        """In-graph: index (scalar int64) → float32 (samples,)."""
        contents = tf.io.read_file(tf.gather(self._names, index))
        return tf.io.decode_raw(contents, tf.float32)

    def _older(self, file: Path) -> list[Path]:
        """Files of other states of the same clip; a folder is listed once, at its first write."""
        if file.parent not in self._listed:
            states: dict[str, list[str]] = {}
            for name in os.listdir(file.parent):
                if name.endswith(".f32"):
                    states.setdefault(name.partition("-")[0], []).append(name)
            self._listed[file.parent] = states
        found = self._listed[file.parent].get(file.name.partition("-")[0], [])
        return [file.with_name(name) for name in found if name != file.name]

    def _file(self, path: str) -> str:
        """Path of the decoded file of one clip as it is now; a clip that is absent has none."""
        absolute = os.path.abspath(path)
        identity = hashlib.sha256(absolute.encode()).hexdigest()[:24]
        try:
            stat = os.stat(absolute)
        except OSError:
            return str(self.folder / "absent" / identity)
        name = f"{identity}-{stat.st_size}-{stat.st_mtime_ns}-v{VERSION}.f32"
        return str(self.folder / identity[:2] / name)
