"""What a client's two transports have in common: rows to send, and how failures are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

MOST_ANSWER_BYTES = 64 * 2**20
_MOST_SHOWN = 300


class Transport(Protocol):
    """Carries requests of one input, a row a clip."""

    def encoded_size(self, audio: bytes) -> int:
        """Bytes that a recording takes in a request."""

    def encode(self, row: np.ndarray | bytes) -> bytes:
        """A row as it is sent: samples, float32 (samples,), or bytes."""

    def predict(
        self, signature: str, name: str, rows: Sequence[bytes], samples: int | None,
        outputs: Sequence[str], seconds: float,
    ) -> dict[str, np.ndarray]:  # fmt: skip
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
            MayPass: another try is worth while.
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
