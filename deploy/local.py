"""One Airflow on this machine: ``make up`` and ``make down``; the demo and the tests start theirs with it.

State lives in one folder, the home. An instance stops exactly the processes that it started: all of them
belong to one session of the operating system, which no other process can join.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
from filelock import FileLock, Timeout

from callables import _env

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".airflow"
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 30
DATABASE_TRIES = 10
HEALTHY_WITHIN_S = 60  # one that runs already
PORTS = {
    "AIRFLOW__API__PORT": "the UI and the REST API",
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "the logs of running tasks",
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "the logs of the triggerer",
}
# These decide whose data is touched. What a shell still has from another project must not.
NOT_FROM_SHELL = (
    "AIRFLOW_HOME",
    "AIRFLOW_CONFIG",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__DATABASE__",
    "BATCH_OUTPUT",
)
INDIRECT = ("_CMD", "_SECRET")  # settings that are got by running a command, or from another's vault
Say = Callable[[str], None]


class LocalError(Exception):
    """Something that the person at the keyboard can mend; the text says how."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the settings in a file; LocalError for a line that is none."""
    try:
        return _env.read_env_file(path)
    except ValueError as error:
        raise LocalError(str(error)) from None


def project_settings(say: Say) -> dict[str, str]:
    """Return deploy/local.env, overridden by .env, overridden by the shell; later ones win."""
    settings = {**read_env_file(ROOT / "deploy" / "local.env"), **read_env_file(ROOT / ".env")}
    ours = {name: value for name, value in os.environ.items() if name.startswith(("AIRFLOW_", "BATCH_"))}
    ignored = sorted(name for name in ours if name.startswith(NOT_FROM_SHELL) or name.endswith(INDIRECT))
    if ignored:
        say(f"not taken from your shell: {', '.join(ignored)} (put them into .env if they are meant)")
    return {**settings, **{name: value for name, value in ours.items() if name not in ignored}}


