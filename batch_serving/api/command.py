"""``make serve``: serves the champions over HTTP until it is ended (Ctrl-C, SIGTERM)."""

from __future__ import annotations

import argparse
import errno
import logging
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from batch_serving.api.champions import ChampionSource, champion_names
from batch_serving.api.following import Announce, Follower
from batch_serving.api.model_collections import CollectionSource, find_loader
from batch_serving.api.settings import COLLECTIONS, HOST, PORT, Settings, check_reach, read_settings
from batch_serving.registry.versions import check_model_name
from batch_serving.shared.command_line import Parser, run_command
from batch_serving.shared.errors import InvalidValueError

log = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
GRACE_S = 30  # for requests that are being answered when the server is ended
KEEP_ALIVE_S = 75  # longer than usual clients keep a connection: these close first, and lose no request
BACKLOG = 1024


def main(arguments: list[str] | None, *, prog: str, send: Callable[..., Any]) -> int:
    """Serve until a signal comes; return 0, or 1 with the reason on stderr if it cannot start.

    ``send(text, connection=…)`` sends a text to Slack. Settings are environment variables: docs/serving.md.
    """
    _parser(prog).parse_args(arguments)
    return run_command(lambda: _run(send))


def _run(send: Callable[..., Any]) -> int:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    try:
        settings = read_settings()
        follower = _follower(settings, lambda text: _send_aside(send, text, settings.slack))
        listening = _listen(settings)
    except InvalidValueError as error:
        print(f"serve: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  to do: {error.hint}", file=sys.stderr)
        return 1
    with listening:
        _serve(settings, follower, listening)
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    return Parser(
        prog=prog,
        description=f"{__doc__} Its settings are in docs/serving.md.",
        example=f"{PORT}=8001 {prog}",
    )


def _follower(settings: Settings, announce: Announce) -> Follower:
    for name in settings.models or ():
        check_model_name(name)
    if both := sorted({*settings.collections} & {*(settings.models or ())}):
        raise InvalidValueError(f"{both[0]!r} is a model of the store and of {COLLECTIONS}", "rename one")
    sources = [
        CollectionSource(name, one.database, find_loader(one.loader), one.table)
        for name, one in settings.collections.items()
    ]
    # A model of a collection hides one of the same name in the store.
    names = champion_names if settings.models is None else lambda: list(settings.models or ())
    return Follower([*sources], names, ChampionSource, poll_s=settings.poll_s, announce=announce)


def _send_aside(send: Callable[..., Any], text: str, connection: str) -> None:
    """Send a text in a process of its own, which lives on when the server is ended.

    It imports Airflow, which takes seconds, 200 MB, and the logging of its process.
    """
    spawn = multiprocessing.get_context("spawn")
    spawn.Process(target=_send, args=(send, text, connection), name="slack").start()


def _send(send: Callable[..., Any], text: str, connection: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    send(text, connection=connection)


def _listen(settings: Settings) -> socket.socket:
    """Return a socket that listens; InvalidValueError if the address is taken, or is not allowed."""
    address = check_reach(settings)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, settings.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise _cannot_bind(settings, error) from None
    return listening


def _cannot_bind(settings: Settings, error: OSError) -> InvalidValueError:
    if error.errno == errno.EADDRINUSE:
        return InvalidValueError(
            f"port {settings.port} is taken by another program", f"stop it, or set {PORT} to another port"
        )
    if error.errno == errno.EACCES:
        return InvalidValueError(
            f"port {settings.port} needs the rights of root", f"set {PORT} to a port above 1023"
        )
    return InvalidValueError(f"{settings.host} cannot be used ({error.strerror})", f"correct {HOST}")


def _serve(settings: Settings, follower: Follower, listening: socket.socket) -> None:
    import uvicorn

    from batch_serving.api.app import make_app

    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    log.info("serving on http://%s:%d; the page of the API is http://%s:%d/docs", shown, port, shown, port)
    config = uvicorn.Config(
        make_app(settings, follower),
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
        server_header=False,
    )
    server = uvicorn.Server(config)

    def end(*_: Any) -> None:
        server.should_exit = True

    # uvicorn has its own handlers while it runs, and raises the signal again at its end.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, end)
    server.run(sockets=[listening])
    log.info("ended")
