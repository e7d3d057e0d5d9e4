"""Saving a version: a run makes one from the same inputs, whatever is killed, repeated or done twice at once.

A version is named after the time when it was made and a hash of its run and inputs. On disk a lock keeps
others out while a folder gets its name. On object storage ``runs/<hash>.json``, which only the first of
several tries can write, has the version's record: whoever finds it finishes that version, and makes no other.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_serving.registry.versions import ModelStoreError, ModelVersions
from batch_serving.shared.files import (
    ChangedError,
    delete,
    delete_if_unchanged,
    locked,
    make_folder,
    read_with_tag,
    seal,
    sha256,
    sync_folder,
    to_json,
    unseal,
    write_if_unchanged,
    write_synced,
)
from batch_serving.shared.object_storage import as_patient_as_a_write
from batch_serving.shared.paths import is_local, safe_name
from batch_serving.shared.reading import entries, exists, modified_at, reached
from batch_serving.shared.unreachable import UnreachableError

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

STAGING = ".staging-"
PRUNED = ".pruned-"
BEING_PRUNED = "being-pruned"
STALE_RUN_AFTER_S = 3600  # no save takes this long
STALE_AFTER = timedelta(days=1)  # what is unfinished for this long is never finished
LOCK_TIMEOUT_S = 60

Record = dict[str, Any]


class SavedVersions(ModelVersions):
    """The versions of one model name, as they are made and removed."""

    def find(self, run_id: str, run_after: datetime, inputs: str) -> str | None:
        """Return the version that this run has already made from the same ``inputs`` (a hash), or None.

        Only versions made since ``run_after`` are read, so that the cost does not grow with history.
        """
        made = {"run_id": run_id, "inputs": inputs}
        if not is_local(self.root) and (begun := self._finish(made)) is not None:
            return begun
        ending = _ending_of(made)
        newest_first = reversed(self.versions(_stamp(run_after)))
        versions = sorted(newest_first, key=lambda version: not version.endswith(ending))
        return next(self._made_by(made, versions), None)

    def _made_by(self, made: Record, versions: list[str]) -> Iterator[str]:
        """Yield those of the versions that the same run has made from the same inputs."""
        for version in versions:
            try:
                known = self.metadata(version)
            except ModelStoreError as error:
                log.error("%s", error)
                continue
            if all(known.get(name) == made[name] for name in ("run_id", "inputs")):
                yield version

    def save(self, model: Any, metadata: Record, made_at: datetime) -> str:
        """Save a fitted model with its metadata and return its version, named after ``made_at``.

        If the same run has made a version from the same inputs meanwhile, in an earlier try or in one that
        goes on beside this one, that version is returned, and this model is not kept. The version is visible
        only when whole.
        """
        import joblib

        buffer = io.BytesIO()
        joblib.dump(model, buffer, compress=3)
        data = buffer.getvalue()
        record = {**metadata, "sha256": sha256(data), "size_bytes": len(data)}
        if is_local(self.root):
            root = Path(str(self.root))
            with reached(root, "written"):
                return self._save_on_disk(root / "versions", data, record, made_at)
        with as_patient_as_a_write():  # or a storage that is away for half a minute costs the training
            return self._save_elsewhere(data, record, made_at)

    def _save_on_disk(self, folder: Path, data: bytes, record: Record, made_at: datetime) -> str:
        # Clear what a kill left of this run, but not what another task of the same run_id is writing.
        run = safe_name(record["run_id"])
        for left in _starting_with(self.root / "versions", f"{STAGING}{run}-"):
            with contextlib.suppress(FileNotFoundError):  # another task has just published it
                if time.time() - left.stat().st_mtime > STALE_RUN_AFTER_S:
                    shutil.rmtree(left, ignore_errors=True)
        staging = folder / f"{STAGING}{run}-{uuid.uuid4().hex[:8]}"
        make_folder(staging)
        try:
            write_synced(staging / "model.joblib", data)
            with locked(self.root, LOCK_TIMEOUT_S):
                ending = _ending_of(record)
                names = [entry.name for entry in entries(self.root / "versions")]
                same = [name for name in names if name.endswith(ending) and not name.startswith(".")]
                made = next(self._made_by(record, same), None)
                if made is not None:
                    return self._is_there_already(made, record)
                version = _free_name(made_at, ending, names)
                write_synced(staging / "metadata.json", seal({**record, "version": version}))
                sync_folder(staging)
                staging.rename(folder / version)
                sync_folder(folder)
                return version
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _is_there_already(self, version: str, record: Record) -> str:
        log.info("run %s has made %s %s meanwhile: it stays", record["run_id"], self.name, version)
        return version

    def _save_elsewhere(self, data: bytes, record: Record, made_at: datetime) -> str:
        while True:
            if (begun := self._finish(record)) is not None:
                return self._is_there_already(begun, record)
            since = _stamp(made_at)
            names = [entry.name for entry in entries(self.root / "versions") if entry.name >= since]
            version = _free_name(made_at, _ending_of(record), names)
            try:
                write_if_unchanged(self.folder(version) / "model.joblib", data, "")
            except ChangedError:  # another try of this run, in the same second
                made_at += timedelta(seconds=1)
                continue
            whole = seal({**record, "version": version})
            try:
                write_if_unchanged(self._begun(record), whole, "")
            except ChangedError:
                self._drop(version, record)
                continue
            self._complete(version, whole)
            return version

    def _begun(self, made: Record) -> UPath:
        """Return where the record of the version is that a run makes, on object storage."""
        return self.root / "runs" / f"{_hash_of(made)[:16]}.json"

    def _finish(self, made: Record) -> str | None:
        """Return the version that a try of this run has begun, made visible if need be; None without one.

        Its model is whole: it is written before the record. If it is gone, the version was pruned or cleaned
        up, and the record goes as well.
        """
        path = self._begun(made)
        data, tag = read_with_tag(path)
        if data is None:
            return None
        # The run makes another version if the record is corrupt.
        with contextlib.suppress(ValueError, KeyError, RecursionError, ModelStoreError):
            version = str(unseal(data)["version"])
            if exists(self.folder(version) / "metadata.json"):
                self.metadata(version)  # one that is corrupt is not found
                return version
            if self._complete_unless_pruned(version, data):
                return version
        delete_if_unchanged(path, tag)
        return None

    def _complete_unless_pruned(self, version: str, whole: bytes) -> bool:
        """Make a version visible, and return whether it is; not if a prune is removing it."""
        folder = self.folder(version)
        if not exists(folder / "model.joblib") or exists(folder / BEING_PRUNED):
            return False
        self._complete(version, whole)
        if exists(folder / "model.joblib"):
            return True
        delete(folder / "metadata.json")  # the prune deleted the model in between
        return False

    def _complete(self, version: str, whole: bytes) -> None:
        with contextlib.suppress(ChangedError):  # another try has written the same
            write_if_unchanged(self.folder(version) / "metadata.json", whole, "")

    def _drop(self, version: str, record: Record) -> None:
        """Remove a model that was not needed, unless it is the one that counts."""
        data, _ = read_with_tag(self._begun(record))
        with contextlib.suppress(ValueError, KeyError, RecursionError):
            if data is not None and unseal(data)["version"] != version:
                delete(self.folder(version))

    def remove(self, version: str) -> None:
        """Remove a version so that no reader ever sees a part of it."""
        folder = self.folder(version)
        if is_local(folder):
            path = Path(str(folder))
            # A unique name: what a killed prune left of a version of the same name must not be in the way.
            hidden = path.with_name(f"{PRUNED}{version}-{uuid.uuid4().hex[:8]}")
            with reached(path, "deleted"):
                path.rename(hidden)
                # Before its files go: a power loss must not leave a version without them.
                sync_folder(path.parent)
            delete(folder.with_name(hidden.name))
            return
        with contextlib.suppress(ModelStoreError):  # without a record that can be read, it is never found
            delete(self._begun(self.metadata(version)))
        with contextlib.suppress(FileNotFoundError):  # another prune removes it
            delete(folder / "metadata.json")  # the version is gone with it
            # Before the mark: a try that goes on would finish a version that has a model and no mark.
            delete(folder / "model.joblib")
            delete(folder)

    def remove_unfinished(self) -> None:
        """Remove what killed tasks left long ago."""
        limit = datetime.now(UTC) - STALE_AFTER
        for path in [entry.path for entry in entries(self.root / "versions")]:
            try:
                if self._is_left(path, limit):
                    delete(path)
            except FileNotFoundError:
                continue  # another run removes it
            except UnreachableError as error:
                log.warning("%s; the next run tries again", error)

    def _is_left(self, path: UPath, limit: datetime) -> bool:
        """Return whether a folder is what a killed task left.

        On object storage, what has no record; it is asked for by its name, for a listing could be incomplete.
        """
        if not is_local(path):
            return path.name < _stamp(limit) and not exists(path / "metadata.json")
        is_old = path.name.startswith(STAGING) and modified_at(path) < limit.timestamp()
        return is_old or path.name.startswith(PRUNED)


def _free_name(made_at: datetime, ending: str, names: list[str]) -> str:
    """Return the name of a new version: the second one of a second gets that of the next."""
    taken = {name.partition("-")[0] for name in names}
    while _stamp(made_at) in taken:
        made_at += timedelta(seconds=1)
    return f"{_stamp(made_at)}{ending}"


def _hash_of(made: Record) -> str:
    """Return what stands for a run and its inputs."""
    return sha256(to_json([made.get("run_id"), made.get("inputs")]))


def _ending_of(made: Record) -> str:
    """Return how the names of a run's versions end."""
    return f"-{_hash_of(made)[:8]}"


def _starting_with(folder: UPath, start: str) -> list[Path]:
    """Return what a local folder has whose names begin so."""
    return [Path(str(entry.path)) for entry in entries(folder) if entry.name.startswith(start)]


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
