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
import io
import json
import logging
import shutil
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callables._files import (
    ChangedError,
    is_local,
    locked,
    output_path,
    read_whole,
    read_with_tag,
    relative_to_project,
    safe_name,
    seal,
    sha256,
    sync_folder,
    unseal,
    write_if_unchanged,
    write_synced,
)

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

STAGING = ".staging-"
PRUNED = ".pruned-"
BEING_PRUNED = "being-pruned"
LOCK_TIMEOUT_S = 60
APPEND_TRIES = 20  # on object storage, where another may have written first
LEFT_OF_A_RUN_AFTER_S = 3600  # no save takes so long
LEFT_AFTER = timedelta(days=1)  # what is half done for so long will never be finished
HOLDOUT_PREDICTIONS = "holdout_predictions.csv"
HOLDOUT_COLUMNS = ("row_id", "actual", "prediction", "probability")
MENDING = "trigger promote_model with a version to mend it"
MOVES = ("promoted", "rolled back")  # the verdicts that moved the pointer


@dataclass(frozen=True)
class Loaded:
    """The model to predict with; ``problem`` says why it is not the one that it should be."""

    version: str
    model: Any
    problem: str = ""


class ModelStoreError(Exception):
    """A model or its record is missing, broken or not what the caller thought; says what to do."""


