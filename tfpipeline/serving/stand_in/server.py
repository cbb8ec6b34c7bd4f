"""The protocol stand-in as a whole: both protocols over the same models."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tfpipeline.serving.stand_in.limits import Limits
from tfpipeline.serving.stand_in.models import Models

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass
class StandIn:
    """A running stand-in.

    Attributes:
        grpc_port, rest_port: that it listens on.
    """

    grpc_port: int
    rest_port: int
    _grpc: object
    _rest: object

    def close(self) -> None:
        """Stops: what is under way is finished, for a few seconds at most."""
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(grace=5).wait()


def open_stand_in(
    models: Models,
    host: str = "127.0.0.1",
    grpc_port: int = 8500,
    rest_port: int = 8501,
    limits: Limits | None = None,
) -> StandIn:
    """Starts both protocols in threads of their own.

    Args:
        models: of `load_models`; they stay open when the server is closed.
        host: the loopback, unless others are to reach it: there is neither encryption nor
            authentication.
        grpc_port, rest_port: 0 for any that is free.
        limits: on requests.
    Raises:
        OSError: a port is taken.
    """
    from tfpipeline.serving.stand_in.grpc_service import open_grpc
    from tfpipeline.serving.stand_in.http_server import RestServer

    limits = limits or Limits()
    try:
        rest = RestServer(models, limits, (host, rest_port))
    except OSError as error:
        raise OSError(
            f"the REST port must be free on this machine. Received: {host}:{rest_port} ({error})."
        ) from None
    try:
        grpc_server, grpc_port = open_grpc(models, limits, host, grpc_port)
    except OSError:
        rest.server_close()
        raise
    threading.Thread(target=rest.serve_forever, args=(0.05,), name="rest", daemon=True).start()
    return StandIn(grpc_port, rest.server_port, grpc_server, rest)
