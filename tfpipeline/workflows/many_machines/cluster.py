"""A Ray cluster: how it is reached, and what it has; each failure is one line."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TIMEOUT_SECONDS = 5.0
SHARED = (
    "The run, the recordings and the output must be on a file system that all machines share, "
    "at the same path"
)


@dataclass(frozen=True)
class Resources:
    """What the machines of a cluster have together.

    Attributes:
        cpus, gpus: whole ones.
    """

    cpus: int
    gpus: int


@contextmanager
def ray_cluster(address: str) -> Iterator[Resources]:
    """A connection to a running cluster.

    Args:
        address: `HOST:PORT` of its head; `auto`, the one that this machine is part of; or
            `ray://HOST:PORT` of a Ray Client server.
    Raises:
        ValueError: Ray is not installed, or the address is malformed.
        OSError: there is no cluster, or it fails.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails is raised
    try:
        import ray
        import ray.data
    except ImportError:
        raise ValueError(
            "--ray needs Ray, which is not installed here. Install it: pip install 'ray[data]'"
        ) from None
    _check_address(address)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _no_cluster(address, error) from None
    try:
        yield _resources(ray)
    except ray.exceptions.RayError as error:
        raise OSError(f"the Ray cluster at {address} failed: {first_line(error)}") from None
    finally:
        ray.shutdown()


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _check_address(address: str) -> None:
    """Ray itself tries for a minute: a port that nobody listens on is told at once."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(
            f"--ray takes auto, HOST:PORT or ray://HOST:PORT. Received: {address!r}. Ray's own "
            "port is 6379."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_SECONDS).close()
    except OSError as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: BaseException) -> OSError:
    return OSError(
        f"--ray needs a running Ray cluster. Received: none at {address} ({first_line(error)}). "
        "Start one: ray start --head --port=6379, and ray start --address=HOST:6379 on the others."
    )


def _resources(ray) -> Resources:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = sum(int(node.get("CPU", 0)) for node in alive)
    if not cpus:
        raise OSError(
            f"--ray needs CPUs. Received: a cluster of {len(alive)} machines without any. Start "
            "others with: ray start --address=HOST:6379"
        )
    return Resources(cpus, sum(int(node.get("GPU", 0)) for node in alive))