class ModelStore:
    """The versions, the champion and the history of one model name."""

    def __init__(self, name: str) -> None:
        """Open the store of model ``name``; nothing is created until something is saved."""
        if not name or safe_name(name) != name:
            raise ValueError(f"model {name!r} is not a plain name: use letters, digits, '.', '_' and '-'")
        self.name = name
        self.root: UPath = output_path("models", name)

    @staticmethod
    def names() -> list[str]:
        """Return the names of all models that have a store."""
        root = output_path("models")
        found = (path.name for path in root.iterdir() if path.is_dir()) if root.exists() else ()
        return sorted(name for name in found if safe_name(name) == name)

    # --- versions ---

    def folder(self, version: str) -> UPath:
        """Return the folder of one version; a text that is no version's name is refused."""
        if not version or safe_name(version) != version:
            raise ModelStoreError(
                f"model {self.name!r} has no version {version!r}: that is not a version's name"
            )
        return self.root / "versions" / version

    def versions(self, since: str = "") -> list[str]:
        """Return all complete versions in the order in which they were made, from ``since`` on."""
        folder = self.root / "versions"
        if not folder.exists():
            return []
        names = (path.parent.name for path in folder.glob("*/metadata.json"))
        return sorted(name for name in names if name[:1] != "." and name >= since)

    def metadata(self, version: str) -> dict[str, Any]:
        """Return the record of one version; ModelStoreError, listing those there are, if it has none."""
        path = self.folder(version) / "metadata.json"
        try:
            record = unseal(read_whole(path))
        except FileNotFoundError:
            known = ", ".join(self.versions()[:-11:-1]) or "none"
            raise ModelStoreError(
                f"model {self.name!r} has no version {version!r}; the newest are: {known}"
            ) from None
        except (ValueError, RecursionError, OSError) as error:
            raise ModelStoreError(
                f"{relative_to_project(path)} is spoilt ({error}); promote another version"
            ) from None
        if not isinstance(record.get("sha256"), str) or not isinstance(record.get("metrics"), dict):
            raise ModelStoreError(
                f"{relative_to_project(path)} is spoilt (it is no record); promote another version"
            )
        if record.get("version") != version:
            raise ModelStoreError(
                f"{relative_to_project(path)} is the record of {record.get('version')!r}; "
                "promote another version"
            )
        return record

    def find(self, run_id: str, run_after: datetime, inputs: str) -> str | None:
        """Return the version that this run already made from the same ``inputs`` (a hash), if it did.

        Only versions made since ``run_after`` are read, so that the cost does not grow with history.
        """
        since = _stamp(run_after)
        for version in reversed(self.versions(since)):
            try:
                metadata = self.metadata(version)
            except ModelStoreError as error:
                log.error("%s", error)
                continue
            if (metadata["run_id"], metadata["inputs"]) == (run_id, inputs):
                return version
        return None

    def save(self, model: Any, metadata: dict[str, Any], made_at: datetime) -> str:
        """Save a fitted model with its metadata and return its version, named after ``made_at``.

        The version is visible only when whole: on disk by one rename of a staged folder, on object storage
        because ``metadata.json`` is written last.
        """
        import joblib

        buffer = io.BytesIO()
        joblib.dump(model, buffer, compress=3)
        data = buffer.getvalue()
        digest = sha256(data)
        while True:
            version = f"{_stamp(made_at)}-{digest[:8]}"
            record = seal({**metadata, "version": version, "sha256": digest, "size_bytes": len(data)})
            if self._is_free(version, metadata) and self._publish(version, data, record, metadata):
                return version
            made_at += timedelta(seconds=1)  # of two made in one second the second is named after the next

    def _is_free(self, version: str, metadata: dict[str, Any]) -> bool:
        """Tell whether no other version was made in that second."""
        stamp = version[: version.index("-")]
        others = [other for other in self.versions(stamp) if other.startswith(stamp)]
        return not others or (version in others and self._is_of(version, metadata))

    def _is_of(self, version: str, metadata: dict[str, Any]) -> bool:
        """Tell whether a version is what the same run has made from the same inputs."""
        try:
            known = self.metadata(version)
        except ModelStoreError:
            return False
        return all(known.get(name) == metadata.get(name) for name in ("run_id", "inputs"))

    def _publish(self, version: str, data: bytes, record: bytes, metadata: dict[str, Any]) -> bool:
        """Make a version visible, whole; False if there is another run's of that name."""
        target = self.folder(version)
        if not is_local(target):
            if read_with_tag(target / "model.joblib")[0] != data:
                (target / "model.joblib").write_bytes(data)
            try:
                write_if_unchanged(target / "metadata.json", record, "")
            except ChangedError:
                return self._is_of(version, metadata)
            return True
        return self._publish_on_disk(Path(str(target)), data, record, metadata)

    def _publish_on_disk(self, target: Path, data: bytes, record: bytes, metadata: dict[str, Any]) -> bool:
        # What a kill left of this run is cleared; not what another task of the same run_id is writing.
        run = safe_name(metadata["run_id"])
        for left in target.parent.glob(f"{STAGING}{run}-*"):
            if time.time() - left.stat().st_mtime > LEFT_OF_A_RUN_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)
        staging = target.with_name(f"{STAGING}{run}-{uuid.uuid4().hex[:8]}")
        staging.mkdir(parents=True)
        write_synced(staging / "model.joblib", data)
        write_synced(staging / "metadata.json", record)
        sync_folder(staging)
        try:
            staging.rename(target)
        except OSError:  # there is one: a folder with files in it is never replaced
            shutil.rmtree(staging)
            if not target.exists():
                raise
            return self._is_of(target.name, metadata)
        sync_folder(target.parent)
        return True

    def load(self, version: str) -> Any:
        """Return the model of a version. Its SHA-256 is checked first: loading a joblib file runs code.

        A model that another scikit-learn than the installed one has made is loaded, with a warning.
        """
        import warnings
        from importlib.metadata import version as installed_version

        import joblib

        metadata = self.metadata(version)
        data = self._read_model(version, metadata)
        made_with = metadata.get("libraries", {}).get("scikit-learn")
        installed = installed_version("scikit-learn")
        if made_with and made_with != installed:
            log.warning(
                "%s %s was made with scikit-learn %s, and %s is installed: its predictions may differ; "
                "run train_model again",
                *(self.name, version, made_with, installed),
            )
        try:
            with warnings.catch_warnings():
                # Told above, once and not for each part of the model.
                warnings.filterwarnings("ignore", module="sklearn", message="Trying to unpickle")
                return joblib.load(io.BytesIO(data))
        except Exception as error:  # whatever a library of another version raises
            raise ModelStoreError(
                f"{self.name} {version} cannot be loaded by the installed libraries "
                f"({type(error).__name__}: {error}); it was made with {metadata.get('libraries')}"
            ) from error

    def _read_model(self, version: str, metadata: dict[str, Any]) -> bytes:
        """Return a model's file, which is what its record says; ModelStoreError otherwise."""
        path = self.folder(version) / "model.joblib"
        try:
            data = read_whole(path)
        except OSError as error:
            raise ModelStoreError(
                f"{relative_to_project(path)} is missing ({type(error).__name__}); promote another version"
            ) from None
        if sha256(data) != metadata["sha256"]:
            raise ModelStoreError(
                f"{relative_to_project(path)} is not what was saved (its SHA-256 is not in metadata.json); "
                "it was not loaded; promote another version"
            )
        return data

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
        version, previous, *_ = [*self._former_champions(), None, None]
        if version:
            log.error("%s; going on with %s, as the history says that it was promoted last", problem, version)
            return {"version": version, "previous": previous, "lost": True}, tag
        if tag:
            log.error("%s; going on as if there were no champion", problem)
        return None, tag

    def _former_champions(self) -> list[str]:
        """Return all versions that the history says were made champion, the last one first."""
        moved = [entry["version"] for entry in self.history() if entry["verdict"] in MOVES]
        return list(dict.fromkeys(reversed(moved)))

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
        former = self._former_champions()
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
            known = {_key(entry) for entry in self.history()}
            done = _key({"run_id": run_id, "version": version}) in known
            if done and current is not None and champion != version:
                log.warning(
                    "run %s has promoted %s before, and %s is the champion since: it stays",
                    *(run_id, version, champion),
                )
                return current
            moved = ModelStoreError(
                f"the champion of {self.name} is no longer {expect}, as when they were compared; "
                "clear `compare` to compare again"
            )
            if current is not None and champion == version and not lost:
                if current["run_id"] != run_id:
                    self._append()  # nothing moves; only a line that a kill left out may be missing
                    return current
                pointer = current
            elif champion != expect:
                raise moved
            else:
                pointer = {
                    "version": version,
                    "previous": champion if champion != version or not current else current["previous"],
                    "promoted_at": _now(),
                    "run_id": run_id,
                    "reason": reason,
                    "metrics": metadata["metrics"],
                }
                if current is not None and not lost and _key(current) not in known:
                    self._append()  # its line: the task was killed before it could write it
                try:
                    write_if_unchanged(self.root / "champion.json", seal(pointer), tag)
                except ChangedError:
                    raise moved from None
                self._take_back_if_pruned(pointer, current)
            line = {"verdict": verdict, "version": version, "run_id": run_id, "reason": reason}
            self._append({**(details or {}), **line})
        return pointer

    def _take_back_if_pruned(self, pointer: dict[str, Any], before: dict[str, Any] | None) -> None:
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

    def record(self, verdict: str, version: str, *, run_id: str, reason: str, **details: Any) -> None:
        """Write a verdict that moves no pointer into the history: ``kept``, say, and why."""
        with locked(self.root, LOCK_TIMEOUT_S):
            self._append(
                {**details, "verdict": verdict, "version": version, "run_id": run_id, "reason": reason}
            )

    def history(self) -> list[dict[str, Any]]:
        """Return all verdicts, oldest first; a line that is none is left out, with a warning."""
        data, _ = read_with_tag(self.root / "history.jsonl")
        return [entry for _, entry in self._lines(data) if entry is not None]

    def _lines(self, data: bytes | None) -> list[tuple[bytes, dict[str, Any] | None]]:
        """Return each line of a history as it stands, and what it says; None where it is spoilt."""
        found: list[tuple[bytes, dict[str, Any] | None]] = []
        for number, line in enumerate((data or b"").splitlines(), start=1):
            try:
                entry = json.loads(line)
                if not all(isinstance(entry[name], str) for name in ("run_id", "version", "verdict")):
                    raise ValueError("it is no verdict")
            except (ValueError, KeyError, TypeError, RecursionError):
                log.warning("%s/history.jsonl, line %d is spoilt; it is kept as it is", self.root, number)
                entry = None
            found.append((line, entry))
        return found

    def _append(self, *verdicts: dict[str, Any]) -> None:
        """Add lines, and that of a promotion whose task was killed before it could; none twice."""
        path = self.root / "history.jsonl"
        for number in range(APPEND_TRIES):
            data, tag = read_with_tag(path)
            lines = self._lines(data)
            known = {_key(entry) for _, entry in lines if entry is not None}
            fresh = []
            left = self.usable_pointer() or {"lost": True}
            if "lost" not in left and _key(left) not in {*known, *map(_key, verdicts)}:
                told = {name: left.get(name) for name in ("version", "run_id", "reason")}
                fresh.append({"at": left.get("promoted_at"), "verdict": "promoted", **told})
            # However often the run's tasks are cleared; and what has promoted, keeps nothing afterwards.
            fresh += [
                {"at": _now(), **verdict}
                for verdict in verdicts
                if not known & {_key(verdict), _key({**verdict, "verdict": "promoted"})}
            ]
            if not fresh:
                return None
            texts = [json.dumps(one, sort_keys=True, ensure_ascii=False).encode() for one in fresh]
            try:
                return write_if_unchanged(path, b"\n".join([*(line for line, _ in lines), *texts, b""]), tag)
            except ChangedError:
                time.sleep(0.02 * number)
        raise ModelStoreError(f"{relative_to_project(path)} is written by too many at once; try again")

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
                self._remove(version)
            self._remove_leftovers()
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

    def _remove(self, version: str) -> None:
        """Remove a version so that nobody ever sees a part of it."""
        folder = self.folder(version)
        if is_local(folder):
            path = Path(str(folder))
            hidden = path.with_name(f"{PRUNED}{version}")
            path.rename(hidden)
            shutil.rmtree(hidden)
        else:
            with contextlib.suppress(FileNotFoundError):  # another prune is at it
                (folder / "metadata.json").unlink()  # without it there is no version
                folder.fs.rm(folder.path, recursive=True)

    def _remove_leftovers(self) -> None:
        folder = self.root / "versions"
        if not folder.exists():
            return
        limit = datetime.now(UTC) - LEFT_AFTER
        whole = set(self.versions())
        for path in list(folder.iterdir()):
            if is_local(path):
                local = Path(str(path))
                left = path.name.startswith(PRUNED) or (
                    path.name.startswith(STAGING) and local.stat().st_mtime < limit.timestamp()
                )
                if left:
                    shutil.rmtree(local, ignore_errors=True)
            elif path.name not in whole and path.name < _stamp(limit):
                path.fs.rm(path.path, recursive=True)


class SpoiltPointerError(ModelStoreError):
    """``champion.json`` is there and cannot be used; ``tag`` is for replacing it."""

    def __init__(self, text: str, tag: str) -> None:
        """Keep the tag."""
        super().__init__(text)
        self.tag = tag


def _key(entry: dict[str, Any]) -> tuple[Any, Any, bool]:
    """Return what tells one line of the history from another: who, of what, did it move."""
    verdict = entry.get("verdict", "promoted")  # the pointer has none: it was moved
    # A version is pruned once, whoever does it.
    return "" if verdict == "pruned" else entry.get("run_id"), entry.get("version"), verdict in MOVES


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
