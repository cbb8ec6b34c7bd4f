"""Decoded audio on disk: one file of 16-bit samples a clip, found by path, size and change time.

Any number of processes may share the folder: a file is whole or absent, and whoever comes second
finds it there. A clip that changed gets a new file, and the old one goes.

How much memory this process may still take, by the machine and by its container.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tfpipeline.data.audio import STEPS
from tfpipeline.files.archives import cache_folder
from tfpipeline.files.atomic import write_json

# Another version for other bytes: a change of the decoder or of the resampler raises it.
VERSION = 2


def to_steps(waveform: np.ndarray) -> np.ndarray:
    """A decoded waveform, which lies on the grid of 16 bits, as int16: nothing is lost."""
    return (waveform * np.float32(STEPS)).astype("<i2")


def from_steps(steps: np.ndarray) -> np.ndarray:
    """float32 (samples,) in [-1, 1)."""
    return steps.astype(np.float32) / np.float32(STEPS)


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

    def missing(self) -> np.ndarray:
        """Indices of the clips that have no decoded file yet, int64."""
        # An empty file is what a crash of the machine may leave; no clip decodes to nothing.
        there = [os.path.exists(file) and os.path.getsize(file) > 0 for file in self.files]
        return np.flatnonzero(~np.array(there, bool))

    def write(
        self, index: int, steps: np.ndarray, channels: int = 1, remarks: Sequence[str] = ()
    ) -> None:
        """Stores a clip, and removes what was stored of an older state of it.

        Args:
            index: of the clip.
            steps: int16 (samples,).
            channels: that are judged apart, one behind the other in the samples.
            remarks: what was noticed about the clip.
        """
        file = Path(self.files[index])
        file.parent.mkdir(parents=True, exist_ok=True)
        if channels > 1 or remarks:
            known = {"channels": channels, "remarks": list(remarks)}
            write_json(file.with_suffix(".json"), known)
        partial = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
        try:
            steps.astype("<i2").tofile(partial)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
        for older in self._older(file):
            older.unlink(missing_ok=True)

    def read(self, index: int) -> np.ndarray:
        """The samples of one clip, float32 (samples,)."""
        return from_steps(np.fromfile(self.files[index], "<i2"))

    def known(self, index: int) -> tuple[int, tuple[str, ...]]:
        """Channels and remarks of a clip that is there."""
        try:
            known = json.loads(Path(self.files[index]).with_suffix(".json").read_text("utf-8"))
        except FileNotFoundError:
            return 1, ()
        return known["channels"], tuple(known["remarks"])

    def size(self) -> int:
        """Bytes of the decoded files that are there."""
        return sum(os.path.getsize(file) for file in self.files if os.path.exists(file))

    def _older(self, file: Path) -> list[Path]:
        """Files of other states of the same clip; a folder is listed once, at its first write."""
        if file.parent not in self._listed:
            states: dict[str, list[str]] = {}
            for name in os.listdir(file.parent):
                if name.endswith((".i16", ".json", ".f32")):
                    states.setdefault(name.partition("-")[0], []).append(name)
            self._listed[file.parent] = states
        found = self._listed[file.parent].get(file.name.partition("-")[0], [])
        return [file.with_name(name) for name in found if Path(name).stem != file.stem]

    def _file(self, path: str) -> str:
        """Path of the decoded file of one clip as it is now; a clip that is absent has none."""
        absolute = os.path.abspath(path)
        identity = hashlib.sha256(absolute.encode()).hexdigest()[:24]
        try:
            stat = os.stat(absolute)
        except OSError:
            return str(self.folder / "absent" / identity)
        name = f"{identity}-{stat.st_size}-{stat.st_mtime_ns}-v{VERSION}.i16"
        return str(self.folder / identity[:2] / name)


# Limit and use of a container: control groups of version 2, and of version 1.
GROUPS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def free_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that are free: what the machine has available, or what is left of a container's limit.

    Args:
        proc, groups: where Linux tells; elsewhere the system's own count of free pages is taken.
    """
    free = []
    try:
        for line in (proc / "meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(1024 * int(line.split()[1]))
    except OSError:
        free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    for limit, used, stat in GROUPS:
        try:
            most = int((groups / limit).read_text("ascii"))  # "max" is no limit
            in_use = int((groups / used).read_text("ascii"))
            # Pages of files that were read count as used, but make room at once.
            rows = dict(line.split() for line in (groups / stat).read_text("ascii").splitlines())
            free.append(most - in_use + int(rows.get("inactive_file", 0)))
        except (OSError, ValueError):
            continue
    return max(0, min(free))
