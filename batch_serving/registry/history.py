"""The history of a model: ``history.jsonl``, one line per verdict, to which lines are only added."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch_serving.registry.pointer import Pointer
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import ChangedError, read_with_tag, write_if_unchanged
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.run_context import parse_time

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

Entry = dict[str, Any]
EntryKey = tuple[str, Any, Any]

ROLLED_BACK = "rolled back"
PRUNED = "pruned"  # what prune writes: a version was removed, and nothing was judged
MOVES = ("promoted", ROLLED_BACK)  # the verdicts that moved the pointer
APPEND_TRIES = 20  # on object storage, where another writer may have been first


class ModelHistory:
    """The verdicts on the versions of one model, each with the run that reached it."""

    def __init__(self, path: UPath) -> None:
        """Open the history at ``path``; nothing is created until something is added."""
        self.path = path

    def verdicts(self, last: int = 0) -> list[Entry]:
        """Return the verdicts of all lines, or of the ``last`` ones, oldest first, without corrupt lines."""
        data, _ = read_with_tag(self.path)
        return [entry for _, entry in self._lines(data, last) if entry is not None]

    def champions(self) -> list[str]:
        """Return all versions that were made champion, the latest first."""
        moved = [entry["version"] for entry in self.verdicts() if entry["verdict"] in MOVES]
        return list(dict.fromkeys(reversed(moved)))

    def champions_since(self, moment: datetime) -> list[str]:
        """Return the champion at ``moment`` and those that followed; before the first promotion, all.

        One that a roll back has taken back is left out, as it should not have predicted.
        """
        reigns: list[tuple[datetime, str]] = []
        for entry in self.verdicts():
            if entry["verdict"] in MOVES and (began := _time_of(entry)) is not None:
                if entry["verdict"] == ROLLED_BACK and reigns:
                    reigns.pop()
                reigns.append((began, entry["version"]))
        first = max((place for place, (began, _) in enumerate(reigns) if began <= moment), default=0)
        return list(dict.fromkeys(version for _, version in reigns[first:]))

    def has_corrupt_lines(self) -> bool:
        """Return whether there may be verdicts that are not known."""
        data, _ = read_with_tag(self.path)
        return any(entry is None for _, entry in self._lines(data))

    def has_promoted(self, run_id: str, version: str) -> bool:
        """Return whether a run has made a version the champion."""
        return ("promoted", run_id, version) in map(_key, self.verdicts())

    def append(self, entries: Sequence[Entry], pointer: Pointer | None) -> None:
        """Add entries, none twice, and first the one of ``pointer`` if its task was killed before it could.

        Raises ModelStoreError when too many others write at the same time.
        """
        for number in range(APPEND_TRIES):
            data, tag = read_with_tag(self.path)
            lines = self._lines(data)
            new = _new_entries(lines, entries, pointer)
            if not new:
                return None
            texts = [json.dumps(entry, sort_keys=True, ensure_ascii=False).encode() for entry in new]
            whole = [line for line, _ in lines] + texts
            try:
                return write_if_unchanged(self.path, b"".join(line + b"\n" for line in whole), tag)
            except ChangedError:
                time.sleep(0.02 * number)
        raise ModelStoreError(
            f"{relative_to_project(self.path)} is written by too many tasks at the same time; try again"
        )

    def _lines(self, data: bytes | None, last: int = 0) -> list[tuple[bytes, Entry | None]]:
        """Return each line, or each of the ``last`` ones, unchanged, with its entry: None, and a warning, for
        one that is corrupt.
        """
        found: list[tuple[bytes, Entry | None]] = []
        lines = (data or b"").splitlines()
        first = max(0, len(lines) - last) if last else 0
        for number, line in enumerate(lines[first:], start=first + 1):
            try:
                entry = json.loads(line)
                if not all(isinstance(entry[name], str) for name in ("run_id", "version", "verdict")):
                    raise ValueError("it is not a verdict")
            except (ValueError, KeyError, TypeError, RecursionError):
                log.warning("%s, line %d is corrupt; it stays unchanged", self.path, number)
                entry = None
            found.append((line, entry))
        return found


def _new_entries(
    lines: Sequence[tuple[bytes, Entry | None]], entries: Sequence[Entry], pointer: Pointer | None
) -> list[Entry]:
    """Return the entries that are not in the history yet, that of the pointer first."""
    known = {_key(entry) for _, entry in lines if entry is not None}
    new: list[Entry] = []
    if pointer is not None and pointer.history_key not in {*known, *map(_key, entries)}:
        about = {"version": pointer.version, "run_id": pointer.run_id, "reason": pointer.reason}
        new.append({"at": pointer.promoted_at, "verdict": pointer.verdict, **about})
    for entry in entries:
        # Once, however often the run's tasks are cleared; and a run that has promoted a version does not keep
        # the champion afterwards.
        promoted = _key({**entry, "verdict": "promoted"})
        if not known & {_key(entry), promoted}:
            new.append({"at": now(), **entry})
    return new


def _key(entry: Entry) -> EntryKey:
    """Return what distinguishes an entry: what was done, by which run, to which version."""
    if entry["verdict"] == PRUNED:
        return "pruned", "", entry.get("version")  # once, whichever run does it
    return "promoted" if entry["verdict"] in MOVES else "kept", entry.get("run_id"), entry.get("version")


def _time_of(entry: Entry) -> datetime | None:
    """Return when a verdict was reached; None if its line does not say so."""
    try:
        return parse_time(str(entry.get("at")))
    except InvalidValueError:
        return None


def now() -> str:
    """Return the time, in UTC, in the form that the history and the pointer have."""
    return datetime.now(UTC).isoformat(timespec="seconds")
