"""A PostgreSQL and a MariaDB of the tests' own: in a temporary folder, on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import programs
from mariadb import MariaDb

PASSWORD = "pass/word?of=the&tests"
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Database:
    """A running server, as an Airflow connection and as SQLAlchemy sees it."""

    kind: str
    port: int

    @property
    def connection(self) -> str:
        """The value of an AIRFLOW_CONN_… variable."""
        fields = {"conn_type": self.kind, "host": "127.0.0.1", "port": self.port, "schema": "service"}
        return json.dumps({**fields, "login": "service", "password": PASSWORD})


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[Database]:
    """Start a server with an empty database ``service``, and stop it by its own process id."""
    folder.mkdir(parents=True, exist_ok=True)
    with _postgres_server(folder) if kind == "postgres" else _mariadb_server(folder) as port:
        yield Database(kind, port)


@contextlib.contextmanager
def _mariadb_server(folder: Path) -> Iterator[int]:
    (folder / "password").write_text(PASSWORD)
    server = MariaDb(folder, "service")
    server.start()
    try:
        yield server.port()
    finally:
        server.stop()


@contextlib.contextmanager
def _postgres_server(folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    data.mkdir(parents=True)
    with (folder / "server.log").open("wb") as log:
        process = _postgres(folder, data, port, log)
        try:
            _wait_for(port, process, folder / "server.log")
            yield port
        finally:
            process.send_signal(signal.SIGINT)  # at once, whoever is connected
            process.wait(60)


def _postgres(folder: Path, data: Path, port: int, log: object) -> subprocess.Popen:
    # It refuses to run as root.
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        for path in (folder, data):
            shutil.chown(path, "nobody")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(0o755)
    password = folder / "password"
    password.write_text(PASSWORD)
    initdb = [str(programs.find("initdb")), "-D", str(data), "-U", "service", "-A", "scram-sha-256"]
    subprocess.run(
        [*initdb, f"--pwfile={password}", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=log,
        stderr=log,
        **user,
    )
    command = [
        str(programs.find("postgres")),
        "-D",
        str(data),
        "-p",
        str(port),
        "-k",
        str(folder),
        "-h",
        "127.0.0.1",
        "-F",
    ]
    return subprocess.Popen(command, stdout=log, stderr=log, **user)


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_TIMEOUT_S
    login = {"user": "service", "password": PASSWORD, "dbname": "postgres"}
    while True:
        try:
            with psycopg.connect(host="127.0.0.1", port=port, autocommit=True, **login) as connection:
                connection.execute("CREATE DATABASE service")
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL did not start: {error}\n{log.read_text(errors='replace')[-2000:]}"
                ) from None
            time.sleep(0.1)
