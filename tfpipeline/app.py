"""A page for the browser: `python -m tfpipeline.app --run saved_models/cnn`.

Drop, pick or record files, and read the verdict in plain words, with the score over time. It is
reached from this machine alone unless --host names another address. Nothing leaves the machine, and
uploads are deleted once they are judged. It needs the extra: pip install 'tfpipeline[app]'.
"""

from __future__ import annotations

import argparse
import signal
import socket
import tempfile
import webbrowser
from importlib.util import find_spec
from pathlib import Path

from tfpipeline.cli import OK, CommandParser, end_process, quiet_tensorflow, run_command


def main(argv: list[str] | None = None) -> int:
    """Parses the flags and serves the page until Ctrl-C."""
    parser = CommandParser(prog="python -m tfpipeline.app", description=__doc__)
    add = parser.add_argument
    add("--run", nargs="+", metavar="NAME-or-folder", help="the runs that judge, side by side")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where it listens: %(default)s")
    add("--port", type=int, default=7860, help="default: %(default)s; 0 takes a free one")
    add("--open", action="store_true", help="open the page in the browser")
    add("--max-megabytes", type=float, default=2000, metavar="N", help="of a file: %(default)g")
    add(
        "--time-limit",
        type=float,
        default=3600,
        metavar="SECONDS",
        help="to send a file, and again to judge it: %(default)g",
    )
    add("--at-once", type=int, default=2, metavar="N", help="files judged at once: %(default)s")
    flags = parser.parse_args(argv)
    return run_command(lambda: _serve(flags))


def _serve(flags: argparse.Namespace) -> int:
    if min(flags.max_megabytes, flags.time_limit, flags.at_once) <= 0:
        raise ValueError("--max-megabytes, --time-limit and --at-once must be above 0.")
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise ValueError("the page needs starlette and uvicorn: pip install 'tfpipeline[app]'.")
    family = socket.AF_INET6 if ":" in flags.host else socket.AF_INET
    listener = socket.create_server((flags.host, flags.port), family=family)
    quiet_tensorflow()
    import uvicorn

    from tfpipeline.api import load
    from tfpipeline.page.server import Limits, build_app

    scorers = [load(run).scorer for run in flags.run or [None]]
    limits = Limits(flags.max_megabytes, flags.time_limit, flags.at_once)
    host = f"[{flags.host}]" if ":" in flags.host else flags.host
    address = f"http://{host}:{listener.getsockname()[1]}/"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that uploads are deleted
    with tempfile.TemporaryDirectory(prefix="tfpipeline-page-") as folder, listener:
        app = build_app(scorers, Path(folder), flags.host, limits)
        settings = uvicorn.Config(
            app, log_level="warning", server_header=False, timeout_graceful_shutdown=2
        )
        print(f"{address}   (Ctrl-C ends it)", flush=True)
        if flags.open:
            webbrowser.open(address)
        uvicorn.Server(settings).run(sockets=[listener])
    return OK


if __name__ == "__main__":
    end_process(main())
