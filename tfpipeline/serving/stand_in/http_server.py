"""The HTTP server under the REST side: limits on size, number and time, before any decoding."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import socketserver
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tfpipeline.serving.stand_in import rest
from tfpipeline.serving.stand_in.errors import HTTP_CODES, Refused
from tfpipeline.serving.stand_in.limits import Limits
from tfpipeline.serving.stand_in.models import Models

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _TimedReader(io.RawIOBase):
    """Reads a socket up to a moment: a time-out for each piece would let a slow client go on."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not arrive in time")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tfpipeline-protocol-stand-in"
    sys_version = ""
    # Without it an answer waits for the client's delayed acknowledgement, some 40 ms.
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self._reader = _TimedReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self):
        self._reader.until = time.monotonic() + self.server.limits.request_seconds
        try:
            super().handle_one_request()
        except (TimeoutError, ConnectionError):
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        # Told before the client sends what would be refused.
        return self._length_fits() and super().handle_expect_100()

    def do_GET(self):
        self._answer_unread()

    def do_POST(self):
        if not self._length_fits():
            return
        if not self.server.working.acquire(blocking=False):
            self._send_error(HTTP_CODES["UNAVAILABLE"], "too many requests at once", close=True)
            return
        try:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True
                return
            self._answer(body)
        finally:
            self.server.working.release()

    do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def _answer_unread(self) -> None:
        """Answers a request whose body, if it has one, is left where it is."""
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # the body would be taken for the next request
        self._answer(b"")

    def _length_fits(self) -> bool:
        """Whether the length is announced and allowed; if not, the refusal is sent."""
        announced = self.headers.get_all("Content-Length", [])
        most = self.server.limits.request_bytes
        if "Transfer-Encoding" in self.headers or not announced:
            self._send_error(411, "a request must announce its Content-Length", close=True)
        elif len(set(announced)) > 1 or not (announced[0].isascii() and announced[0].isdigit()):
            self._send_error(400, "Content-Length must be one whole number", close=True)
        elif len(announced[0]) > 18 or int(announced[0]) > most:
            self._send_error(413, f"a request must be at most {most} bytes long", close=True)
        else:
            return True
        return False

    def _answer(self, body: bytes) -> None:
        try:
            text = rest.answer(self.server.models, self.command, self.path, body)
        except Refused as error:
            self._send_error(HTTP_CODES[error.code], error.message)
        except Exception as error:  # a fault of its own must not look like a lost connection
            traceback.print_exc()
            self._send_error(HTTP_CODES["INTERNAL"], f"internal error: {type(error).__name__}")
        else:
            self._send(200, text)

    def send_error(self, code, message=None, explain=None):
        """What http.server refuses by itself, such as an unknown method, in the form of the API."""
        self.request_version = self.protocol_version  # which may be what was wrong
        self._send_error(int(code), message or self.responses[code][0], close=True)

    def _send_error(self, code: int, message: str, close: bool = False) -> None:
        self._send(code, json.dumps({"error": message}), close)

    def _send(self, code: int, text: str, close: bool = False) -> None:
        encoded = text.encode()
        self.connection.settimeout(self.server.limits.request_seconds)
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        if close or self.close_connection:
            self.send_header("Connection", "close")  # sets close_connection too
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format, *args):
        """Keeps the terminal quiet."""


class RestServer(ThreadingHTTPServer):
    """A thread a connection, and no more connections than the limits allow.

    Args:
        address: host and port; 0 for any free one.
    Raises:
        OSError: the port is taken, or the host is none of this machine's.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, models: Models, limits: Limits, address: tuple[str, int]):
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.models = models
        self.limits = limits
        self.working = threading.BoundedSemaphore(limits.concurrent)
        self._places = threading.BoundedSemaphore(limits.connections)
        super().__init__(address, _Handler)

    def server_bind(self):
        # The parent looks the host's name up, which may take seconds without a resolver.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        if not self._places.acquire(blocking=False):
            request.settimeout(1)
            with contextlib.suppress(OSError):
                request.sendall(BUSY)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request, client_address):
        """Leaves a client that went away alone; anything else is printed."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
