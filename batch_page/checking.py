"""The checker's problems, found by a process of its own: it imports what the YAML names."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batch_page.pipelines import config_files
from batch_serving.shared.root import PROJECT_ROOT

log = logging.getLogger(__name__)

TIMEOUT_S = 120
WAIT_S = 0.05  # for a check that is nearly done
LOOK_AGAIN_S = 60.0  # functions and packages that the YAML names may have changed


@dataclass(frozen=True)
class Checked:
    """What the checker says of the files as they were; ``is_old`` while they are checked again."""

    problems: list[dict[str, Any]]
    is_old: bool = False
    failure: str = ""

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the problems of a file, by line."""
        found = [one for one in self.problems if one.get("file") == name]
        return sorted(found, key=lambda one: (one.get("line") or 0, one.get("column") or 0))


class Checking:
    """Keeps the last result, and starts a check when files have changed; one at a time."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch-page-check")
        self._lock = threading.Lock()
        self._result: Checked | None = None
        self._seen: Hashable = None
        self._at = 0.0
        self._running: Future[None] | None = None

    def result(self) -> Checked | None:
        """Return the newest result; None if there is none yet."""
        seen = _seen()
        with self._lock:
            is_current = seen == self._seen and time.monotonic() - self._at < LOOK_AGAIN_S
            if not is_current and (self._running is None or self._running.done()):
                self._running = self._pool.submit(self._check, seen)
            running = self._running
        if not is_current and running is not None:
            running_ended = _ends_within(running, WAIT_S)
            is_current = running_ended and seen == self._seen
        with self._lock:
            if self._result is None or is_current:
                return self._result
            return Checked(self._result.problems, seen != self._seen, self._result.failure)

    def _check(self, seen: Hashable) -> None:
        found = _run()
        with self._lock:
            self._result, self._seen, self._at = found, seen, time.monotonic()


def _ends_within(running: Future[None], seconds: float) -> bool:
    try:
        running.result(seconds)
    except TimeoutError:
        return False
    return True


def _seen() -> Hashable:
    """Return what the files are now: their names, times and sizes, those of the defaults included."""
    folders = {file.parent for file in config_files()} | {PROJECT_ROOT / "dag_configs"}
    found = []
    for file in sorted(
        {*config_files(), *(one for folder in folders for one in folder.glob("defaults.y*ml"))}
    ):
        try:
            status = file.stat()
        except OSError:
            continue
        found.append((str(file), status.st_mtime_ns, status.st_size))
    return tuple(found)


def _run() -> Checked:
    paths = sorted({str(_root_of(file)) for file in config_files()} | {str(PROJECT_ROOT / "dag_configs")})
    command = [sys.executable, "-m", "schemas", "check", "--format", "json", *paths]
    try:
        ended = subprocess.run(
            command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        return Checked(json.loads(ended.stdout))
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        log.warning("the files could not be checked: %s", error)
        return Checked([], failure=f"{type(error).__name__}: {error}")


def _root_of(file: Path) -> Path:
    """Return the folder that a file is checked in: all of dag_configs/, or the folder of an example."""
    relative = file.relative_to(PROJECT_ROOT)
    return PROJECT_ROOT / Path(*relative.parts[: 1 if relative.parts[0] == "dag_configs" else 2])


CHECKING = Checking()
