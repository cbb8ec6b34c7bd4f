"""A search over several processes or machines: keras-tuner's chief and workers, and their address.

The chief holds the algorithm and answers over gRPC, without authentication or encryption: whoever
reaches the port can take and answer trials. Hence the loopback, or a network that is trusted.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from dataclasses import dataclass

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF = "chief"


@dataclass(frozen=True)
class Role:
    """What this process is in a search.

    Attributes:
        name: `chief`, a worker's id, or `-` where there is but one process.
        address: HOST:PORT of the chief; None where there is but one process.
    """

    name: str = "-"
    address: str | None = None

    @property
    def is_chief(self) -> bool:
        """Whether it holds the algorithm for others."""
        return self.name == CHIEF

    @property
    def is_worker(self) -> bool:
        """Whether it runs trials for a chief."""
        return self.address is not None and not self.is_chief


def take_role(chief: str | None, worker: str | None) -> Role:
    """The role that the flags name, set where keras-tuner reads it.

    Args:
        chief: HOST:PORT, or None.
        worker: the worker's id, or None.
    Raises:
        ValueError: a flag is missing or malformed, or keras-tuner's variables are set without one.
    """
    if worker is not None and chief is None:
        raise ValueError("--worker needs the chief's address: --worker ID --chief HOST:PORT.")
    if chief is None:
        found = [name for name in VARIABLES if name in os.environ]
        if found:
            raise ValueError(
                "a search over several machines is named by --chief HOST:PORT and --worker ID. "
                f"Received: {found[0]} in the environment, without them."
            )
        return Role()
    host, colon, port = chief.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"--chief takes HOST:PORT, such as 127.0.0.1:8000. Received: {chief!r}")
    if worker is not None and (CHIEF in worker or not worker.replace("-", "").isalnum()):
        raise ValueError(
            f"--worker takes a name of letters, digits and - without {CHIEF!r} in it, another for "
            f"each worker. Received: {worker!r}"
        )
    role = Role(worker or CHIEF, chief)
    os.environ.update(zip(VARIABLES, (role.name, host, port), strict=True))
    if role.is_chief:
        check_port(host, int(port))
    if not _is_loopback(host):
        print(
            f"warning: {host} is not this machine alone, and the search has no authentication: "
            "whoever reaches the port can take and answer trials. Use a network that you trust.",
            file=sys.stderr,
        )
    return role


def check_port(host: str, port: int) -> None:
    """Refuses an address that is taken; gRPC would share it in silence.

    Raises:
        OSError: it is taken, or none of this machine's.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise OSError(
                f"the chief cannot listen on {host}:{port}: {error.strerror or error}. Is another "
                "search running there?"
            ) from None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
