"""An Airflow on this machine, with all of its state in one folder, the home.

An instance stops exactly the processes that it started.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from filelock import FileLock, Timeout
from processes import identity, processes_of, start_guard
from project import ROOT, LocalError, Say
from rest import Api, new_session
from users import Users

START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 30
PORTS = {
    "AIRFLOW__API__PORT": "the UI and the REST API",
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "the logs of running tasks",
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "the logs of the triggerer",
}
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
SQLITE_SETTINGS = {
    f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS{kind}": "sqlite_settings.CONNECT_ARGS"
    for kind in ("", "_ASYNC")
}


@dataclass(frozen=True)
class Leader:
    """The first process that an instance started, to which all others belong."""

    pid: int
    identity: str


@dataclass
class Instance:
    """An Airflow with its own home, settings and ports.

    A ``temporary`` one ends with the process that started it, whatever ends that.
    """

    home: Path
    settings: Mapping[str, str]
    dags_folder: Path = ROOT / "dags"
    say: Say = field(default=print, repr=False)
    temporary: bool = False
    _guard: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def port(self) -> int:
        """The port of the UI and the REST API."""
        return _port(self.settings, "AIRFLOW__API__PORT")

    @property
    def address(self) -> str:
        """Where the UI is."""
        return f"http://{self.settings['AIRFLOW__API__HOST']}:{self.port}"

    @property
    def log_file(self) -> Path:
        """Where the output of all components goes."""
        return self.home / "airflow.log"

    @property
    def _users(self) -> Users:
        return Users(self.home, self.settings)

    @property
    def _sqlite_file(self) -> Path | None:
        """The file with the metadata, if no other database is set."""
        return None if self.settings.get(DATABASE) else self.home / "airflow.db"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process of this instance."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        binaries = Path(sys.executable).parent
        python_path = [str(ROOT / "deploy" / "settings"), self.settings.get("PYTHONPATH")]
        return {
            **inherited,
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            # Connections without a secret: this machine's disk, for a FileSensor whose YAML names no other,
            # and this Airflow, for tasks that ask their own.
            "AIRFLOW_CONN_FS_DEFAULT": json.dumps({"conn_type": "fs", "extra": {"path": "/"}}),
            "AIRFLOW_CONN_AIRFLOW_API": json.dumps(
                {"conn_type": "http", "host": self.settings["AIRFLOW__API__HOST"], "port": self.port}
            ),
            **(SQLITE_SETTINGS if self._sqlite_file else {}),
            **self.settings,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__API__BASE_URL": self.address,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join(filter(None, python_path)),
            "PYTHONUNBUFFERED": "1",
            # A proxy is for other machines; the components connect to each other directly.
            "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"])),
        }

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one ``airflow`` command of this instance to its end."""
        return subprocess.run(
            ["airflow", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Return the living processes that this instance started."""
        leader = self._leader()
        return list(processes_of(leader.pid, leader.identity)) if leader else []

    def has(self, settings: Mapping[str, str]) -> bool:
        """Return whether the running processes were started with these settings."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                return settings.items() <= process.environ().items()
        return False

    def _leader(self) -> Leader | None:
        try:
            saved = json.loads((self.home / "running.json").read_text(encoding="utf-8"))
            return Leader(saved["session"], saved["identity"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def start(self) -> None:
        """Start Airflow and wait until it is healthy; LocalError with what prevented it."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)  # the login is in there
        with self._lock():
            if self.processes():
                raise LocalError(f"Airflow is already running ({self.home}); `make down` stops it")
            self._check_ports()
            self._prepare()
            self._users.make_passwords()
            self.say(f"starting Airflow; its output goes to {relative(self.log_file)}")
            self._spawn()
        try:
            self.wait_until_healthy()
        except BaseException:  # Ctrl-C, too: do not leave a half-started Airflow behind
            self.stop()
            raise

    def _prepare(self) -> None:
        """Make what must be there before the components start."""
        self.say("preparing the database")
        migration = self.airflow("db", "migrate")
        if migration.returncode:
            raise LocalError(f"the database could not be prepared:\n{_tail(migration.stderr)}")
        if self._sqlite_file:
            let_readers_and_a_writer_work_together(self._sqlite_file)

    def _command(self) -> list[str]:
        """Return the command that runs the components."""
        command = [sys.executable, str(ROOT / "deploy" / "components.py")]
        if self.settings.get("BATCH_WATCH_FILES", "1") != "0":
            command.append(str(self.dags_folder / "load_all.py"))
        return command

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with FileLock(self.home / ".lock", timeout=0):
                yield
        except Timeout:
            raise LocalError(
                f"another command is starting or stopping it ({self.home}); try again when that has ended"
            ) from None

    def _check_ports(self) -> None:
        host = self.settings["AIRFLOW__API__HOST"]
        for name, purpose in PORTS.items():
            port = _port(self.settings, name)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    raise LocalError(
                        f"port {port}, for {purpose}, cannot be used ({error.strerror}); stop the program "
                        f"that uses it, or set another port in .env: {name}={port + 10}"
                    ) from None

    def _spawn(self) -> None:
        # A shell that starts this program in the background makes it, and so Airflow, ignore Ctrl-C.
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with self.log_file.open("ab") as log:
                process = subprocess.Popen(
                    self._command(),
                    env=self.environment,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        finally:
            signal.signal(signal.SIGINT, previous)
        running = {"session": process.pid, "identity": identity(process.pid)}
        (self.home / "running.json").write_text(json.dumps(running), encoding="utf-8")
        if self.temporary:
            self._guard = start_guard(self.home)

    def wait_until_healthy(self, seconds: float = START_TIMEOUT_S) -> None:
        """Wait until all components and the first DAGs are there; LocalError after ``seconds``."""
        deadline = time.monotonic() + seconds
        shown = ""
        while time.monotonic() < deadline:
            if not self.processes():
                raise LocalError(f"Airflow has ended; the end of its output:\n{_tail(self._log_text())}")
            missing = self._missing()
            if not missing:
                return
            waiting = f"waiting for {', '.join(missing)}"
            if waiting != shown:
                self.say(waiting)
                shown = waiting
            time.sleep(0.5)
        raise LocalError(
            f"still {shown} after {seconds:.0f} s; to start it again: `make down`, then `make up`; "
            f"the end of its output:\n{_tail(self._log_text())}"
        )

    def _missing(self) -> list[str]:
        try:
            with new_session() as session:
                health = session.get(f"{self.address}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return ["the API server"]
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        sick = [part.replace("_", " ") for part in parts if health.get(part, {}).get("status") != "healthy"]
        return sick or self._missing_dags()

    def _missing_dags(self) -> list[str]:
        api = Api(self)
        if not api.get("/dags")["total_entries"] and not api.get("/importErrors")["total_entries"]:
            return ["the first DAGs"]
        return []

    def _log_text(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def password(self) -> str:
        """Return the password of the user ``admin``, which was made at the first start."""
        passwords = json.loads(self._users.passwords_file.read_text(encoding="utf-8"))
        if "admin" not in passwords:
            raise LocalError("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS has no user admin; add admin:admin")
        return str(passwords["admin"])

    def stop(self) -> bool:
        """Stop every process of this instance and nothing else; False if none was running."""
        try:
            return self._stop()
        finally:
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.close()
                self._guard.wait(STOP_TIMEOUT_S)

    def _stop(self) -> bool:
        leader = self._leader()
        if leader is None or not self.processes():
            return False
        with self._lock():
            # Ctrl-C lets Airflow end its components in order. What is left after that is ended by force.
            for number, patience_s in (
                (signal.SIGINT, STOP_TIMEOUT_S),
                (signal.SIGTERM, 10),
                (signal.SIGKILL, 10),
            ):
                only_leader = number == signal.SIGINT
                for pid in [leader.pid] if only_leader else [process.pid for process in self.processes()]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                if self._gone_within(patience_s):
                    (self.home / "running.json").unlink(missing_ok=True)
                    return True
        left = ", ".join(str(process.pid) for process in self.processes())
        raise LocalError(
            f"these processes do not end: {left}; end them with: kill -9 {left.replace(',', '')}"
        )

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True


def let_readers_and_a_writer_work_together(file: Path) -> None:
    """Turn on SQLite's write-ahead log, which the file keeps: otherwise a writer waits for all readers.

    https://www.sqlite.org/wal.html; on a file system without shared memory, SQLite leaves it off.
    """
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def free_ports() -> dict[str, str]:
    """Return settings with a free port of 127.0.0.1 for each server."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in PORTS]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {name: str(probe.getsockname()[1]) for name, probe in zip(PORTS, probes, strict=True)}


def _port(settings: Mapping[str, str], name: str) -> int:
    text = settings[name]
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LocalError(f"{name}={text!r} is not a port number; write a number from 1 to 65535 in .env")
    return int(text)


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])


def relative(path: Path) -> str:
    """Return a path as shown to people: from the project, if it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
