"""Where a served model is: `grpc://host:port/model` or `http://host:port/model`.

What a client's two transports have in common: rows to send, and how failures are told.

Trying again: what may pass by itself is tried a few times, with growing pauses.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import numpy as np

PORTS = {"grpc": 8500, "http": 8501, "https": 443}
FORM = "grpc://HOST:PORT/MODEL or http://HOST:PORT/MODEL, with /versions/N or /labels/LABEL or none"


@dataclass(frozen=True)
class Address:
    """A model of a server.

    Attributes:
        protocol: a name in `PORTS`.
        host, port: of the server.
        model: its name there.
        version: a number; None for the latest, or that of the label.
        label: such as stable; None for none.
    """

    protocol: str
    host: str
    port: int
    model: str
    version: int | None = None
    label: str | None = None

    def __str__(self):
        return f"{self.protocol}://{self.netloc}/{self.model}"

    @property
    def netloc(self) -> str:
        """Host and port; an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Reads an address; a path that begins with `/v1/models`, as in the server's guide, is taken.

    Raises:
        ValueError: it is of another form, or names no model.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"a server must be {FORM}. Received: {text!r} ({error}).") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"a server must be {FORM}. Received: {text!r}.")
    if parts.username is not None:
        raise ValueError("a server's address must hold no user name. Received: one.")
    path = [unquote(part) for part in parts.path.split("/") if part]
    if path[:2] == ["v1", "models"]:
        path = path[2:]
    if not path:
        raise ValueError(
            f"a server must be asked for a model by name, since it does not list them: {FORM}. "
            f"Received: {text!r}."
        )
    version = label = None
    if len(path) == 3 and path[1] == "versions" and path[2].isascii() and path[2].isdigit():
        version = int(path[2])
    elif len(path) == 3 and path[1] == "labels":
        label = path[2]
    elif len(path) != 1:
        raise ValueError(f"a server must be {FORM}. Received: {text!r}.")
    return Address(
        parts.scheme, parts.hostname, port or PORTS[parts.scheme], path[0], version, label
    )


MOST_ANSWER_BYTES = 64 * 2**20
_MOST_SHOWN = 300


class Transport(Protocol):
    """Carries requests of one input, a row a clip."""

    def encoded_size(self, audio: bytes) -> int:
        """Bytes that a recording takes in a request."""

    def encode(self, row: np.ndarray | bytes) -> bytes:
        """A row as it is sent: samples, float32 (samples,), or bytes."""

    def predict(
        self,
        signature: str,
        name: str,
        rows: Sequence[bytes],
        samples: int | None,
        outputs: Sequence[str],
        seconds: float,
    ) -> dict[str, np.ndarray]:
        """Sends one request.

        Args:
            signature: of the model.
            name: of its one input.
            rows: of `encode`.
            samples: in each row; None for rows that are bytes.
            outputs: wanted.
            seconds: to wait for the answer.
        Returns:
            Output → value.
        Raises:
            RetryableError: another try is worth while.
            ValueError: the server refuses the request for good.
            ConnectionError, TimeoutError: the server failed, or took too long.
        """

    def close(self) -> None:
        """Closes the connection."""


def told(text: str) -> str:
    """A server's message as it may be printed: one line, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"
    return line.rstrip(".") or "no reason given"


T = TypeVar("T")


class RetryableError(Exception):
    """A failure after which the same request may succeed: a server that starts, or is busy."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often a client tries.

    Attributes:
        seconds: for a whole call, with all its requests, tries and pauses.
        tries: of each request.
        first_pause: seconds before the second try; it doubles up to `longest_pause`. Each pause is
            shortened by chance to between half and all of it, so that clients that were turned away
            together do not come back together.
        clock, sleep, chance: replaced by tests.
    """

    seconds: float = 120.0
    tries: int = 6
    first_pause: float = 0.2
    longest_pause: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def __post_init__(self):
        if self.seconds <= 0 or self.tries < 1:
            raise ValueError(
                f"seconds must be above 0, and tries at least 1. Received: {self.seconds}, "
                f"{self.tries}."
            )

    def until(self) -> float:
        """The moment at which a call that begins now is given up."""
        return self.clock() + self.seconds

    def left(self, until: float, where: str, reason: str = "") -> float:
        """Seconds left.

        Raises:
            TimeoutError: none are.
        """
        left = until - self.clock()
        if left <= 0:
            after = f" The last failure: {reason}." if reason else ""
            raise TimeoutError(f"{where}: no answer within {self.seconds:g} s.{after}")
        return left


def try_again(attempt: Callable[[float], T], policy: RetryPolicy, until: float, where: str) -> T:
    """Calls `attempt` with the seconds left, until it succeeds.

    Args:
        attempt: raises `RetryableError` for what is worth another try; anything else is final.
        policy: how often.
        until: the moment, on the policy's clock, at which to give up.
        where: names the server in errors.
    Raises:
        ConnectionError: every try failed.
        TimeoutError: the time is over, or would be before the next try.
    """
    pause, reason = policy.first_pause, ""
    for number in range(1, policy.tries + 1):
        left = policy.left(until, where, reason)
        try:
            return attempt(left)
        except RetryableError as error:
            reason = str(error)
        if number < policy.tries:
            nap = pause * (0.5 + 0.5 * policy.chance())
            if policy.left(until, where, reason) <= nap:
                raise TimeoutError(
                    f"{where}: no answer within {policy.seconds:g} s. The last failure: {reason}."
                )
            policy.sleep(nap)
            pause = min(2 * pause, policy.longest_pause)
    raise ConnectionError(
        f"{where}: {policy.tries} tries failed. The last failure: {reason}. Is the server "
        f"running, and the port right? grpc:// and http:// have two, {PORTS['grpc']} and "
        f"{PORTS['http']} by default."
    )
