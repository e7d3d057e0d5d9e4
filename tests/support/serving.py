"""A server of the API as a process of its own, requests to it, and load that counts what fails."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parent.parent.parent
BATCH = Path(sys.executable).with_name("batch")
POLL_S = 0.5
START_S = 120  # on a busy machine, with all imports


@dataclass
class Api:
    """A running server."""

    process: subprocess.Popen[bytes]
    url: str
    log_path: Path
    token: str = ""

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, **options: Any) -> requests.Response:
        """Ask for a path."""
        return requests.get(f"{self.url}{path}", timeout=60, **options)

    def post(self, model: str, body: Any = None, **options: Any) -> requests.Response:
        """Have a body predicted: a value as JSON, or ``data``."""
        if body is not None:
            options["json"] = body
        return requests.post(f"{self.url}/models/{model}/predict", timeout=60, **options)

    def health(self) -> dict[str, Any]:
        """Return what /health says."""
        found: dict[str, Any] = self.get("/health").json()
        return found

    def version(self, model: str = "digits") -> str | None:
        """Return the version that serves."""
        found: str | None = self.health()["models"][model]["version"]
        return found

    def until(self, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 60) -> dict[str, Any]:
        """Wait until /health is as wanted, and return it."""
        end = time.monotonic() + timeout_s
        while True:
            found = self.health()
            if condition(found):
                return found
            assert time.monotonic() < end, f"{found}\n{self.log}"
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Api]:
    """Run ``batch serve`` on a free port with these settings beside those of the test; end it afterwards."""
    log_path = folder / f"serve-{time.monotonic_ns()}.log"
    defaults = {"BATCH_SERVE_PORT": "0", "BATCH_SERVE_POLL_SECONDS": str(POLL_S), "PYTHONPATH": str(folder)}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [str(BATCH), "serve"],
            cwd=ROOT,
            env={**os.environ, **defaults, **settings},
            stdout=log,
            stderr=log,
        )
    api = Api(process, "", log_path, settings.get("BATCH_SERVE_TOKEN", ""))
    try:
        _wait_until_up(api)
        yield api
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(api: Api) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert api.process.poll() is None, api.log
        if found := re.search(r"serving on (http://\S+);", api.log):
            api.url = found[1]
            with contextlib.suppress(requests.ConnectionError):
                if api.get("/health").status_code == 200:
                    return
        time.sleep(0.05)
    raise AssertionError(f"it has not started within {START_S} s:\n{api.log}")


@dataclass
class Load:
    """Threads that send requests all the time. ``answers`` are (begun, ended, version), in monotonic seconds."""

    api: Api
    body: dict[str, Any]
    model: str = "digits"
    answers: list[tuple[float, float, str]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    pause_s: float = 0.02  # more would measure the machine: bench_serving.py does

    @contextlib.contextmanager
    def running(self, threads: int = 4) -> Iterator[Load]:
        """Send requests in this many threads until the end of the block."""
        stop = threading.Event()
        workers = [threading.Thread(target=self._send, args=(stop,)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            stop.set()
            for worker in workers:
                worker.join()

    def _send(self, stop: threading.Event) -> None:
        url = f"{self.api.url}/models/{self.model}/predict"
        with requests.Session() as session:
            while not stop.is_set():
                begun = time.monotonic()
                try:
                    answer = session.post(url, json=self.body, timeout=60)
                    if answer.status_code == 200:
                        self.answers.append((begun, time.monotonic(), answer.json()["version"]))
                    else:
                        self.failures[f"{answer.status_code} {answer.text[:200]}"] += 1
                except requests.RequestException as error:
                    self.failures[f"{type(error).__name__}: {error}"] += 1
                time.sleep(self.pause_s)

    def until(self, version: str, timeout_s: float = 60) -> None:
        """Wait until a version has answered."""
        end = time.monotonic() + timeout_s
        while not any(found == version for _, _, found in self.answers[-100:]):
            assert time.monotonic() < end, f"{self.failures}\n{self.api.log}"
            time.sleep(0.02)

    @property
    def versions(self) -> list[str]:
        """The versions of the answers, each once, in the order of their first answer."""
        return list(dict.fromkeys(version for _, _, version in sorted(self.answers)))

    def stale(self, moves: list[tuple[float, str]], allowed_s: float) -> list[tuple[float, str]]:
        """Return the answers that are older than the pointer for longer than allowed: by how much, and which.

        ``moves`` are the moments after which the pointer named a version, in their order.
        """
        found = []
        order = {version: place for place, (_, version) in enumerate(moves)}
        for begun, _, version in self.answers:
            place = order[version] + 1
            late = begun - moves[place][0] if place < len(moves) else 0.0  # since the next one was named
            if late > allowed_s:
                found.append((late, version))
        return found
