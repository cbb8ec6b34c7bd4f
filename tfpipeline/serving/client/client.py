"""A client of served runs, over gRPC or REST: batches, tries again, and keeps to a deadline.

It asks for what `tfpipeline.serving.contract` promises, of TensorFlow Serving or of anything that
speaks its protocols. TensorFlow is imported for gRPC alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfpipeline.serving.client.transport import (
    Address,
    RetryPolicy,
    Transport,
    parse_address,
    try_again,
)
from tfpipeline.serving.status import NO_SCORE

SCORES = ("score", "llr", "probability", "status")
_FRAME_BYTES = 1024  # of a request beside its rows
_ROW_BYTES = 16  # of a row beside its content


@dataclass(frozen=True)
class Batching:
    """How requests are cut.

    Attributes:
        rows: at most, in a request.
        request_bytes: at most, as sent; it must not be above what the server takes.
    """

    rows: int = 32
    request_bytes: int = 16 * 2**20

    def __post_init__(self):
        if self.rows < 1 or self.request_bytes <= _FRAME_BYTES + _ROW_BYTES:
            raise ValueError(
                f"rows must be at least 1, and request_bytes above {_FRAME_BYTES + _ROW_BYTES}. "
                f"Received: {self.rows}, {self.request_bytes}."
            )


def open_client(
    address: str, policy: RetryPolicy | None = None, batching: Batching | None = None
) -> Client:
    """A client of one model; nothing is sent yet.

    Args:
        address: `grpc://host:port/model` or `http://host:port/model`, with `/versions/N` or
            `/labels/LABEL` behind it or not.
        policy: tries and deadline of each call.
        batching: the size of requests.
    Raises:
        ValueError: the address is of another form.
    """
    where, policy = parse_address(address), policy or RetryPolicy()
    if where.protocol == "grpc":
        from tfpipeline.serving.client.grpc import GrpcTransport

        transport: Transport = GrpcTransport(where)
    else:
        from tfpipeline.serving.client.http import HttpTransport

        transport = HttpTransport(where, policy.clock)
    return Client(where, transport, policy, batching or Batching())


class Client:
    """Asks one model; made by `open_client`, and closed at the end of a `with`.

    Every method raises ConnectionError or TimeoutError where the server fails or the deadline is
    over, and ValueError where it refuses the request for good.
    """

    def __init__(
        self, address: Address, transport: Transport, policy: RetryPolicy, batching: Batching
    ):
        self.address = address
        self._transport = transport
        self._policy = policy
        self._batching = batching

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def contract(self) -> dict:
        """The contract of the model, as JSON; `parse_contract` checks it whole."""
        text = self._ask("contract", "request", [b""], None, ("contract",))["contract"][0]
        try:
            contract = json.loads(text)
        except (ValueError, TypeError):
            contract = None
        if not isinstance(contract, dict) or "schema" not in contract:
            raise ValueError(f"{self.address}: expected a contract. Received: {text!r:.100}.")
        return contract

    def score_windows(self, windows: np.ndarray) -> np.ndarray:
        """Scores windows, each from itself alone; `tfpipeline.data.audio.windows` cuts a clip.

        Args:
            windows: float32 (n, window_samples of the contract) at 16 kHz in [-1, 1].
        Returns:
            Log-odds, float64 (n,), NaN of a window that has none. A clip's score is the mean of its
            windows'.
        """
        windows = np.asarray(windows, np.float32)
        if windows.ndim != 2:
            raise ValueError(f"windows must be (n, samples). Received: shape {windows.shape}.")
        found = self._ask("windows", "windows", windows, windows.shape[1], ("score",))
        return _without_sentinel(found["score"])

    def score_audio(self, audio: Sequence[bytes]) -> list[dict]:
        """Scores WAV files.

        Args:
            audio: the files' bytes.
        Returns:
            A dict a file, in their order: `score`, `llr`, `probability` (NaN without a score) and
            `status`.
        """
        if isinstance(audio, bytes):
            raise ValueError("audio must be a list of files' bytes. Received: the bytes of one.")
        for file in audio:
            self.check_size(file)
        found = self._ask("audio_bytes", "audio", audio, None, SCORES)
        status = found.pop("status").tolist()
        floats = {name: _without_sentinel(value).tolist() for name, value in found.items()}
        return [
            {**{name: column[row] for name, column in floats.items()}, "status": int(status[row])}
            for row in range(len(audio))
        ]

    def check_size(self, audio: bytes) -> None:
        """Checks that one recording fits a request.

        Raises:
            ValueError: it does not.
        """
        size = self._transport.encoded_size(audio) + _FRAME_BYTES + _ROW_BYTES
        if size > self._batching.request_bytes:
            raise ValueError(
                f"a request must be at most {self._batching.request_bytes} bytes long. Received: a "
                f"recording of {len(audio)} bytes, which makes one of {size}. Cut it, or raise the "
                f"limit of client and server."
            )

    def _ask(
        self,
        signature: str,
        name: str,
        rows: Iterable[np.ndarray | bytes],
        samples: int | None,
        outputs: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """Sends rows in as many requests as they need, within one deadline; keeps their order."""
        until = self._policy.until()
        answers = []
        for batch in self._batches(rows):

            def attempt(seconds: float, batch=batch) -> dict[str, np.ndarray]:
                return self._transport.predict(signature, name, batch, samples, outputs, seconds)

            found = try_again(attempt, self._policy, until, str(self.address))
            self._check_answer(found, len(batch))
            answers.append(found)
        if not answers:
            return {output: np.zeros(0) for output in outputs}
        return {output: np.concatenate([found[output] for found in answers]) for output in outputs}

    def _batches(self, rows: Iterable[np.ndarray | bytes]) -> Iterator[list[bytes]]:
        batch, size = [], _FRAME_BYTES
        for row in rows:
            encoded = self._transport.encode(row)
            row_size = len(encoded) + _ROW_BYTES
            if _FRAME_BYTES + row_size > self._batching.request_bytes:
                raise ValueError(
                    f"a request must be at most {self._batching.request_bytes} bytes long. "
                    f"Received: a row of {row_size}."
                )
            if batch and (
                len(batch) == self._batching.rows or size + row_size > self._batching.request_bytes
            ):
                yield batch
                batch, size = [], _FRAME_BYTES
            batch.append(encoded)
            size += row_size
        if batch:
            yield batch

    def _check_answer(self, found: dict[str, np.ndarray], rows: int) -> None:
        for name, value in found.items():
            numeric = name == "contract" or value.dtype.kind in "fiu"
            if value.ndim != 1 or len(value) != rows or not numeric:
                raise ConnectionError(
                    f"{self.address}: expected {name} for each of {rows} rows. Received: "
                    f"{value.dtype} {value.shape}. Is it an export of tfpipeline?"
                )


def _without_sentinel(values: np.ndarray) -> np.ndarray:
    """float64, NaN for `NO_SCORE`; an export of schema 2 answers NaN itself."""
    values = values.astype(np.float64)
    return np.where(values == NO_SCORE, np.nan, values)
