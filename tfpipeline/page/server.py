"""The web server of the page: an upload comes in, events go out, and the upload is deleted.

`POST /judge` and `POST /explain` take the bytes of a file, and answer by lines of JSON: `waiting`,
`progress`, and at last `done` or `error`. Files are judged in a few threads, which take turns batch
by batch, so that nobody waits for the whole of another's long recording; who comes when all are
taken waits in line.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tfpipeline.page.verdict import Tell, describe_run, explain_file, judge_file, model_card
from tfpipeline.prediction.rows import csv_line
from tfpipeline.prediction.scorers import LocalScorer

FILES = Path(__file__).parent
# The browser itself holds that nothing leaves this machine, and that no name becomes markup.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
MOST_UPLOADS = 16  # on the disk at once
LONGEST_NAME = 255
LOOK_SECONDS = 1.0  # how often a page that has gone is noticed


@dataclass(frozen=True)
class Limits:
    """What the page allows.

    Attributes:
        megabytes: of a file.
        seconds: to send a file, and again to judge it.
        at_once: files that are judged at the same time.
    """

    megabytes: float = 2000
    seconds: float = 3600
    at_once: int = 2


class StoppedError(Exception):
    """Nobody waits for the result any more."""


class _RefusedError(Exception):
    """An upload is not taken: status and message."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def build_app(
    scorers: list[LocalScorer], folder: Path, host: str = "127.0.0.1", limits: Limits | None = None
) -> Starlette:
    """The page's ASGI application.

    Args:
        scorers: of the runs that judge.
        folder: for uploads while they are judged.
        host: where it listens; on loopback, requests under any other name are refused, so that no
            web site can reach the page by a name of its own.
        limits: of uploads.
    """
    limits = limits or Limits()
    pool = ThreadPoolExecutor(limits.at_once, "judge")
    uploads: set[str] = set()
    local = is_loopback(host)

    def file(name: str) -> Callable:
        return lambda request: FileResponse(FILES / name, headers=HEADERS)

    def about(request: Request) -> Response:
        found = {
            "runs": [describe_run(scorer) for scorer in scorers],
            "local": local,
            "columns": csv_line(),
            "megabytes": limits.megabytes,
        }
        return JSONResponse(found, headers=HEADERS)

    def card(request: Request) -> Response:
        number = request.path_params["number"]
        path = model_card(scorers[number]) if number < len(scorers) else None
        if path is None:
            return Response("no model card", 404, HEADERS)
        return FileResponse(path, headers=HEADERS, media_type="text/plain; charset=utf-8")

    async def judge(request: Request) -> Response:
        name = request.query_params.get("name", "")[:LONGEST_NAME] or "recording"
        picture = request.query_params.get("picture") != "0"
        return await answer(
            request, lambda path, tell: judge_file(path, name, scorers, tell, picture)
        )

    async def explain(request: Request) -> Response:
        number = request.query_params.get("run", "")
        if not number.isdecimal() or int(number) >= len(scorers):
            return JSONResponse({"error": "There is no such run."}, 400, HEADERS)
        return await answer(request, lambda path, tell: explain_file(path, scorers[int(number)]))

    async def answer(request: Request, work: Callable[[Path, Tell], dict]) -> Response:
        # A page of another site may send files here, but must not make this machine work.
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return JSONResponse({"error": "Requests of other sites are refused."}, 403, HEADERS)
        if len(uploads) >= MOST_UPLOADS:
            return JSONResponse({"error": "Too many at once. Try again soon."}, 503, HEADERS)
        own = tempfile.mkdtemp(dir=folder)
        uploads.add(own)

        def delete(_: Any = None) -> None:
            shutil.rmtree(own, ignore_errors=True)
            uploads.discard(own)

        path = Path(own) / "upload"
        try:
            await _receive(request, path, limits)
        except BaseException as error:
            delete()
            if isinstance(error, _RefusedError):
                return JSONResponse({"error": error.args[1]}, error.args[0], HEADERS)
            if isinstance(error, ClientDisconnect):
                return Response(status_code=400)
            raise
        job = _Job(lambda tell: work(path, tell), pool, delete, limits.seconds)
        return StreamingResponse(job.lines(request), 200, HEADERS, "application/x-ndjson")

    routes = [
        Route("/", file("page.html")),
        Route("/about", about),
        Route("/card/{number:int}", card),
    ]
    routes += [Route(f"/{name}", file(name)) for name in ("page.css", "page.js", "player.js")]
    routes += [Route(f"/{way.__name__}", way, methods=["POST"]) for way in (judge, explain)]
    names = ["127.0.0.1", "localhost", "[::1]", "::1", host] if local else ["*"]
    return Starlette(
        routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=names)]
    )


async def _receive(request: Request, path: Path, limits: Limits) -> None:
    """Writes the body of a request to a file."""
    most = limits.megabytes * 1e6
    too_large = _RefusedError(
        413, f"A file may have {limits.megabytes:g} MB. This one is larger: cut it up."
    )
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise too_large
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            with open(path, "wb") as file:
                async for block in request.stream():
                    size += len(block)
                    if size > most:
                        raise too_large
                    file.write(block)
    except TimeoutError:
        raise _RefusedError(408, "It took too long to send the file.") from None
    except OSError:
        raise _RefusedError(507, "There is no room for the file on this machine.") from None


class _Job:
    """A piece of work in a thread, and the lines that tell how it goes.

    Args:
        work: with what takes events, gives the result.
        pool: of the threads.
        after: is called once the work has ended, or will never begin.
        seconds: the work may take.
    """

    def __init__(
        self,
        work: Callable[[Tell], dict],
        pool: ThreadPoolExecutor,
        after: Callable[[Future], None],
        seconds: float,
    ):
        self._loop, self._events = asyncio.get_running_loop(), asyncio.Queue()
        self._stopped, self._seconds = threading.Event(), seconds
        self._began: float | None = None
        self._future = pool.submit(self._run, work)
        self._future.add_done_callback(after)

    async def lines(self, request: Request) -> AsyncIterator[str]:
        """Yields events, one a line of JSON, until there is a result or the page has gone."""
        try:
            yield _line({"waiting": True})
            while True:
                event = await self._next()
                if event:
                    yield _line(event)
                    if "done" in event or "error" in event:
                        return
                elif await request.is_disconnected():
                    return
                if self._began and time.monotonic() > self._began + self._seconds:
                    yield _line(
                        {"error": f"It took more than {self._seconds:g} s, and was stopped."}
                    )
                    return
        finally:
            self._stopped.set()
            self._future.cancel()

    async def _next(self) -> dict[str, Any] | None:
        try:
            return await asyncio.wait_for(self._events.get(), LOOK_SECONDS)
        except TimeoutError:
            return None

    def _run(self, work: Callable[[Tell], dict]) -> None:
        self._began = time.monotonic()
        try:
            self._tell({"progress": None, "seconds": 0})
            self._tell({"done": work(self._tell)})
        except StoppedError:
            pass
        except Exception as error:
            text = str(error)
            if not isinstance(error, ValueError):
                traceback.print_exc(file=sys.stderr)
                text = "Something went wrong on this machine. Its terminal tells what."
            self._send({"error": text})

    def _tell(self, event: dict[str, Any]) -> None:
        if self._stopped.is_set():
            raise StoppedError
        self._send(event)

    def _send(self, event: dict[str, Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, allow_nan=False) + "\n"
