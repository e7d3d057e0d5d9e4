"""Why a task failed, in plain English: from what Airflow says, and from the end of the task's log."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

UNKNOWN = "the reason is not known here; the log may have it"
BY_SIGNAL = {"SIGKILL": "its process was killed by SIGKILL, probably out of memory"}
_MISMATCH = re.compile(r"finished with state \S+, but the task instance's state attribute is (\w+)")
_REQUEUED = re.compile(r"requeued more than (\d+) times")
_EXTRA = re.compile(r"Extra info: (.+)", re.DOTALL)

_requested: ContextVar[str] = ContextVar("requested", default="")


@contextlib.contextmanager
def requested_because(text: str) -> Iterator[None]:
    """Let callbacks know, inside the block, why they are requested: Airflow does not say so."""
    token = _requested.set(text)
    try:
        yield
    finally:
        _requested.reset(token)


def of_request() -> str:
    """Return why the callback that is running was requested; an empty text if it was not, or is not known."""
    return _requested.get()


@dataclass(frozen=True)
class Limits:
    """How long Airflow waits, in seconds, before it fails a task: its own settings."""

    heartbeat_s: float
    queued_s: float


def in_words(message: str, limits: Limits) -> str:
    """Return what Airflow says of a task that it failed, as an operator understands it."""
    if message.startswith("{'DAG Id'") or message.startswith("Task did not emit heartbeat"):
        host = re.search(r"'Hostname': '([^']+)'", message)
        where = f" on {host[1]}" if host else ""
        return f"heartbeat lost: its worker{where} has not answered for {limits.heartbeat_s:g} s"
    if found := _REQUEUED.search(message):
        again = "" if found[1] == "0" else f", queued again {found[1]} times"
        return f"stuck in queue for {limits.queued_s:g} s{again}: no worker took it"
    if found := _MISMATCH.search(message):
        extra = _EXTRA.search(message)
        reason = f"its process ended without a result while the task was {found[1]}"
        return f"{reason}: {extra[1].strip()}" if extra else reason
    return message


def in_log(messages: Iterable[Any]) -> str:
    """Return how a task's process ended, from what its supervisor wrote into the log; empty if it did not."""
    found = ""
    for message in messages:
        text = str(message.event)
        if text.startswith("Process terminated by signal"):
            name = str(getattr(message, "signal_name", "a signal"))
            found = BY_SIGNAL.get(name, f"its process was ended by {name}")
        elif "Received SIGSEGV" in text:
            found = "its process crashed: SIGSEGV"
        elif text.startswith("Process exited abnormally"):
            found = f"its process ended with exit code {getattr(message, 'exit_code', 'unknown')}"
        elif text.startswith("Server indicated the task shouldn't be running anymore"):
            found = "its state was set while it ran"
    return found
