"""Versioned models below ``output/models/<name>/``, and the pointer to the one in use.

::

    versions/<version>/  model.joblib  metadata.json  holdout_predictions.csv  card.html
    champion.json        {"version", "previous", "promoted_at", "run_id", "reason", "metrics"}
    history.jsonl        one line per verdict

A version never changes once it can be seen. The pointer moves last, and only if it still points to what the
mover compared against. ``metadata.json`` and ``champion.json`` carry a checksum of themselves, the model's is
in its metadata: what a disk or a hand has changed is noticed before it is used.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from callables._files import (
    ChangedError,
    is_local,
    locked,
    read_with_tag,
    relative_to_project,
    safe_name,
    seal,
    unseal,
    write_if_unchanged,
)
from callables._model_history import MOVES, ModelHistory, now
from callables._model_versions import ModelStoreError, ModelVersions

log = logging.getLogger(__name__)

BEING_PRUNED = "being-pruned"
LOCK_TIMEOUT_S = 60
MENDING = "trigger promote_model with a version to mend it"

Pointer = dict[str, Any]


@dataclass(frozen=True)
class Loaded:
    """The model to predict with; ``problem`` says why it is not the one that it should be."""

    version: str
    model: Any
    problem: str = ""


class SpoiltPointerError(ModelStoreError):
    """``champion.json`` is there and cannot be used; ``tag`` is for replacing it."""

    def __init__(self, text: str, tag: str) -> None:
        """Keep the tag."""
        super().__init__(text)
        self.tag = tag


class ModelStore(ModelVersions):
    """The versions, the champion and the history of one model name."""

    def __init__(self, name: str) -> None:
        """Open the store of model ``name``; nothing is created until something is saved."""
        super().__init__(name)
        self._history = ModelHistory(self.root / "history.jsonl")

    # --- the champion ---

    def champion(self) -> dict[str, Any] | None:
        """Return what ``champion.json`` says, or None before the first promotion."""
        return self._pointer()[0]

    def _pointer(self) -> tuple[dict[str, Any] | None, str]:
        """Return the pointer, and a tag that tells whether it has moved since."""
        path = self.root / "champion.json"
        data, tag = read_with_tag(path)
        if data is None:
            return None, tag
        try:
            pointer = unseal(data)
            names = [pointer["version"], *filter(None, [pointer["previous"]])]
            if any(not isinstance(name, str) or safe_name(name) != name for name in names):
                raise ValueError("it names no version")
        except (ValueError, KeyError, RecursionError) as error:
            raise SpoiltPointerError(
                f"{relative_to_project(path)} is spoilt ({error}); {MENDING}", tag
            ) from None
        return pointer, tag

    def usable_pointer(self) -> dict[str, Any] | None:
        """Return the champion's pointer; None before the first promotion.

        One that is gone or cannot be read is told in the log; what the history says of it stands in for it,
        with ``lost`` set.
        """
        return self._usable_pointer()[0]

    def _usable_pointer(self) -> tuple[dict[str, Any] | None, str]:
        try:
            pointer, tag = self._pointer()
            problem = f"{relative_to_project(self.root / 'champion.json')} is gone; {MENDING}"
        except SpoiltPointerError as error:
            pointer, tag, problem = None, error.tag, str(error)
        if pointer is not None:
            return pointer, tag
        version, previous, *_ = [*self._history.champions(), None, None]
        if version:
            log.error("%s; going on with %s, as the history says that it was promoted last", problem, version)
            return {"version": version, "previous": previous, "lost": True}, tag
        if tag:
            log.error("%s; going on as if there were no champion", problem)
        return None, tag

    def before_champion(self) -> str:
        """Return the version to roll back to; ModelStoreError where there is none."""
        version = (self.usable_pointer() or {}).get("previous")
        if not version:
            raise ModelStoreError(
                f"there is nothing to roll back to: model {self.name!r} has had one champion at most"
            )
        return version

    def load_champion(self) -> Loaded | None:
        """Return the champion, loaded; None before the first promotion.

        A champion that is broken falls back to the one before it, and a pointer that is gone or broken to
        what the history says was promoted last: with an error in the log, and ``problem`` set. Raises
        ModelStoreError when nothing of these can be used.
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
            return list(filter(None, [pointer["version"], pointer["previous"]]))
        former = self._history.champions()
        if former and not problems:
            problems.append(f"{relative_to_project(self.root / 'champion.json')} is gone; {MENDING}")
        return former[:2]

    def promote(
        self,
        version: str,
        *,
        expect: str | None,
        run_id: str,
        reason: str,
        verdict: str = "promoted",
        details: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make ``version`` the champion, if the champion still is ``expect``, and return the new pointer.

        A second call of the same run changes nothing. ``details`` go into the history beside the reason.
        Raises ModelStoreError when somebody else moved the pointer in between, or when the version is not
        whole.
        """
        with locked(self.root, LOCK_TIMEOUT_S):
            metadata = self.metadata(version)  # in here, so that no prune comes in between
            self._read_model(version, metadata)
            current, tag = self._usable_pointer()
            champion, lost = (current["version"], "lost" in current) if current else (None, False)
            if current is not None and champion != version and self._history.has_promoted(run_id, version):
                log.warning(
                    "run %s has promoted %s before, and %s is the champion since: it stays",
                    *(run_id, version, champion),
                )
                return current
            if current is not None and champion == version and not lost:
                if current["run_id"] != run_id:
                    self._append()  # nothing moves; only a line that a kill left out may be missing
                    return current
                pointer = current
            else:
                pointer = {
                    "version": version,
                    "previous": champion if champion != version or not current else current["previous"],
                    "promoted_at": now(),
                    "run_id": run_id,
                    "reason": reason,
                    "metrics": metadata["metrics"],
                }
                if champion != expect or not self._move(pointer, current, tag):
                    raise ModelStoreError(
                        f"the champion of {self.name} is no longer {expect}, as when they were compared; "
                        "clear `compare` to compare again"
                    )
            line = {"verdict": verdict, "version": version, "run_id": run_id, "reason": reason}
            self._append({**(details or {}), **line})
        return pointer

    def _move(self, pointer: Pointer, before: Pointer | None, tag: str) -> bool:
        """Write the pointer, and tell whether nobody else has in between."""
        self._append()  # the line of the one before, if its task was killed before it could write it
        try:
            write_if_unchanged(self.root / "champion.json", seal(pointer), tag)
        except ChangedError:
            return False
        self._take_back_if_pruned(pointer, before)
        return True

    def _take_back_if_pruned(self, pointer: Pointer, before: Pointer | None) -> None:
        """On object storage, where no lock keeps a prune away: take a promotion back that met one.

        The prune marks the version and then reads the pointer; this has moved the pointer and now reads the
        mark. So at least one of the two sees the other.
        """
        folder = self.folder(pointer["version"])
        if is_local(folder) or ((folder / "metadata.json").exists() and not (folder / BEING_PRUNED).exists()):
            return
        path = self.root / "champion.json"
        data, tag = read_with_tag(path)
        if data == seal(pointer):
            if before is None or "lost" in before:
                path.unlink()
            else:
                with contextlib.suppress(ChangedError):  # whoever has moved it since knows better
                    write_if_unchanged(path, seal(before), tag)
        raise ModelStoreError(
            f"{self.name} {pointer['version']} is being pruned, and was not promoted; promote another "
            f"(or, if no prune is running, delete {relative_to_project(folder / BEING_PRUNED)})"
        )

    # --- the history ---

    def history(self) -> list[dict[str, Any]]:
        """Return all verdicts, oldest first."""
        return self._history.verdicts()

    def record(self, verdict: str, version: str, *, run_id: str, reason: str, **details: Any) -> None:
        """Write a verdict that moves no pointer into the history: ``kept``, say, and why."""
        with locked(self.root, LOCK_TIMEOUT_S):
            self._append(
                {**details, "verdict": verdict, "version": version, "run_id": run_id, "reason": reason}
            )

    def _append(self, *verdicts: dict[str, Any]) -> None:
        pointer = self.usable_pointer()
        self._history.append(verdicts, None if pointer is None or "lost" in pointer else pointer)

    # --- cleaning up ---

    def prune(self, keep: int, *, run_id: str) -> list[str]:
        """Remove all versions but the newest ``keep``, the champion and the one before it; return them.

        What kills left half done a day ago or earlier goes, too. Raises ModelStoreError, and removes
        nothing, while ``champion.json`` cannot be read: nobody could tell what to protect.
        """
        if keep < 1:
            raise ValueError(f"keep is {keep}; it must be 1 or more")
        with locked(self.root, LOCK_TIMEOUT_S):
            pointer = self.champion()
            if pointer is None and any(entry["verdict"] in MOVES for entry in self.history()):
                raise ModelStoreError(
                    f"{relative_to_project(self.root / 'champion.json')} is gone: nobody can tell what "
                    "must stay; promote a version first"
                )
            protected = {pointer["version"], pointer["previous"]} if pointer else set()
            if pointer and pointer["version"] not in self.versions():
                raise ModelStoreError(
                    f"champion.json names {pointer['version']}, which is not there: nobody can tell what "
                    "must stay; promote a version first"
                )
            doomed = self._mark([name for name in self.versions()[:-keep] if name not in protected])
            # The lines first: what a kill leaves undone, the next prune does, and nothing goes unsaid.
            told = {"verdict": "pruned", "run_id": run_id, "reason": "old"}
            self._append(*({**told, "version": version} for version in doomed))
            for version in doomed:
                self.remove(version)
            self.remove_leftovers()
        return doomed

    def _mark(self, versions: list[str]) -> list[str]:
        """On object storage, mark versions as being pruned; leave out what has just been promoted.

        See _take_back_if_pruned. Elsewhere a lock keeps promotions away.
        """
        if is_local(self.root) or not versions:
            return versions
        for version in versions:
            (self.folder(version) / BEING_PRUNED).write_bytes(b"")
        pointer = self.champion() or {}
        promoted = [v for v in versions if v in (pointer.get("version"), pointer.get("previous"))]
        for version in promoted:
            (self.folder(version) / BEING_PRUNED).unlink()
        return [version for version in versions if version not in promoted]
