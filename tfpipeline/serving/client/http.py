"""Requests over TensorFlow Serving's REST API; TensorFlow is not imported."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import quote

import numpy as np

from tfpipeline.serving.client.transport import MOST_ANSWER_BYTES, Address, RetryableError, told

MAY_PASS = (429, 502, 503)
REFUSED = range(400, 500)
NOT_THERE = 501
_PIECE = 2**20


class HttpTransport:
    """One connection, kept open between requests.

    Args:
        address: of the model.
        clock: by which the time of an answer is measured.
    """

    def __init__(self, address: Address, clock: Callable[[], float] = time.monotonic):
        self._where = str(address)
        self._over_grpc = replace(address, protocol="grpc")
        self._clock = clock
        if address.protocol == "https":
            self._connection = http.client.HTTPSConnection(
                address.host, address.port, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(address.host, address.port)
        choice = ""
        if address.version is not None:
            choice = f"/versions/{address.version}"
        elif address.label is not None:
            choice = f"/labels/{quote(address.label, safe='')}"
        self._path = f"/v1/models/{quote(address.model, safe='')}{choice}:predict"

    def encoded_size(self, audio: bytes) -> int:
        return 4 * -(-len(audio) // 3) + len('{"b64": ""}')

    def encode(self, row: np.ndarray | bytes) -> bytes:
        if isinstance(row, bytes):
            return b'{"b64": "' + base64.b64encode(row) + b'"}'
        if not np.isfinite(row).all():
            return json.dumps(row.tolist()).encode()  # NaN and Infinity, as the server reads them
        # Nine digits give each float32 back exactly, in half the length of a float64.
        return ("[" + ",".join(map("%.9g".__mod__, row.tolist())) + "]").encode()

    def predict(
        self,
        signature: str,
        name: str,
        rows: Sequence[bytes],
        samples: int | None,
        outputs: Sequence[str],
        seconds: float,
    ) -> dict[str, np.ndarray]:
        body = b'{"signature_name": %b, "inputs": {%b: [%b]}}' % (
            json.dumps(signature).encode(),
            json.dumps(name).encode(),
            b",".join(rows),
        )
        status, answer = self._post(body, seconds)
        if status in MAY_PASS:
            raise RetryableError(f"HTTP {status}: {_reason(answer)}")
        if status in REFUSED or status == NOT_THERE:
            raise ValueError(
                f"{self._where} refuses the request: {_reason(answer)} (HTTP {status})."
            )
        if status != http.client.OK:
            raise ConnectionError(f"{self._where} failed: {_reason(answer)} (HTTP {status}).")
        try:
            found = json.loads(answer)["outputs"]
            # The server leaves the name of an only output away.
            found = found if isinstance(found, dict) else {outputs[0]: found}
            return {output: np.array(found[output]) for output in outputs}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConnectionError(
                f"{self._where}: expected the outputs {', '.join(outputs)}. Received: another "
                f"answer ({type(error).__name__}). Is it TensorFlow Serving?"
            ) from None

    def close(self) -> None:
        self._connection.close()

    def _post(self, body: bytes, seconds: float) -> tuple[int, bytes]:
        """Status and body of the answer."""
        until = self._clock() + seconds
        self._connection.timeout = seconds
        try:
            response = self._respond(body, seconds)
            return response.status, self._read(response, until)
        except TimeoutError:
            self.close()
            raise TimeoutError(f"{self._where}: no answer within {seconds:.3g} s.") from None
        except socket.gaierror as error:
            self.close()
            raise ConnectionError(f"{self._where}: unknown host ({error.strerror}).") from None
        except ssl.SSLError as error:
            self.close()
            raise ConnectionError(
                f"{self._where}: no secure connection ({error.reason})."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
                raise ConnectionError(
                    f"{self._where}: expected a REST port. Received: an answer that is not HTTP. "
                    f"If it is the port of gRPC, the address is {self._over_grpc}."
                ) from None
            raise RetryableError(told(str(error) or type(error).__name__)) from None

    def _respond(self, body: bytes, seconds: float) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"}
        kept = self._connection.sock
        try:
            if kept is not None:
                kept.settimeout(seconds)
            self._connection.request("POST", self._path, body, headers)
            return self._connection.getresponse()
        except ConnectionError:
            if kept is None:
                raise
        # The server had closed the kept connection meanwhile, which is no failure of its own.
        self.close()
        self._connection.request("POST", self._path, body, headers)
        return self._connection.getresponse()

    def _read(self, response: http.client.HTTPResponse, until: float) -> bytes:
        pieces, size = [], 0
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_ANSWER_BYTES:
                self.close()
                raise ValueError(
                    f"{self._where}: an answer must be at most {MOST_ANSWER_BYTES} bytes long. "
                    f"Received: more."
                )
            if self._clock() > until:  # a socket's time-out counts for each piece anew
                raise TimeoutError
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()  # read to its end, but the connection would not know
        return b"".join(pieces)


def _reason(answer: bytes) -> str:
    """The message of an error body, or the body."""
    try:
        return told(str(json.loads(answer)["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return told(answer[:1000].decode("utf-8", "replace"))
