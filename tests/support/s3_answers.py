"""A server in the place of S3 that gives each request the same answer, also one that S3 never gives."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


@dataclass
class Answers:
    """The answer, and how many requests got it; the status 0 resets the connection, -1 never answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    address: str = ""

    def be(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Give this answer from now on."""
        self.status, self.body, self.headers, self.requests = status, body, headers, 0

    def fail(self, status: int, code: str) -> None:
        """Give S3's answer for an error."""
        self.be(status, ERROR.format(code=code).encode())


class _Handler(BaseHTTPRequestHandler):
    answers: Answers
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        given = self.answers
        given.requests += 1
        self.close_connection = True
        if given.status == 0:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self.connection.close()
            return
        if given.status < 0:
            time.sleep(30)  # longer than any time-out here
            return
        self.send_response_only(given.status)
        for name, value in {**given.headers, "Content-Length": str(len(given.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has gone
            self.wfile.write(given.body)

    do_GET = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 - names of http.server

    def log_message(self, *given: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def server_of_answers() -> Iterator[Answers]:
    """Run the server; yields what it answers, with its address."""
    answers = Answers()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"answers": answers}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    answers.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
