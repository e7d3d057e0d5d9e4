"""Which failures have been announced: one small file for each, which exactly one sender can make.

A failure may have several senders: the task's own process, a request of Airflow's, and the watcher. Each
claims the failure before it sends. A claim is open until its sender has sent; a sender that was killed
meanwhile leaves an open claim, which another one takes over after ``ABANDONED_AFTER_S``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from batch_serving.shared.files import ChangedError, delete, locked, read_with_tag, write_atomic
from batch_serving.shared.files import write_if_unchanged as write_if
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.reading import entries, files_in, modified_at

if TYPE_CHECKING:
    from upath import UPath

FOLDER = "notifications"
STALE = "stale"
NO_PART = "0"  # of an output that is not there yet: sorts before all times
ABANDONED_AFTER_S = 60.0  # a message takes at most 10 s
LOCK_TIMEOUT_S = 5.0
KEEP_DAYS = 30


class Announced(Enum):
    """What is known of a failure."""

    NO = "no one has claimed it, or who did was killed before it sent"
    PENDING = "a sender is at work"
    YES = "its message was sent, or could not be, which the sender's log has"


@dataclass(frozen=True)
class Claim:
    """The right to send one message; ``close`` says that it was used."""

    path: UPath
    about: str = ""

    def close(self, outcome: str) -> None:
        """Note what came of it, for good; UnreachableError if that cannot be written."""
        write_atomic(self.path, _content("", outcome, self.about))


def claim(path: UPath, about: str = "") -> Claim | None:
    """Return the claim on a message, or None if another sender has it. ``about`` is kept in the file.

    Raises UnreachableError if the folder cannot be read or written.
    """
    with locked(path.parent, LOCK_TIMEOUT_S):
        data, tag = read_with_tag(path)
        if data is not None and _state(data) is not Announced.NO:
            return None
        try:
            write_if(path, _content(uuid.uuid4().hex, "", about), tag)
        except ChangedError:  # on object storage, another one was quicker
            return None
    return Claim(path, about)


def _content(sender: str, outcome: str, about: str) -> bytes:
    found = {"sender": sender, "at": time.time(), "outcome": outcome, "about": about}
    return json.dumps(found).encode()


def state_of(path: UPath) -> Announced:
    """Return what is known of the failure whose claim is at ``path``."""
    data = read_with_tag(path)[0]
    return Announced.NO if data is None else _state(data)


def _state(data: bytes) -> Announced:
    try:
        found = json.loads(data)
        if found["outcome"]:
            return Announced.YES
        return Announced.NO if time.time() - found["at"] > ABANDONED_AFTER_S else Announced.PENDING
    except (ValueError, KeyError, TypeError):  # not written by this module: better a second message than none
        return Announced.NO


def of_task(instance_id: str, try_number: int, sender: str) -> UPath:
    """Return where the claim on the failure of one try of a task is; ``sender`` is for example a connection.

    Airflow gives each try of a task another id. So a cleared task that fails again is announced again.
    """
    return _day(instance_id) / f"{instance_id}.{try_number}.{safe_name(sender)}.json"


def announced(instance_id: str, try_number: int) -> Announced:
    """Return whether any sender has announced the failure of one try of a task.

    Where a task has several callbacks, the last one that is not done counts.
    """
    prefix = f"{instance_id}.{try_number}."
    found = Counter(
        state_of(entry.path)
        for entry in entries(_day(instance_id))
        if entry.name.startswith(prefix) and entry.name.endswith(".json")
    )
    for state in (Announced.NO, Announced.PENDING, Announced.YES):
        if found[state]:
            return state
    return Announced.NO


def of_stale(output: str, since: datetime | None) -> UPath:
    """Return where the claim on an output is that is stale: one for each of its newest parts.

    Not in the folder of a day, which is pruned: the output may be stale for longer.
    """
    part = f"{since.astimezone(UTC):%Y%m%dT%H%M%SZ}" if since else NO_PART
    return output_path(FOLDER, STALE, f"{safe_name(output)}.{part}.json")


def of_import_error(name: str, text: str) -> UPath:
    """Return where the claim on an import error is: one for each text that a file's error has had."""
    digest = hashlib.sha256(f"{name}\0{text}".encode()).hexdigest()[:16]
    return output_path(FOLDER, "import_errors", f"{digest}.json")


def announced_import_errors() -> dict[str, list[UPath]]:
    """Return the claims of import errors that were announced, by the name of the file."""
    found: dict[str, list[UPath]] = {}
    for path in files_in(output_path(FOLDER, "import_errors"), ".json"):
        data = read_with_tag(path)[0] or b""
        if _state(data) is Announced.YES:
            found.setdefault(str(json.loads(data).get("about")), []).append(path)
    return found


def is_old(instance_id: str) -> bool:
    """Return whether the claims of a task instance may have been pruned."""
    return str(_day(instance_id).name) < _oldest_day(KEEP_DAYS - 1)


def _day(instance_id: str) -> UPath:
    """Return the folder for a task instance: the day on which Airflow made its id, a UUID of version 7."""
    found = uuid.UUID(str(instance_id))
    moment = datetime.fromtimestamp((found.int >> 80) / 1000, UTC) if found.version == 7 else None
    return output_path(FOLDER, f"{moment:%Y-%m-%d}" if moment else "other")


def _oldest_day(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


def prune() -> None:
    """Remove the claims of tasks, repairs and what is not stale any more, older than ``KEEP_DAYS`` days."""
    oldest = _oldest_day(KEEP_DAYS)
    for entry in entries(output_path(FOLDER)):
        if entry.is_folder and entry.name[:1].isdigit() and entry.name < oldest:
            delete(entry.path)
    for path in [*files_in(output_path(FOLDER, "import_errors"), ".repaired"), *_stale_before()]:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - modified_at(path) > KEEP_DAYS * 24 * 3600:
                delete(path)


def _stale_before() -> list[UPath]:
    """Return the claims on outputs that were stale, but of each the newest, which may be stale still."""
    found = files_in(output_path(FOLDER, STALE), ".json")
    newest = {path.name.rsplit(".", 2)[0]: path.name for path in found}
    return [path for path in found if path.name not in newest.values()]


def watched_since(now: float) -> float:
    """Return since when failures are watched, in seconds since 1970: ``now`` for the first caller ever.

    What failed earlier was announced, or not, without claims.
    """
    path = output_path(FOLDER, "since.json")
    with locked(path.parent, LOCK_TIMEOUT_S):
        data, tag = read_with_tag(path)
        if data is None:
            try:
                write_if(path, json.dumps({"at": now}).encode(), tag)
            except ChangedError:
                data = read_with_tag(path)[0]
    try:
        return now if data is None else float(json.loads(data)["at"])
    except (ValueError, KeyError, TypeError):
        return now
