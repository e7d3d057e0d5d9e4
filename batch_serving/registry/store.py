"""Versioned models below ``output/models/<name>/``, and the pointer to the one in use.

::

    versions/<version>/  model.joblib  metadata.json  holdout_predictions.csv  card.html  fold_scores.json
    champion.json        {"version", "previous", "promoted_at", "run_id", "reason", "metrics", "verdict"}
    history.jsonl        one line per verdict
    contender.json       the trial that goes on, and the budget: see ``contender``
    evidence/            <version>.csv of each trial

A version never changes once it can be seen. The pointer moves last, and only if it still points to the
version that the challenger was compared with. ``metadata.json`` and ``champion.json`` carry a checksum of
themselves, and the metadata that of the model: a file that a disk or an edit has changed is not used.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from batch_serving.registry.contender import contender_of, read_trial
from batch_serving.registry.history import PRUNED, Entry, ModelHistory, now
from batch_serving.registry.pointer import REPAIR, CorruptPointerError, Pointer, pointer_bytes, read_pointer
from batch_serving.registry.saving import BEING_PRUNED, LOCK_TIMEOUT_S, SavedVersions
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import (
    ChangedError,
    delete,
    delete_if_unchanged,
    locked,
    read_with_tag,
    to_json,
    write_atomic,
    write_if_unchanged,
)
from batch_serving.shared.paths import is_local, relative_to_project
from batch_serving.shared.reading import exists

log = logging.getLogger(__name__)

UNPROTECTED = "it is not known which versions to protect; promote a version first"


@dataclass(frozen=True)
class Loaded:
    """The model to predict with; ``problem`` says why it is not the champion."""

    version: str
    model: Any
    problem: str = ""


class ModelStore(SavedVersions):
    """The versions, the champion and the history of one model name."""

    def __init__(self, name: str) -> None:
        """Open the store of model ``name``; nothing is created until something is saved."""
        super().__init__(name)
        self._history = ModelHistory(self.root / "history.jsonl")
        self._pointer_path = self.root / "champion.json"

    # --- the champion ---

    def champion(self) -> Pointer | None:
        """Return what ``champion.json`` says, or None before the first promotion."""
        return read_pointer(self._pointer_path)[0]

    def usable_pointer(self) -> Pointer | None:
        """Return the champion's pointer; None before the first promotion.

        A pointer that is missing or corrupt is reported in the log, and replaced by what the history says of
        it, with ``lost`` set.
        """
        return self._usable_pointer()[0]

    def _usable_pointer(self) -> tuple[Pointer | None, str]:
        try:
            pointer, tag = read_pointer(self._pointer_path)
            problem = self.missing_pointer()
        except CorruptPointerError as error:
            pointer, tag, problem = None, error.tag, str(error)
        if pointer is not None:
            return pointer, tag
        former = self._history.champions()
        if former:
            log.error("%s; continuing with %s, which the history has as champion", problem, former[0])
            return Pointer(former[0], former[1] if len(former) > 1 else None, lost=True), tag
        if tag:
            log.error("%s; continuing without a champion", problem)
        return None, tag

    def champions_since(self, moment: datetime) -> list[str]:
        """Return the champion at ``moment`` and those that followed, without those that were rolled back."""
        return self._history.champions_since(moment)

    def has_had_champion(self) -> bool:
        """Return whether the history knows a champion: then there must be a pointer."""
        return bool(self._history.champions())

    def missing_pointer(self) -> str:
        """Return the text of the problem that the pointer is missing."""
        return f"{relative_to_project(self._pointer_path)} is missing; {REPAIR}"

    def before_champion(self) -> str:
        """Return the version to roll back to."""
        pointer = self.usable_pointer()
        if pointer is None or pointer.previous is None:
            raise ModelStoreError(
                f"there is nothing to roll back to: model {self.name!r} has had at most one champion"
            )
        return pointer.previous

    def load_champion(self) -> Loaded | None:
        """Return the champion, loaded; None before the first promotion.

        Falls back to the version before a broken champion, and to the history's champion if the pointer is
        missing or corrupt: with an error in the log, and ``problem`` set. Raises ModelStoreError when none of
        these can be used.
        """
        problems: list[str] = []
        for version in self._champions(problems):
            try:
                model = self.load(version)
            except ModelStoreError as error:
                problems.append(f"{version} cannot be used: {error}")
                continue
            if problems:
                log.error("%s; using %s instead", "; ".join(problems), version)
            return Loaded(version, model, "; ".join(problems))
        if problems:
            raise ModelStoreError("; ".join(problems))
        return None

    def _champions(self, problems: list[str]) -> list[str]:
        """Return the champion and the one before it; add to ``problems`` what is wrong with the pointer."""
        try:
            pointer = self.champion()
        except ModelStoreError as error:
            problems.append(str(error))
            pointer = None
        if pointer is not None:
            return pointer.versions
        former = self._history.champions()
        if former and not problems:
            problems.append(self.missing_pointer())
        return former[:2]

    def contender(self) -> str | None:
        """Return the version that is to predict the same rows as the champion, for a comparison."""
        return contender_of(self, self.usable_pointer(), datetime.now(UTC))

    def is_new_problem(self, found: Loaded) -> bool:
        """Return whether the problem with the champion has not been reported yet; note that it is now."""
        path = self.root / "warned.json"
        data, tag = read_with_tag(path)
        note = to_json({"problem": found.problem, "version": found.version})
        if data == note:
            return False
        try:
            write_if_unchanged(path, note, tag)
        except ChangedError:
            return False  # another run has just reported it
        return True

    # --- promotion ---

    def promote(
        self,
        version: str,
        *,
        expect: str | None,
        run_id: str,
        reason: str,
        verdict: str = "promoted",
        details: Entry | None = None,
    ) -> Pointer:
        """Make ``version`` the champion, if the champion still is ``expect``, and return the new pointer.

        A second call of the same run changes nothing. ``details`` go into the history beside the reason.
        Raises ModelStoreError when another run has moved the pointer since, or when the version is not whole.
        """
        entry = {"verdict": verdict, "version": version, "run_id": run_id, "reason": reason}
        entry = {**(details or {}), **entry}
        with locked(self.root, LOCK_TIMEOUT_S):
            metadata = self.metadata(version)  # under the lock, so that no prune comes in between
            self._read_model(version, metadata)
            current, tag = self._usable_pointer()
            champion = current.version if current else None
            if current and self._is_overtaken(current, version, run_id):
                return current
            if current and champion == version and not current.lost:
                if current.run_id == run_id:  # a retry: a kill or an outage may have prevented what follows
                    self._take_back_if_pruned(current, self._before(current))
                    self._append(entry)
                else:
                    self._append()
                return current
            previous = current.previous if current and champion == version else champion
            pointer = Pointer(version, previous, now(), run_id, reason, metadata["metrics"], verdict)
            if champion != expect or not self._move(pointer, current, tag):
                # The answer may be lost, and another promotion have followed before the write was repeated.
                later = self.usable_pointer()
                if later and self._is_overtaken(later, version, run_id):
                    return later
                raise ModelStoreError(
                    f"the champion of {self.name} is no longer {expect}, which the challenger was compared "
                    "with; clear `compare` to compare again"
                )
            self._append(entry)
        return pointer

    def _is_overtaken(self, current: Pointer, version: str, run_id: str) -> bool:
        """Return whether the run has promoted the version before, and another one is the champion since."""
        if current.version == version or not self._history.has_promoted(run_id, version):
            return False
        log.warning(
            "run %s has promoted %s before, and %s has become the champion since: it stays",
            run_id,
            version,
            current.version,
        )
        return True

    def _move(self, pointer: Pointer, before: Pointer | None, tag: str) -> bool:
        """Write the pointer, and return whether it had not changed since it was read."""
        self._append()  # the entry of the one before, if its task was killed before it could write it
        try:
            write_if_unchanged(self._pointer_path, pointer_bytes(pointer), tag)
        except ChangedError:
            return False
        self._take_back_if_pruned(pointer, before)
        return True

    def _before(self, pointer: Pointer) -> Pointer | None:
        """Return the pointer to the version before, as far as the history knows it."""
        if pointer.previous is None:
            return None
        former = [version for version in self._history.champions() if version not in pointer.versions]
        reason = f"champion again: the promotion of {pointer.version} was taken back"
        return Pointer(pointer.previous, former[0] if former else None, now(), pointer.run_id, reason)

    def _take_back_if_pruned(self, pointer: Pointer, before: Pointer | None) -> None:
        """On object storage, where no lock keeps a prune away: take back a promotion that met one.

        The prune marks the version and then reads the pointer; this has moved the pointer and now reads the
        mark. So at least one of the two sees the other.
        """
        folder = self.folder(pointer.version)
        if is_local(folder) or (exists(folder / "metadata.json") and not exists(folder / BEING_PRUNED)):
            return
        data, tag = read_with_tag(self._pointer_path)
        if data == pointer_bytes(pointer):
            if before is None or before.lost:
                delete_if_unchanged(self._pointer_path, tag)
            else:
                with contextlib.suppress(ChangedError):  # a later promotion stays
                    write_if_unchanged(self._pointer_path, pointer_bytes(before), tag)
        raise ModelStoreError(
            f"{self.name} {pointer.version} is being pruned, and was not promoted; promote another version, "
            f"or, if no prune is running, delete {relative_to_project(folder / BEING_PRUNED)}"
        )

    # --- the history ---

    def history(self, last: int = 0) -> list[Entry]:
        """Return all verdicts, or those of the ``last`` lines, oldest first."""
        return self._history.verdicts(last)

    def record(self, verdict: str, version: str, *, run_id: str, reason: str, **details: Any) -> None:
        """Write a verdict that moves no pointer into the history, for example ``kept``."""
        with locked(self.root, LOCK_TIMEOUT_S):
            self._append(
                {**details, "verdict": verdict, "version": version, "run_id": run_id, "reason": reason}
            )

    def _append(self, *entries: Entry) -> None:
        pointer = self.usable_pointer()
        self._history.append(entries, None if pointer is None or pointer.lost else pointer)

    # --- pruning ---

    def prune(self, keep: int, *, run_id: str) -> list[str]:
        """Remove all versions except the newest ``keep``, the champion and the one before it; return them.

        A contender whose trial goes on stays as well. Also removes what killed tasks left a day ago or
        earlier. Raises ModelStoreError, and removes nothing, while ``champion.json`` cannot be read.
        """
        if keep < 1:
            raise InvalidValueError(f"keep is {keep}", "it must be 1 or more")
        with locked(self.root, LOCK_TIMEOUT_S):
            protected = self._protected()
            pruned = self._mark([name for name in self.versions()[:-keep] if name not in protected])
            # The history first: what a kill prevents, the next prune does, and every removal has its entry.
            entry = {"verdict": PRUNED, "run_id": run_id, "reason": "old"}
            self._append(*({**entry, "version": version} for version in pruned))
            removed = [version for version in pruned if self._remove_unless_promoted(version)]
            self.remove_unfinished()
        return removed

    def _remove_unless_promoted(self, version: str) -> bool:
        """Remove a version, and return whether it was; not if the pointer has moved to it meanwhile.

        A promotion takes itself back when it sees the mark, but an outage may prevent that.
        """
        if not is_local(self.root):
            pointer = self.champion()
            if pointer is not None and version in pointer.versions:
                log.warning("%s %s was promoted while it was being pruned; it stays", self.name, version)
                delete(self.folder(version) / BEING_PRUNED)
                return False
        self.remove(version)
        return True

    def _protected(self) -> list[str]:
        """Return the versions that must stay, however old they are."""
        pointer = self.champion()
        if pointer is None:
            if self._history.champions() or self._history.has_corrupt_lines():
                raise ModelStoreError(f"{relative_to_project(self._pointer_path)} is missing: {UNPROTECTED}")
            return []
        if pointer.version not in self.versions():
            raise ModelStoreError(
                f"champion.json names {pointer.version}, which does not exist: {UNPROTECTED}"
            )
        if not is_local(self.root):
            for version in pointer.versions:  # a prune may have been killed before it could do this
                delete(self.folder(version) / BEING_PRUNED)
        state, _ = read_trial(self.root, datetime.now(UTC))
        return [*pointer.versions, state.trial.version] if state.trial else pointer.versions

    def _mark(self, versions: list[str]) -> list[str]:
        """On object storage, mark versions as being pruned; leave out those that were promoted meanwhile.

        See _take_back_if_pruned. On local disk a lock keeps promotions away.
        """
        if is_local(self.root) or not versions:
            return versions
        for version in versions:
            write_atomic(self.folder(version) / BEING_PRUNED, b"")
        pointer = self.champion()
        promoted = [version for version in versions if pointer and version in pointer.versions]
        for version in promoted:
            delete(self.folder(version) / BEING_PRUNED)
        return [version for version in versions if version not in promoted]
