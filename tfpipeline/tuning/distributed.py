"""A search over several processes or machines: keras-tuner's chief and workers, and their address.

The chief holds the algorithm and answers over gRPC, without authentication or encryption: whoever
reaches the port can take and answer trials. Hence the loopback, or a network that is trusted.

keras-tuner's chief waits forever for workers that died, and its workers wait an hour for a chief.
Here both wait for `--wait-minutes`; a worker that runs a long trial gives signs of life meanwhile.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_chief, oracle_client

from tfpipeline.tuning.oracles import ResumableOracle

VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF = "chief"
WAIT_MINUTES = 60.0
LONGEST_MINUTES = 525_600.0  # a year
POLL_SECONDS = 0.2
SIGN_SECONDS = 10.0  # between two signs of life of a worker
SIGNS = 4  # at least, in the time after which it counts as dead
GRACE_SECONDS = 2.0  # for the answer to the last request of the last worker


@dataclass(frozen=True)
class Role:
    """What this process is in a search.

    Attributes:
        name: `chief`, a worker's id, or `-` where there is but one process.
        address: HOST:PORT of the chief; None where there is but one process.
        wait_seconds: how long chief and workers wait for each other.
    """

    name: str = "-"
    address: str | None = None
    wait_seconds: float = 60 * WAIT_MINUTES

    @property
    def is_chief(self) -> bool:
        """Whether it holds the algorithm for others."""
        return self.name == CHIEF

    @property
    def is_worker(self) -> bool:
        """Whether it runs trials for a chief."""
        return self.address is not None and not self.is_chief


def take_role(chief: str | None, worker: str | None, wait_minutes: float | None = None) -> Role:
    """The role that the flags name, set where keras-tuner reads it.

    Args:
        chief: HOST:PORT, or None.
        worker: the worker's id, or None.
        wait_minutes: how long both wait for each other; None: `WAIT_MINUTES`.
    Raises:
        ValueError: a flag is missing or malformed, or keras-tuner's variables are set without one.
    """
    if wait_minutes is not None and chief is None:
        raise ValueError("--wait-minutes belongs to a search of several processes: add --chief.")
    minutes = WAIT_MINUTES if wait_minutes is None else wait_minutes
    if not 0 < minutes <= LONGEST_MINUTES:
        raise ValueError(f"--wait-minutes must be above 0, and at most a year. Received: {minutes}")
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
    role = Role(worker or CHIEF, chief, 60 * minutes)
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


def serve_oracle(oracle: ResumableOracle, role: Role) -> None:
    """Answers workers until the last trial has ended and each worker has been told so.

    Raises:
        OSError: no worker has been heard for as long as the role waits.
    """
    servicer = oracle_chief.OracleServicer(oracle)
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    server.add_insecure_port(role.address)
    server.start()
    begun = oracle.clock()
    try:
        while not (servicer.stop_triggered and oracle_chief.exit_chief(oracle)):
            time.sleep(POLL_SECONDS)
            for worker, trial in oracle.release_silent(role.wait_seconds).items():
                note = f"; its trial {trial} is given to another" if trial else ""
                print(f"worker {worker} was silent for {_minutes(role)}{note}", file=sys.stderr)
            last = max(oracle.heard.values(), default=begun)
            if not servicer.stop_triggered and oracle.clock() - last > role.wait_seconds:
                who = "every worker was silent" if oracle.heard else "no worker came"
                raise OSError(
                    f"{who} for {_minutes(role)} (--wait-minutes), and the search is not over. "
                    "Start the chief again with --resume, and its workers."
                )
    finally:
        server.stop(GRACE_SECONDS).wait()


@contextlib.contextmanager
def chief_answers(role: Role) -> Iterator[None]:
    """Turns a chief that is silent, or fails, into one line; for a worker's requests.

    Raises:
        OSError: it is.
    """
    oracle_client.TIMEOUT = role.wait_seconds  # of every request; a constant of keras-tuner
    try:
        yield
    except grpc.RpcError as error:
        late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        detail = f" in {_minutes(role)} (--wait-minutes)" if late else f": {error.details()}"
        raise OSError(
            f"no answer from the chief at {role.address}{detail}. Is it running? If it died, start "
            "it again with --resume, then this worker with the same id."
        ) from None


@contextlib.contextmanager
def signs_of_life(sign: Callable[[], object], role: Role) -> Iterator[None]:
    """Calls something now and then while a worker is busy."""
    over = threading.Event()

    def call() -> None:
        while not over.wait(min(SIGN_SECONDS, role.wait_seconds / SIGNS)):
            with contextlib.suppress(grpc.RpcError):  # told when the worker asks itself
                sign()

    threading.Thread(target=call, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _minutes(role: Role) -> str:
    return f"{role.wait_seconds / 60:g} minutes"
