"""Looks every few seconds for failures that no one has announced, and sees to it that someone does.

A task calls back from its own process. One whose process was killed cannot. The watcher finds it in Airflow's
database without a claim, and requests that the DAG processor runs the callbacks which YAML names.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from batch_serving.notices import claims
from batch_serving.notices.claims import Announced
from batch_serving.notices.deadlines import STALE_CALLBACK, Deadline
from batch_serving.notices.import_errors import ImportErrors
from batch_serving.shared.wording import counted

log = logging.getLogger(__name__)

WINDOW_S = 24 * 3600.0  # older failures are left alone, also after Airflow was stopped for longer
AGAIN_AFTER_S = 30.0  # a request may be lost with the DAG processor; then doubled each time
MOST_REQUESTS = 3  # in three and a half minutes; then no DAG processor answers, or the DAG cannot be loaded
CONNECTION = "slack_webhook"  # for what no callback can send
PRUNE_EVERY_S = 3600.0
DEADLINES_EVERY_S = 60.0


@dataclass(frozen=True)
class Failure:
    """One try of a task that failed."""

    instance_id: str
    try_number: int


class Database(Protocol):
    """What the watcher asks of Airflow."""

    def failed_since(self, moment: float) -> list[Failure]:
        """Return the tasks that failed at ``moment`` (seconds since 1970) or later."""

    def request_callback(self, failure: Failure) -> None:
        """Request that the task's own callbacks are run, with the reason why it failed."""

    def described(self, failure: Failure) -> str:
        """Return which task it is, and the reason; an empty text if it is not failed any more."""

    def import_errors(self) -> dict[str, str]:
        """Return the import errors: text by file name."""

    def deadlines(self, callback: str) -> list[Deadline]:
        """Return the deadlines with this callback of the DAGs that are not paused."""


@dataclass
class _Wait:
    """When a failure's callback is requested next."""

    until: float
    then_s: float
    requests: int = 0


@dataclass
class Watcher:
    """Looks at a database, which is Airflow's.

    ``warn`` sends a text to Slack, and returns what came of it. A look raises nothing: what goes wrong is
    logged once, until something else does.
    """

    database: Database
    import_errors: ImportErrors
    warn: Callable[[str], str]
    interval_s: float
    report_stale: Callable[..., None] = lambda *_, **__: None  # of callables.deadlines
    _settled: set[Failure] = field(default_factory=set)
    _waiting: dict[Failure, _Wait] = field(default_factory=dict)
    _since: float | None = None
    _pruned_at: float = float("-inf")
    _deadlines_at: float = float("-inf")
    _problem: str = ""

    def start(self) -> None:
        """Look again and again, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="failures", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self.interval_s)
            self.look()

    def look(self) -> None:
        """Look once at failed tasks and at import errors."""
        problems = [
            problem
            for step in (
                self._look_at_tasks,
                self._look_at_import_errors,
                self._look_at_deadlines,
                self._prune,
            )
            if (problem := _problem_of(step))
        ]
        text = "; ".join(problems)
        if text and text != self._problem:
            log.warning("failures are not watched completely, this is tried again: %s", text)
        elif self._problem and not text:
            log.info("failures are watched again")
        self._problem = text

    def _look_at_tasks(self) -> None:
        now = time.time()
        if self._since is None:
            self._since = claims.watched_since(now)
        found = self.database.failed_since(max(self._since, now - WINDOW_S))
        self._settled &= set(found)
        self._waiting = {failure: self._waiting[failure] for failure in found if failure in self._waiting}
        problems = [
            problem
            for failure in found
            if failure not in self._settled and (problem := _problem_of(lambda: self._look_at(failure)))  # noqa: B023
        ]
        if problems:
            raise RuntimeError(f"{problems[0]} ({len(problems)} tasks)")

    def _look_at(self, failure: Failure) -> None:
        """Request the callback of what is not announced: at the second look, then more rarely."""
        old = claims.is_old(failure.instance_id)
        state = Announced.YES if old else claims.announced(failure.instance_id, failure.try_number)
        if state is Announced.YES:
            self._settled.add(failure)
        elif state is Announced.NO:
            now = time.monotonic()
            wait = self._waiting.get(failure)
            if wait is None:
                self._waiting[failure] = _Wait(now, AGAIN_AFTER_S)
            elif now >= wait.until:
                wait.until = now + wait.then_s
                wait.then_s *= 2
                wait.requests += 1
                if wait.requests <= MOST_REQUESTS:
                    self.database.request_callback(failure)
                else:
                    self._announce(failure)

    def _announce(self, failure: Failure) -> None:
        """Announce a failure whose callback is not run, although it was requested again and again."""
        text = self.database.described(failure)
        claim = claims.claim(claims.of_task(failure.instance_id, failure.try_number, CONNECTION))
        if text and claim is not None:
            hint = (
                "Its callback was requested, and not run: is its file loaded, and does the DAG processor run?"
            )
            claim.close(self.warn(f"{text}\n{hint}"))

    def _look_at_import_errors(self) -> None:
        self.import_errors.look(self.database.import_errors())

    def _look_at_deadlines(self) -> None:
        """Report what is stale although no run is late: the scheduler was down, or runs wrote nothing."""
        if time.monotonic() - self._deadlines_at < DEADLINES_EVERY_S:
            return
        self._deadlines_at = time.monotonic()
        problems = [
            problem
            for one in self.database.deadlines(STALE_CALLBACK)
            if (problem := _problem_of(lambda: self.report_stale(one.run, **one.arguments)))  # noqa: B023
        ]
        if problems:
            raise RuntimeError(f"{problems[0]} ({counted(len(problems), 'deadline')})")

    def _prune(self) -> None:
        if time.monotonic() - self._pruned_at >= PRUNE_EVERY_S:
            claims.prune()
            self._pruned_at = time.monotonic()


def _problem_of(step: Callable[[], None]) -> str:
    try:
        step()
    except Exception as error:  # the scheduler goes on, whatever the watcher finds
        return f"{type(error).__name__}: {error}"
    return ""
