"""The settings of the server: environment variables, each checked before anything is bound."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.suggestions import did_you_mean

HOST, PORT, TOKEN = "BATCH_SERVE_HOST", "BATCH_SERVE_PORT", "BATCH_SERVE_TOKEN"
MODELS, POLL_S = "BATCH_SERVE_MODELS", "BATCH_SERVE_POLL_SECONDS"
MAX_BYTES, MAX_ROWS = "BATCH_SERVE_MAX_BYTES", "BATCH_SERVE_MAX_ROWS"
MAX_REQUESTS, THREADS = "BATCH_SERVE_MAX_REQUESTS", "BATCH_SERVE_THREADS"
SLACK = "BATCH_SERVE_SLACK"
COLLECTIONS, LOADERS = "BATCH_SERVE_COLLECTIONS", "BATCH_SERVE_LOADERS"
TABLES = "BATCH_SERVE_TABLES"
DEFAULT_TABLE = "model_collection"
TABLE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)  # with its schema, or without
NAMES = (
    HOST, PORT, TOKEN, MODELS, POLL_S, MAX_BYTES, MAX_ROWS, MAX_REQUESTS, THREADS, SLACK,
    COLLECTIONS, LOADERS, TABLES,
)  # fmt: skip


@dataclass(frozen=True)
class Collection:
    """A collection that is served: its database (a URL, or a connection's name), its loader and its table."""

    database: str
    loader: str
    table: str


@dataclass(frozen=True)
class Settings:
    """The server's settings; see docs/serving.md. ``models`` None: all of the store."""

    host: str
    port: int
    token: str
    models: tuple[str, ...] | None
    poll_s: float
    max_bytes: int
    max_rows: int
    max_requests: int
    threads: int
    slack: str
    collections: Mapping[str, Collection]

    def __repr__(self) -> str:
        """Return the address alone: a token and a database's password are in here, too."""
        return f"Settings({self.host}:{self.port})"


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; InvalidValueError for one that cannot be used."""
    for name in environment:
        if name.startswith("BATCH_SERVE_") and name not in NAMES:
            hint = did_you_mean(name, NAMES) or f"known are {', '.join(NAMES)}"
            raise InvalidValueError(f"there is no setting {name}", hint)
    found = {name: environment.get(name, "").strip() for name in NAMES}
    names = tuple(found[MODELS].replace(",", " ").split())
    return Settings(
        host=found[HOST] or "127.0.0.1",
        port=_whole(PORT, found[PORT] or "8000", 0, 65_535),
        token=_token(found[TOKEN]),
        models=names or None,
        poll_s=_seconds(POLL_S, found[POLL_S] or "5"),
        max_bytes=_whole(MAX_BYTES, found[MAX_BYTES] or "4000000", 100, 1_000_000_000),
        max_rows=_whole(MAX_ROWS, found[MAX_ROWS] or "1000", 1, 1_000_000),
        max_requests=_whole(MAX_REQUESTS, found[MAX_REQUESTS] or "64", 1, 10_000),
        threads=_whole(THREADS, found[THREADS] or str(min(4, os.cpu_count() or 1)), 1, 256),
        slack=found[SLACK] or "slack_webhook",
        collections=_collections(found[COLLECTIONS], found[LOADERS], found[TABLES]),
    )


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise InvalidValueError(f"{name} is {text!r}", f"write a whole number from {low} to {high}")
    return int(text)


def _seconds(name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0.1 <= found <= 3600:
        raise InvalidValueError(f"{name} is {text!r}", "write seconds, from 0.1 to 3600")
    return found


def _token(text: str) -> str:
    if any(not "!" <= letter <= "~" for letter in text):
        raise InvalidValueError(
            f"{TOKEN} has a character that an HTTP header cannot have", "make one: openssl rand -hex 32"
        )
    return text


def _collections(databases: str, loaders: str, tables: str) -> dict[str, Collection]:
    of_database, of_loader = _pairs(COLLECTIONS, databases), _pairs(LOADERS, loaders)
    for name in of_database.keys() ^ of_loader.keys():
        lacking = LOADERS if name in of_database else COLLECTIONS
        known = of_loader if name in of_database else of_database
        raise InvalidValueError(
            f"{lacking} has nothing for {name!r}", did_you_mean(name, known) or f"add {name}=…"
        )
    of_table = _pairs(TABLES, tables)
    for name, table in of_table.items():
        if name not in of_database:
            hint = did_you_mean(name, of_database) or f"add {name}=… to {COLLECTIONS}"
            raise InvalidValueError(f"{COLLECTIONS} has nothing for {name!r}", hint)
        if not TABLE_NAME.fullmatch(table):
            raise InvalidValueError(
                f"{TABLES}: {table!r} is not a table's name", "write letters, digits and '_'"
            )
    return {
        name: Collection(database, of_loader[name], of_table.get(name, DEFAULT_TABLE))
        for name, database in of_database.items()
    }


def _pairs(setting: str, text: str) -> dict[str, str]:
    """Return what ``name=value name=value`` says. The value itself is not shown: it may have a password."""
    found: dict[str, str] = {}
    for place, part in enumerate(text.split(), start=1):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise InvalidValueError(
                f"part {place} of {setting} is not name=value", "write name=value name=value"
            )
        if name in found:
            raise InvalidValueError(f"{setting} has {name!r} twice", "name each model once")
        found[name] = value
    return found


def addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Return what a host's name stands for; InvalidValueError for one that stands for nothing."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise InvalidValueError(f"{HOST} {host!r} is not an address ({error})", "write 127.0.0.1") from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def check_reach(settings: Settings) -> str:
    """Return the address to bind; InvalidValueError if others could reach it, and there is no token."""
    found = addresses(settings.host, settings.port)
    beyond = [address for _, address in found if not ipaddress.ip_address(address.split("%")[0]).is_loopback]
    if beyond and not settings.token:
        raise InvalidValueError(
            f"{HOST} {settings.host!r} can be reached from other machines, and there is no {TOKEN}",
            f"set {TOKEN} (make one: openssl rand -hex 32), or {HOST} to 127.0.0.1",
        )
    return sorted(found, key=lambda one: one[0] != socket.AF_INET)[0][1]
