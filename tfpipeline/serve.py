"""Serves exported runs: `python -m tfpipeline.serve --root served`.

A protocol stand-in: it speaks TensorFlow Serving's gRPC and REST protocols on the same folders, for
trying and testing clients where TensorFlow Serving itself is not installed. It does not batch
across requests, does not watch for new versions, and has neither encryption nor authentication.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from tfpipeline.flags import OK, quiet_tensorflow, run_command


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and serves until it is stopped; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tfpipeline.serve", description=__doc__)
    parser.add_argument(
        "--root", metavar="FOLDER", required=True,
        help="holds models.config, or folders <model>/<version>",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    parser.add_argument("--grpc-port", type=int, default=8500, help="default: 8500; 0: any free")
    parser.add_argument("--rest-port", type=int, default=8501, help="default: 8501; 0: any free")
    parser.add_argument(
        "--max-request-mib", type=float, default=32, help="the largest request (default: 32)"
    )
    parser.add_argument(
        "--concurrent", type=int, default=8, help="requests at work at once (default: 8)"
    )
    parser.add_argument("--json", action="store_true", help="print where it listens as JSON")
    flags = parser.parse_args(argv)
    return run_command(lambda: _serve(flags))


def _serve(flags: argparse.Namespace) -> int:
    for port in (flags.grpc_port, flags.rest_port):
        if not 0 <= port <= 65535:
            raise ValueError(f"a port must be between 0 and 65535. Received: {port}.")
    quiet_tensorflow()

    from tfpipeline.serving.stand_in.limits import Limits
    from tfpipeline.serving.stand_in.models import load_models
    from tfpipeline.serving.stand_in.server import LOOPBACK, open_stand_in

    limits = Limits(request_bytes=int(flags.max_request_mib * 2**20), concurrent=flags.concurrent)
    models = load_models(Path(flags.root))
    server = open_stand_in(models, flags.host, flags.grpc_port, flags.rest_port, limits)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    try:
        if flags.host not in LOOPBACK:
            print(
                f"warning: {flags.host} may be reached from other machines, and there is neither "
                f"encryption nor authentication",
                file=sys.stderr,
            )
        _announce(flags, server.grpc_port, server.rest_port, models.summary())
        stopped.wait()
    finally:
        server.close()
        models.close()
    return OK


def _announce(flags: argparse.Namespace, grpc_port: int, rest_port: int, summary: dict) -> None:
    host = f"[{flags.host}]" if ":" in flags.host else flags.host
    grpc, rest = f"grpc://{host}:{grpc_port}", f"http://{host}:{rest_port}"
    if flags.json:
        told = {"grpc": grpc, "rest": rest, "models": summary}
        print(json.dumps(told), flush=True)
        return
    print("protocol stand-in (not TensorFlow Serving); Ctrl-C stops it")
    for name, model in summary.items():
        labels = ", ".join(f"{label} = {number}" for label, number in model["labels"].items())
        versions = ", ".join(map(str, model["versions"]))
        print(f"  {grpc}/{name}  {rest}/{name}  versions {versions}"
              f"{f'; {labels}' if labels else ''}")  # fmt: skip
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
