"""A proxy before a real S3 server that makes requests fail, each way that a storage can fail."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, urlsplit

BEFORE = {  # the answers of a storage that has not done what was asked
    "403": (403, "AccessDenied"),
    "400 ExpiredToken": (400, "ExpiredToken"),
    "404 of the bucket": (404, "NoSuchBucket"),
    "500 before": (500, "InternalError"),
    "503 SlowDown": (503, "SlowDown"),
}
AFTER = {  # and of one that has: the answer is lost, or is that to a repetition by a proxy
    "500 after": (500, "InternalError"),
    "409 after": (409, "ConditionalRequestConflict"),
    "412 after": (412, "PreconditionFailed"),
    "404 after": (404, "NoSuchKey"),
}
WAYS = (*BEFORE, *AFTER, "time-out", "reset", "cut body", "cut listing", "empty 200")
HOLD_S = 1.2  # longer than the client's time-out
RST = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection
ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'


def applies(way: str, request: str) -> bool:
    """Return whether a request, its method and address, can fail this way."""
    method, _, address = request.partition(" ")
    if way in ("409 after", "412 after", "404 after"):
        return method == "PUT"
    if way == "cut listing":
        return "list-type=2" in address
    return way != "empty 200" or method != "DELETE"


class Faults:
    """Which request fails and how, and what was asked so far."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.plan(0, "")

    def plan(self, number: int, way: str, *, lasting: bool = False) -> None:
        """Make the ``number``-th request from now on fail, and with ``lasting`` all later ones; 0 for none."""
        with self.lock:
            self.number, self.way, self.lasting, self.asked = number, way, lasting, list[str]()
            self.meanwhile: Callable[[], object] = lambda: None  # done after a request, before its answer

    def next(self, request: str) -> str:
        """Count a request and return how it fails, empty if it does not."""
        with self.lock:
            self.asked.append(request)
            count = len(self.asked)
            fails = count == self.number or (self.lasting and 0 < self.number < count)
            return self.way if fails and applies(self.way, request) else ""


class OutOfOrder(Faults):
    """A storage that answers a share of all requests with 500, and another share late."""

    def __init__(self) -> None:
        super().__init__()
        self._draw = random.Random(5)
        self.failing, self.slow, self.delay_s = 0.0, 0.0, 3.0
        self.failed = 0

    def next(self, request: str) -> str:
        with self.lock:
            fails, waits = self._draw.random() < self.failing, self._draw.random() < self.slow
            self.failed += fails
        if waits:
            time.sleep(self.delay_s)
        return "500 before" if fails else ""


class _Handler(BaseHTTPRequestHandler):
    """Forwards a request, or makes it fail."""

    faults: Faults
    target: SplitResult
    disable_nagle_algorithm = True  # otherwise each answer waits 40 ms
    wbufsize = -1
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self._body()
        way = self.faults.next(f"{self.command} {self.path}")
        if way in BEFORE:
            status, code = BEFORE[way]
            self._send(status, ERROR.format(code=code).encode())
        elif way == "empty 200":
            self._send(200, b"")
        elif way == "time-out":
            time.sleep(HOLD_S)
            self.close_connection = True
        elif way == "reset":
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            self.connection.close()
        else:
            self._forward(body, way)

    def handle_expect_100(self) -> bool:
        """Ask for the body immediately."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forward(self, body: bytes, way: str) -> None:
        connection = http.client.HTTPConnection(str(self.target.hostname), self.target.port, timeout=30)
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("transfer-encoding", "expect", "content-length", "connection")
        }
        connection.request(self.command, self.path, body or None, headers)
        response = connection.getresponse()
        content = response.read()
        if way in AFTER:
            self.faults.meanwhile()
            status, code = AFTER[way]
            self._send(status, ERROR.format(code=code).encode())
        elif way == "cut listing":
            self._send(response.status, content[: len(content) // 2], response.headers)
        else:
            self._send(response.status, content, response.headers, is_cut=way == "cut body")
        connection.close()

    def _send(self, status: int, content: bytes, headers: object = None, *, is_cut: bool = False) -> None:
        self.send_response_only(status)
        given = headers.items() if isinstance(headers, http.client.HTTPMessage) else ()
        left_out = ("content-length", "transfer-encoding", "connection")
        for name, value in given:
            if name.lower() not in left_out:
                self.send_header(name, value)
        size = len(content)
        if self.command == "HEAD" and isinstance(headers, http.client.HTTPMessage):
            size = int(headers.get("Content-Length") or 0)
        if status != 204:
            self.send_header("Content-Length", str(size + (1 if is_cut else 0)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: size // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - names of http.server

    def log_message(self, *given: object) -> None:
        """Nothing: there are thousands."""


@contextlib.contextmanager
def proxy(endpoint: str, faults: Faults) -> Iterator[str]:
    """Run a proxy before ``endpoint``; yields its address."""
    handler = type("Handler", (_Handler,), {"faults": faults, "target": urlsplit(endpoint)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
