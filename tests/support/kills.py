"""A process that has imported everything and forks one process for each task: these can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from types import TracebackType

from batch_serving.shared.root import PROJECT_ROOT

LOOP = """
import logging, os, sys
logging.disable(logging.CRITICAL)
{setup}
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        run(line.strip())
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Forks:
    """Runs tasks, each in a process of its own; ``setup`` is Python that defines ``run(line)``."""

    def __init__(self, setup: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOOP.format(setup=setup)],
            cwd=PROJECT_ROOT,
            env={**os.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def __enter__(self) -> Forks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def _line(self) -> str:
        """The next line that is the loop's own: Airflow may print between them."""
        assert self._process.stdout
        while line := self._process.stdout.readline():
            if line.strip() == "ready" or line.strip().lstrip("-").isdigit():
                return line.strip()
        raise AssertionError(f"the process ended with {self._process.wait()}")

    def _start(self, task: str) -> int:
        assert self._process.stdin
        self._process.stdin.write(f"{task}\n")
        self._process.stdin.flush()
        return int(self._line())

    def run(self, task: str) -> float:
        """Run a task to its end, which must be a good one; return the seconds that it took."""
        begin = time.monotonic()
        self._start(task)
        assert self._line() == "0", task
        return time.monotonic() - begin

    def kill(self, task: str, moment: float) -> bool:
        """Start a task and kill it ``moment`` seconds later; return whether it was still alive."""
        pid = self._start(task)
        time.sleep(moment)
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.kill(pid, signal.SIGKILL)
        return int(self._line()) == -signal.SIGKILL
