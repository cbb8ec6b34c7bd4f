"""Files from fixed addresses: fetched once, checked, kept in the cache."""

from __future__ import annotations

import hashlib
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tfpipeline.files.archives import sha256_of
from tfpipeline.files.atomic import atomic_file
from tfpipeline.files.progress import BYTES, Progress

BLOCK = 1 << 16
TIMEOUT = 30  # seconds without a byte


@dataclass(frozen=True)
class Download:
    """A file of the web, and what it must be.

    Attributes:
        url: where it is.
        filename: under which it is kept.
        size: in bytes.
        sha256: hexadecimal.
    """

    url: str
    filename: str
    size: int
    sha256: str


def fetch(download: Download, folder: Path) -> Path:
    """Path of the checked file, downloaded if the folder does not hold it.

    Raises:
        ConnectionError: the address cannot be reached, or the transfer broke off.
        ValueError: the bytes are others; nothing of a download is kept then.
    """
    target = folder / download.filename
    if target.exists():
        received = sha256_of(target)
        if received != download.sha256:
            raise ValueError(
                f"{target}: the SHA-256 must be {download.sha256}. Received: {received}. "
                "Delete it to download it again."
            )
        return target
    folder.mkdir(parents=True, exist_ok=True)
    print(f"downloading {download.filename} from {download.url} …", file=sys.stderr)
    with atomic_file(target) as partial:
        try:
            received = _transfer(download, partial)
        except (urllib.error.URLError, OSError, TimeoutError) as error:
            reason = " ".join(str(getattr(error, "reason", error)).split())
            raise ConnectionError(
                f"{download.url} could not be downloaded. Received: {reason}."
            ) from None
        if received != download.sha256:
            raise ValueError(
                f"{download.url}: the SHA-256 must be {download.sha256}. Received: {received}. "
                "The server sent another file; nothing of it was kept."
            )
    return target


def _transfer(download: Download, partial: Path) -> str:
    """Writes the file and returns its SHA-256; never more bytes than it should have."""
    digest, left = hashlib.sha256(), download.size
    bar = Progress(download.filename, download.size, BYTES)
    opened = urllib.request.urlopen(download.url, timeout=TIMEOUT)
    with opened as answer, Path(partial).open("wb") as file, bar:
        while left > 0 and (block := answer.read(min(BLOCK, left))):
            file.write(block)
            digest.update(block)
            bar.advance(len(block))
            left -= len(block)
        if left or answer.read(1):
            raise OSError(f"{'fewer' if left else 'more'} than {download.size:,} bytes")
    return digest.hexdigest()
