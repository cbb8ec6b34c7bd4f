"""How much one client may ask of the protocol stand-in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on requests.

    Attributes:
        request_bytes: of the largest request, as it is sent. JSON takes up to some twenty times as
            much memory while it is read.
        concurrent: requests at work at once, in each protocol; more are told to come back.
        connections: open HTTP connections at once, idle ones included.
        request_seconds: that an HTTP request may take to arrive, whole; an idle connection is
            closed after as long.
    """

    request_bytes: int = 32 * 2**20
    concurrent: int = 8
    connections: int = 64
    request_seconds: float = 30.0

    def __post_init__(self):
        if min(self.request_bytes, self.concurrent, self.connections, self.request_seconds) <= 0:
            raise ValueError(f"limits must be above 0. Received: {self}.")
