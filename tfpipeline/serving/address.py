"""Where a served model is: `grpc://host:port/model` or `http://host:port/model`."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

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
