"""The history of a model: ``history.jsonl``, one line per verdict, to which lines are only added."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from callables._files import ChangedError, read_with_tag, relative_to_project, write_if_unchanged
from callables._model_versions import ModelStoreError

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

Verdict = dict[str, Any]

MOVES = ("promoted", "rolled back")  # the verdicts that moved the pointer
APPEND_TRIES = 20  # on object storage, where another may have written first


class ModelHistory:
    """What was decided of the versions of one model, and by which run."""

    def __init__(self, path: UPath) -> None:
        """Open the history at ``path``; nothing is created until something is added."""
        self.path = path

    def verdicts(self) -> list[Verdict]:
        """Return all verdicts, oldest first; a line that is none is left out, with a warning."""
        data, _ = read_with_tag(self.path)
        return [entry for _, entry in self._lines(data) if entry is not None]

    def champions(self) -> list[str]:
        """Return all versions that were made champion, the last one first."""
        moved = [entry["version"] for entry in self.verdicts() if entry["verdict"] in MOVES]
        return list(dict.fromkeys(reversed(moved)))

    def has_promoted(self, run_id: str, version: str) -> bool:
        """Tell whether a run has made a version the champion."""
        return ("promoted", run_id, version) in map(_key, self.verdicts())

    def append(self, verdicts: Sequence[Verdict], pointer: Verdict | None) -> None:
        """Add verdicts, and that of ``pointer`` if its task was killed before it could; none twice.

        Raises ModelStoreError when too many others write at once.
        """
        for number in range(APPEND_TRIES):
            data, tag = read_with_tag(self.path)
            lines = self._lines(data)
            known = {_key(entry) for _, entry in lines if entry is not None}
            fresh = []
            if pointer is not None and _key(pointer) not in {*known, *map(_key, verdicts)}:
                told = {name: pointer.get(name) for name in ("version", "run_id", "reason")}
                fresh.append({"at": pointer.get("promoted_at"), "verdict": "promoted", **told})
            # However often the run's tasks are cleared; and what has promoted, keeps nothing afterwards.
            fresh += [
                {"at": now(), **verdict}
                for verdict in verdicts
                if not known & {_key(verdict), _key({**verdict, "verdict": "promoted"})}
            ]
            if not fresh:
                return None
            texts = [json.dumps(one, sort_keys=True, ensure_ascii=False).encode() for one in fresh]
            whole = b"\n".join([*(line for line, _ in lines), *texts, b""])
            try:
                return write_if_unchanged(self.path, whole, tag)
            except ChangedError:
                time.sleep(0.02 * number)
        raise ModelStoreError(f"{relative_to_project(self.path)} is written by too many at once; try again")

    def _lines(self, data: bytes | None) -> list[tuple[bytes, Verdict | None]]:
        """Return each line as it stands, and what it says; None where it is spoilt."""
        found: list[tuple[bytes, Verdict | None]] = []
        for number, line in enumerate((data or b"").splitlines(), start=1):
            try:
                entry = json.loads(line)
                if not all(isinstance(entry[name], str) for name in ("run_id", "version", "verdict")):
                    raise ValueError("it is no verdict")
            except (ValueError, KeyError, TypeError, RecursionError):
                log.warning("%s, line %d is spoilt; it is kept as it is", self.path, number)
                entry = None
            found.append((line, entry))
        return found


def _key(entry: Verdict) -> tuple[str, Any, Any]:
    """Return what tells one verdict from another: what was done, by whom, to what."""
    verdict = entry.get("verdict", "promoted")  # the pointer has none: it was moved
    if verdict == "pruned":
        return "pruned", "", entry.get("version")  # once, whoever does it
    return "promoted" if verdict in MOVES else "kept", entry.get("run_id"), entry.get("version")


def now() -> str:
    """Return the time, in UTC, as the history and the pointer have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
