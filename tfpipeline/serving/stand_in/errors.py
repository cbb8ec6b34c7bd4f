"""Refusals of the protocol stand-in, by the canonical codes of gRPC and TensorFlow."""

from __future__ import annotations

# As `tensorflow_serving/model_servers/http_server.cc` translates them.
HTTP_CODES = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
MOST_SHOWN = 200  # characters of a request's own value in a message


class Refused(Exception):  # noqa: N818 - an answer of the protocol, not a fault
    """An answer other than success.

    Args:
        code: a name in `HTTP_CODES`.
        message: what the client reads.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> Refused:
    """The refusal of a request that can never succeed."""
    return Refused("INVALID_ARGUMENT", message)


def shown(text: str) -> str:
    """A request's value as a message quotes it: a request of megabytes is not sent back whole."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
