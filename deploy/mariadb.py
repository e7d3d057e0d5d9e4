"""A MariaDB server on 127.0.0.1 with all of its files in one folder, which only this user can read."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import programs
import psutil
from processes import identity, processes_of
from project import LocalError

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


@dataclass(frozen=True)
class MariaDb:
    """A server with one database and one user, both of this name; it outlives the process that starts it."""

    folder: Path
    name: str

    @property
    def log_file(self) -> Path:
        """Where the server's output goes."""
        return self.folder / "server.log"

    def process(self) -> psutil.Process | None:
        """Return the server's process, None if it does not run."""
        running = self._running()
        found = processes_of(int(running["pid"]), str(running["identity"])) if running else iter(())
        return next(found, None)

    def port(self) -> int:
        """Return the port of a server that was started."""
        return int(self._running()["port"])

    def password(self) -> str:
        """Return the user's password, which is made once."""
        file = self.folder / "password"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        return file.read_text(encoding="utf-8")

    def connection(self) -> str:
        """Return the value of an AIRFLOW_CONN_… variable that leads to the database."""
        place = {"conn_type": "mysql", "host": "127.0.0.1", "port": self.port(), "schema": self.name}
        return json.dumps({**place, "login": self.name, "password": self.password()})

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it answers; LocalError with what prevented it."""
        if self.process() is not None:
            return
        data = self.folder / "data"
        script = self.folder / "init.sql"
        password = self.password()
        script.touch(mode=0o600)
        script.write_text(
            f"CREATE DATABASE IF NOT EXISTS {self.name};\n"
            f"CREATE USER IF NOT EXISTS {self.name}@'127.0.0.1';\n"
            f"ALTER USER {self.name}@'127.0.0.1' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON {self.name}.* TO {self.name}@'127.0.0.1';\n",
            encoding="utf-8",
        )
        if not (data / "mysql").is_dir():
            self._install()
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        port = _free_port()
        options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={self._socket()}"]
        options += [f"--init-file={script}", f"--pid-file={self.folder / 'pid'}", "--skip-name-resolve"]
        with self.log_file.open("ab") as log:
            server = subprocess.Popen(
                [_program("mariadbd"), *self._common(data, temporary), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running = {"pid": server.pid, "identity": identity(server.pid), "port": port}
        (self.folder / "running.json").write_text(json.dumps(running), encoding="utf-8")
        try:
            self._wait(server, port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop the server; False if it did not run."""
        process = self.process()
        if process is None:
            return False
        for end in (process.terminate, process.kill):
            with contextlib.suppress(psutil.Error):
                end()
                process.wait(STOP_TIMEOUT_S)
                break
        (self.folder / "running.json").unlink(missing_ok=True)
        return True

    def _running(self) -> dict[str, int | str]:
        try:
            found = json.loads((self.folder / "running.json").read_text(encoding="utf-8"))
            return found if {"pid", "identity", "port"} <= found.keys() else {}
        except (OSError, ValueError, AttributeError):
            return {}

    def _common(self, data: Path, temporary: Path) -> list[str]:
        """Return the options of every program: nothing from the machine's own files, and who it runs as.

        A server that starts removes the temporary tables of all others in the same folder: it has its own.
        """
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        return ["--no-defaults", f"--datadir={data}", f"--tmpdir={temporary}", *as_root]

    def _socket(self) -> str:
        """Return where the socket is: a short path, for a long one is refused (107 bytes)."""
        own = self.folder / "m.sock"
        if len(os.fsencode(own)) < 100:
            return str(own)
        return f"/tmp/m{os.getpid()}_{secrets.token_hex(4)}.sock"  # noqa: S108 # a name that no one can guess

    def _install(self) -> None:
        """Make the empty databases of a server that has never run."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        # The program is a shell script that a blank in the folder's path breaks: it gets another path.
        with tempfile.TemporaryDirectory() as short, self.log_file.open("ab") as log:
            link = Path(short) / "data"
            link.symlink_to(data)
            command = [_program("mariadb-install-db"), *self._common(link, Path(short)), *options]
            ended = subprocess.run(command, stdout=log, stderr=log, check=False)
        if ended.returncode:
            shutil.rmtree(data)
            raise LocalError(f"{command[0]} ended with exit code {ended.returncode}:\n{self._tail()}")

    def _wait(self, server: subprocess.Popen[bytes], port: int) -> None:
        import pymysql

        deadline = time.monotonic() + START_TIMEOUT_S
        login = {"user": self.name, "password": self.password(), "database": self.name}
        while True:
            try:
                pymysql.connect(host="127.0.0.1", port=port, **login).close()
                return
            except pymysql.err.OperationalError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise LocalError(
                        f"MariaDB did not start; its output ends with:\n{self._tail()}"
                    ) from None
                time.sleep(0.1)

    def _tail(self, lines: int = 15) -> str:
        text = self.log_file.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])


def _program(name: str) -> str:
    found = programs.find(name)
    if found is None:
        raise LocalError(f"MariaDB is missing ({name}); on Debian: python3 deploy/programs.py mariadb")
    return found


def install(say: Callable[[str], None]) -> None:
    """Install MariaDB where it is missing; LocalError says what to do where that is not possible."""
    try:
        programs.install(["mariadb"], say)
    except programs.ProgramsError as error:
        raise LocalError(str(error)) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
