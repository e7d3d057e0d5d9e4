"""Answers for the views: each within a time limit, and remembered as long as their files stay the same."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from batch_serving.shared.unreachable import UnreachableError

Found = TypeVar("Found")

LIMIT_S = 1.5  # a storage that is away holds a page up for less than two seconds
LEAST_S = 0.05  # for a query of a request whose time is over: its answer may be there at once
THREADS = 8
MOST_REMEMBERED = 512


class UnavailableError(Exception):
    """A part of the page cannot be shown for now; the text says why, and what to do."""


_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def answered_within(seconds: float = LIMIT_S) -> Iterator[None]:
    """Let all queries of a request together wait for so many seconds at most, in place of each on its own."""
    token = _DEADLINE.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def _left(limit_s: float) -> float:
    deadline = _DEADLINE.get()
    return limit_s if deadline is None else min(limit_s, max(LEAST_S, deadline - time.monotonic()))


class Queries:
    """Runs queries in threads of its own. One that does not end keeps its thread, and runs once."""

    def __init__(self, limit_s: float = LIMIT_S, threads: int = THREADS) -> None:
        """Answer within ``limit_s`` seconds, with at most so many threads."""
        self._limit_s = limit_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="batch-page")
        self._running: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    def answer(self, name: Hashable, ask: Callable[[], Found]) -> Found:
        """Return what ``ask`` returns; UnavailableError if the storage is away or says nothing in time.

        Two requests for the same name share one call. What else it raises is raised here.
        """
        with self._lock:
            future = self._running.get(name)
            is_new = future is None
            if future is None:
                if len(self._running) >= 4 * THREADS:
                    raise UnavailableError("too much is being read; try again in a few seconds")
                future = self._running[name] = self._pool.submit(ask)
        if is_new:  # without the lock: an answer that is there already is forgotten right here
            future.add_done_callback(lambda _: self._forget(name))
        seconds = _left(self._limit_s)
        try:
            found: Found = future.result(seconds)
        except StillRunning:
            if seconds < self._limit_s / 2:  # others have taken the time of this request
                raise UnavailableError(
                    "it is still being read; load the page again in a few seconds"
                ) from None
            raise UnavailableError(
                f"the storage has not answered within {self._limit_s:g} s; check BATCH_OUTPUT and the network"
            ) from None
        except UnreachableError as error:
            raise UnavailableError(str(error)) from error
        return found

    def _forget(self, name: Hashable) -> None:
        with self._lock:
            self._running.pop(name, None)


class Remembered:
    """The newest answers, by what they are about and by what their files were then."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        """Keep at most so many answers; the one that was used least recently goes first."""
        self._most = most
        self._answers: OrderedDict[Hashable, tuple[Hashable, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Hashable, seen: Hashable, make: Callable[[], Found]) -> Found:
        """Return the answer for ``name``, made again unless its files were ``seen`` the same before."""
        with self._lock:
            kept = self._answers.get(name)
            if kept is not None and kept[0] == seen:
                self._answers.move_to_end(name)
                found: Found = kept[1]
                return found
        made = make()
        with self._lock:
            self._answers[name] = (seen, made)
            self._answers.move_to_end(name)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return made


class Expiring:
    """One answer that holds for some seconds."""

    def __init__(self, seconds: float) -> None:
        """Keep the answer for so many seconds."""
        self._seconds = seconds
        self._kept: tuple[float, Any] | None = None
        self._lock = threading.Lock()

    def get(self, make: Callable[[], Found]) -> Found:
        """Return the answer, made again if it is too old."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._seconds:
                self._kept = (time.monotonic(), make())
            found: Found = self._kept[1]
            return found
