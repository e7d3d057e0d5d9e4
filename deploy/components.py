"""Runs the components of an Airflow, and starts again each that ends. ``make up`` runs it in the background.

It is the first process of an instance, and imports nothing of Airflow. What a component prints goes to the
output, each line with its name. SIGINT and SIGTERM end all of them in order: those
that others come after are the last.
``--parts FILE`` runs what that JSON file lists, as `make cluster` does (deploy/cluster.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

COMPONENTS: dict[str, tuple[str, ...]] = {
    name: ("airflow", name) for name in ("scheduler", "dag-processor", "api-server", "triggerer")
}
WAITS_S = (1.0, 2.0, 5.0, 15.0, 60.0)  # before each start again; the last one from then on
STEADY_S = 300.0  # one that has run this long starts with the first wait
END_S = (15.0, 13.0)  # for those that come after another, and then for the others
LOOK_S = 0.2
# After a jump of the wall clock backwards they would sleep until it is where it was at their last heartbeat.
BY_THE_CLOCK = ("scheduler", "dag-processor", "triggerer")
CLOCK_BACK_S = 30.0


def as_user(name: str | None) -> dict[str, Any]:
    """Return the options of a process that runs as another user, with that user's group alone."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


@dataclass
class Component:
    """A process that is to run all the time, or once to its end, before those that come ``after`` it.

    ``address``: what an earlier start has left, and still listens there, is ended first. ``user``: who it is
    run as.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] | None = None  # this process's own, unless given
    folder: str | None = None
    user: str | None = None
    address: str | None = None  # such as 127.0.0.1:8793
    once: bool = False
    after: str = ""
    end_by: int = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    ends: int = field(default=0)  # since it last ran for long
    is_done: bool = False

    def look(self) -> None:
        """Start it if it is time to, and note if it has ended."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at and not self.is_done:
                self._start()
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        if self.once and code == 0:
            self.is_done = True
            return
        self.ends = 1 if now - self.started_at >= STEADY_S else self.ends + 1
        wait = WAITS_S[min(self.ends, len(WAITS_S)) - 1]
        self.start_at = now + wait
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        say(f"{self.name} has ended ({how}); it is started again in {wait:g} s")

    def _start(self) -> None:
        self.started_at = time.monotonic()
        if self.address is not None:
            end_listeners(self.address)
        try:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                **as_user(self.user),
            )
        except OSError as error:  # no memory, or a program that is being replaced: others must go on
            self.start_at = self.started_at + WAITS_S[-1]
            say(f"{self.name} cannot be started ({error}); it is tried again in {WAITS_S[-1]:g} s")
            return
        say(f"{self.name} is process {self.process.pid}")
        threading.Thread(target=self._print, args=(self.process.stdout,), daemon=True).start()

    def _print(self, output: IO[bytes]) -> None:
        """Print what it writes; its children may go on writing when it has ended."""
        for line in output:
            say(line.decode("utf-8", "replace").rstrip(), self.name)

    def end(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.end_by)

    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self.process is None or self.process.poll() is not None


def say(text: str, name: str = "components") -> None:
    """Print one line to the output of the instance."""
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        print(f"{name:<13} | {text}", flush=True)


def end_listeners(address: str) -> None:
    """End the processes of this session that listen there: a killed component's children live on."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            is_ours = os.getsid(process.pid) == os.getsid(0) and process.pid != os.getpid()
            if not is_ours:
                continue
            listening = [one.laddr for one in process.net_connections("tcp") if one.status == "LISTEN"]
            if address in [f"{one.ip}:{one.port}" for one in listening]:
                say(f"ending process {process.pid}, which still listens on {address}")
                process.kill()
                process.wait(5)


class WallClock:
    """The clock of this machine, beside one that never jumps."""

    def __init__(self) -> None:
        """Note what it shows."""
        self._ahead = time.time() - time.monotonic()

    def went_back(self) -> float:
        """Return by how many seconds it was set back since the last call; 0 below ``CLOCK_BACK_S``."""
        before, self._ahead = self._ahead, time.time() - time.monotonic()
        return before - self._ahead if before - self._ahead >= CLOCK_BACK_S else 0.0


def run(components: Sequence[Component], is_over: threading.Event) -> None:
    """Keep these running until ``is_over`` is set, then end them, those that others come after at last."""
    by_name = {component.name: component for component in components}
    clock = WallClock()
    while not is_over.wait(LOOK_S):
        if seconds := clock.went_back():
            say(f"the clock went back by {seconds:.0f} s; {', '.join(BY_THE_CLOCK)} are started again")
            for component in components:
                if component.name in BY_THE_CLOCK:
                    component.end()
        for component in components:
            if not component.after or by_name[component.after].is_done:
                component.look()
    say("ending")
    for later, seconds in zip((True, False), END_S, strict=True):
        ending = [component for component in components if bool(component.after) is later]
        for component in ending:
            component.end()
        for _ in _until(time.monotonic() + seconds):
            if all(component.has_ended() for component in ending):
                break
    say("ended")


def _until(deadline: float) -> Iterator[None]:
    while time.monotonic() < deadline:
        yield
        time.sleep(LOOK_S)


def _listed(file: Path) -> list[Component]:
    return [Component(**{**one, "command": tuple(one["command"])}) for one in json.loads(file.read_bytes())]


def main(arguments: list[str]) -> int:
    """Run Airflow's components and, beside them, the watcher of the DAG file that is the only argument."""
    if arguments[:1] == ["--parts"]:
        components = _listed(Path(arguments[1]))
    else:
        components = [Component(name, command) for name, command in COMPONENTS.items()]
        watch = (sys.executable, str(Path(__file__).with_name("watch.py")), *arguments)
        components += [Component("watch", watch)] if arguments else []
    is_over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    run(components, is_over)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