@dataclass
class Instance:
    """An Airflow with its own home, settings and ports."""

    home: Path
    settings: Mapping[str, str]
    dags_folder: Path = ROOT / "dags"
    say: Say = field(default=print, repr=False)

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
    def environment(self) -> dict[str, str]:
        """The environment of every process of this instance."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        binaries = Path(sys.executable).parent
        return {
            **inherited,
            **self.settings,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__API__BASE_URL": self.address,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(ROOT / "deploy" / "settings"), self.settings.get("PYTHONPATH")])
            ),
            "PYTHONUNBUFFERED": "1",
            # A proxy is for the world outside; the components speak to each other.
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
        running = self._running()
        return list(_session(running["session"], running["identity"])) if running else []

    def _running(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.home / "running.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def start(self) -> None:
        """Start Airflow and wait until it is healthy; LocalError says what stood in the way."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)  # the login is in there
        with self._lock():
            if self.processes():
                raise LocalError(f"it runs already; `make down` stops it ({self.home})")
            self._check_ports()
            self.say("preparing the database")
            migration = self.airflow("db", "migrate")
            if migration.returncode:
                raise LocalError(f"the database could not be prepared:\n{_tail(migration.stderr)}")
            self.say(f"starting Airflow; its output goes to {_relative(self.log_file)}")
            self._spawn()
        try:
            self.wait_until_healthy()
        except BaseException:  # Ctrl-C, too: what does not serve must not stay
            self.stop()
            raise

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with FileLock(self.home / ".lock", timeout=0):
                yield
        except Timeout:
            raise LocalError(f"another command is starting or stopping it just now ({self.home})") from None

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
                        f"port {port}, for {purpose}, is taken ({error.strerror}); stop what uses it, or put "
                        f"another into .env: {name}={port + 10}"
                    ) from None

    def _spawn(self) -> None:
        # A shell that starts us in its background has us ignore Ctrl-C, and Airflow would inherit that.
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with self.log_file.open("ab") as log:
                process = subprocess.Popen(
                    ["airflow", "standalone"],
                    env=self.environment,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        finally:
            signal.signal(signal.SIGINT, previous)
        running = {"session": process.pid, "identity": _identity(process.pid)}
        (self.home / "running.json").write_text(json.dumps(running), encoding="utf-8")

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
            f"still {shown} after {seconds:.0f} s; `make down`, then `make up` starts it anew; "
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
        """Return the password of the user ``admin``, which Airflow made at the first start."""
        file = self.home / "simple_auth_manager_passwords.json.generated"
        passwords = json.loads(file.read_text(encoding="utf-8"))
        if "admin" not in passwords:
            raise LocalError("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS has no user admin; add admin:admin")
        return passwords["admin"]

    def stop(self) -> bool:
        """Stop every process of this instance and nothing else; False if none was running."""
        running = self._running()
        if running is None or not self.processes():
            return False
        with self._lock():
            # Ctrl-C lets Airflow end its components in order; what is left after that is asked, then told.
            for number, patience in (
                (signal.SIGINT, STOP_TIMEOUT_S),
                (signal.SIGTERM, 10),
                (signal.SIGKILL, 10),
            ):
                targets = (
                    [running["session"]] if number == signal.SIGINT else [one.pid for one in self.processes()]
                )
                for pid in targets:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                if self._gone_within(patience):
                    (self.home / "running.json").unlink(missing_ok=True)
                    return True
        left = ", ".join(str(one.pid) for one in self.processes())
        raise LocalError(f"these processes do not end: {left}")

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True


def _identity(pid: int) -> str:
    """Return what tells a process from any other that ever has its number.

    On Linux the boot and the ticks since then, which a change of the clock leaves alone; elsewhere the time.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        return f"{boot.read_text(encoding='utf-8').strip()}/{ticks}"
    return f"{psutil.Process(pid).create_time():.0f}"


def _session(leader: int, identity: str) -> Iterator[psutil.Process]:
    """Yield the living processes of a session whose leader has, or had, this identity.

    The number of a session is not given out again while one of its processes lives. If another leader has
    it, or the machine was started since, then ours are gone.
    """
    try:
        if _identity(leader) != identity:
            return
    except (OSError, psutil.NoSuchProcess):
        # The leader has ended; its children may live on, unless the machine was started anew.
        if "/" in identity and identity.partition("/")[0] != _identity(os.getpid()).partition("/")[0]:
            return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def new_session() -> requests.Session:
    """Return an HTTP session that goes straight to this machine, whatever proxy the shell names."""
    session = requests.Session()
    session.trust_env = False
    return session


class Api:
    """Airflow's REST API, as the admin of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Log in."""
        self._base = f"{instance.address}/api/v2"
        login = {"username": "admin", "password": instance.password()}
        self._session = new_session()
        answer = self._session.post(f"{instance.address}/auth/token", json=login, timeout=30)
        if not answer.ok:
            raise LocalError(
                f"the API server answers the login with HTTP {answer.status_code}; look at its output"
            )
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        for _ in range(DATABASE_TRIES):
            answer = self._session.request(method, self._base + path, timeout=30, **arguments)
            # SQLite takes one writer at a time: a call that found it locked has done nothing.
            if answer.status_code != 500 or "Database error" not in answer.text:
                break
            time.sleep(1)
        if not answer.ok:
            raise LocalError(f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        """GET a path below /api/v2."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST a body to a path below /api/v2."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH a path below /api/v2."""
        return self._call("PATCH", path, json=body)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the newest first."""
        return self.get(f"/dags/{dag_id}/dagRuns", order_by="-run_after", limit=100)["dag_runs"]

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Unpause a DAG, start a run of it by hand and return its run_id."""
        self.patch(f"/dags/{dag_id}", {"is_paused": False})
        run = self.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return run["dag_run_id"]


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
        raise LocalError(f"{name}={text!r} is not a port number; correct it in .env")
    return int(text)


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def up() -> int:
    """Start the project's Airflow, or say where it runs."""
    instance = Instance(HOME, project_settings(_up_say), say=_up_say)
    if instance.processes():
        _up_say("it runs already")
        instance.wait_until_healthy(HEALTHY_WITHIN_S)
    else:
        instance.start()
    paused = [dag["dag_id"] for dag in Api(instance).get("/dags")["dags"] if dag["is_paused"]]
    output = instance.settings.get("BATCH_OUTPUT") or "output"
    print(f"\n  {instance.address}\n  user      admin\n  password  {instance.password()}")
    print(f"  output    {output}\n")
    if paused:
        print(f"  paused, by hand in the UI: {', '.join(paused)}")
    print(f"  It goes on in the background, writing to {_relative(instance.log_file)}; `make down` stops it.")
    return 0


def _up_say(text: str) -> None:
    print(f"up: {text}", flush=True)


def down() -> int:
    """Stop the project's Airflow."""
    instance = Instance(HOME, project_settings(lambda _: None))
    print(f"down: stopping; a running task has {STOP_TIMEOUT_S} s to end", flush=True)
    print("down: stopped" if instance.stop() else "down: nothing was running")
    return 0


def main(arguments: list[str]) -> int:
    """Run ``up`` or ``down``."""
    commands = {"up": up, "down": down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: {shlex.join(['python', 'deploy/local.py'])} up|down", file=sys.stderr)
        return 2
    try:
        return commands[arguments[0]]()
    except LocalError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{arguments[0]}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
