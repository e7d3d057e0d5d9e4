"""The versions of a model: each is saved whole or not at all, and never changes once it can be seen.

::

    output/models/<name>/versions/<version>/  model.joblib  metadata.json  holdout_predictions.csv  card.html
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import (
    ChangedError,
    delete,
    read_with_tag,
    seal,
    sha256,
    sync_folder,
    unseal,
    write_atomic,
    write_if_unchanged,
    write_synced,
)
from batch_serving.shared.paths import is_local, output_path, relative_to_project, safe_name
from batch_serving.shared.reading import (
    entries,
    exists,
    folders_in,
    folders_with,
    modified_at,
    reached,
    read_whole,
)
from batch_serving.shared.unreachable import UnreachableError

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

STAGING = ".staging-"
PRUNED = ".pruned-"
STALE_RUN_AFTER_S = 3600  # no save takes this long
STALE_AFTER = timedelta(days=1)  # what is unfinished for this long is never finished
HOLDOUT_PREDICTIONS = "holdout_predictions.csv"
HOLDOUT_COLUMNS = ("row_id", "actual", "prediction", "probability")


class ModelStoreError(Exception):
    """A model or its record is missing, broken or not what the caller expected; says what to do."""


def check_model_name(name: str) -> None:
    """Raise InvalidValueError for a text that cannot be the name of a model."""
    if not name or safe_name(name) != name:
        raise InvalidValueError(
            f"model {name!r} is not a plain name", "use letters, digits, '.', '_' and '-'"
        )


class ModelVersions:
    """The versions of one model name."""

    def __init__(self, name: str) -> None:
        """Open the store of model ``name``; nothing is created until something is saved."""
        check_model_name(name)
        self.name = name
        self.root: UPath = output_path("models", name)

    @staticmethod
    def names() -> list[str]:
        """Return the names of all models that have a store."""
        found = [path.name for path in folders_in(output_path("models"))]
        return sorted(name for name in found if safe_name(name) == name)

    def folder(self, version: str) -> UPath:
        """Return the folder of one version; ModelStoreError for a text that cannot be a version."""
        if not version or safe_name(version) != version:
            raise ModelStoreError(
                f"model {self.name!r} has no version {version!r}: it is not a valid version"
            )
        return self.root / "versions" / version

    def versions(self, since: str = "") -> list[str]:
        """Return all complete versions, oldest first, from ``since`` on."""
        return folders_with(self.root / "versions", "metadata.json", since)

    def metadata(self, version: str) -> dict[str, Any]:
        """Return the record of one version; ModelStoreError, with the known versions, if there is none."""
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
                f"{relative_to_project(path)} is corrupt ({error}); promote another version"
            ) from None
        if not isinstance(record.get("sha256"), str) or not isinstance(record.get("metrics"), dict):
            raise ModelStoreError(
                f"{relative_to_project(path)} is corrupt (it is not a record); promote another version"
            )
        if record.get("version") != version:
            raise ModelStoreError(
                f"{relative_to_project(path)} is the record of version {record.get('version')!r}; "
                "promote another version"
            )
        return record

    def find(self, run_id: str, run_after: datetime, inputs: str) -> str | None:
        """Return the version that this run has already made from the same ``inputs`` (a hash), or None.

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
            made_at += timedelta(seconds=1)  # the second version of one second gets the name of the next

    def _is_free(self, version: str, metadata: dict[str, Any]) -> bool:
        """Return whether no other version was made in that second."""
        stamp = version[: version.index("-")]
        others = [other for other in self.versions(stamp) if other.startswith(stamp)]
        return not others or (version in others and self._is_of(version, metadata))

    def _is_of(self, version: str, metadata: dict[str, Any]) -> bool:
        """Return whether the same run has made a version from the same inputs."""
        try:
            known = self.metadata(version)
        except ModelStoreError:
            return False
        return all(known.get(name) == metadata.get(name) for name in ("run_id", "inputs"))

    def _publish(self, version: str, data: bytes, record: bytes, metadata: dict[str, Any]) -> bool:
        """Make a version visible as a whole; False if another run has made one of that name."""
        target = self.folder(version)
        if not is_local(target):
            if read_with_tag(target / "model.joblib")[0] != data:
                write_atomic(target / "model.joblib", data)
            try:
                write_if_unchanged(target / "metadata.json", record, "")
            except ChangedError:
                return self._is_of(version, metadata)
            return True
        with reached(Path(str(target)), "written"):
            return self._publish_on_disk(Path(str(target)), data, record, metadata)

    def _publish_on_disk(self, target: Path, data: bytes, record: bytes, metadata: dict[str, Any]) -> bool:
        # Clear what a kill left of this run, but not what another task of the same run_id is writing.
        run = safe_name(metadata["run_id"])
        for left in _starting_with(self.folder(target.name).parent, f"{STAGING}{run}-"):
            with contextlib.suppress(FileNotFoundError):  # another task has just published it
                if time.time() - left.stat().st_mtime > STALE_RUN_AFTER_S:
                    shutil.rmtree(left, ignore_errors=True)
        staging = target.with_name(f"{STAGING}{run}-{uuid.uuid4().hex[:8]}")
        staging.mkdir(parents=True)
        write_synced(staging / "model.joblib", data)
        write_synced(staging / "metadata.json", record)
        sync_folder(staging)
        try:
            staging.rename(target)
        except OSError:  # it exists: a rename never replaces a folder with files in it
            shutil.rmtree(staging)
            if not target.exists():
                raise
            return self._is_of(target.name, metadata)
        sync_folder(target.parent)
        return True

    def load(self, version: str) -> Any:
        """Return the model of a version. Its SHA-256 is checked first: loading a joblib file runs code.

        A model that was saved by another version of scikit-learn is loaded, with a warning.
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
                "%s %s was trained with scikit-learn %s, but %s is installed: its predictions may differ; "
                "run train_model again",
                self.name,
                version,
                made_with,
                installed,
            )
        try:
            with warnings.catch_warnings():
                # Reported above, once and not for each part of the model.
                warnings.filterwarnings("ignore", module="sklearn", message="Trying to unpickle")
                return joblib.load(io.BytesIO(data))
        except Exception as error:  # anything that another version of a library raises
            raise ModelStoreError(
                f"{self.name} {version} cannot be loaded by the installed libraries "
                f"({type(error).__name__}: {error}); it was trained with {metadata.get('libraries')}"
            ) from error

    def check_file(self, version: str) -> None:
        """Raise ModelStoreError if a version's file is not what was saved; nothing is loaded."""
        self._read_model(version, self.metadata(version))

    def file_stamp(self, version: str) -> float | None:
        """Return a number that changes when a version's file does, without reading it; None if it is gone."""
        try:
            return modified_at(self.folder(version) / "model.joblib")
        except FileNotFoundError:
            return None

    def _read_model(self, version: str, metadata: dict[str, Any]) -> bytes:
        """Return the content of a model's file; ModelStoreError if it is not what the record says."""
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

    def remove(self, version: str) -> None:
        """Remove a version so that no reader ever sees a part of it."""
        folder = self.folder(version)
        if is_local(folder):
            path = Path(str(folder))
            # A unique name: what a killed prune left of a version of the same name must not be in the way.
            hidden = path.with_name(f"{PRUNED}{version}-{uuid.uuid4().hex[:8]}")
            with reached(path, "deleted"):
                path.rename(hidden)
            delete(folder.with_name(hidden.name))
        else:
            with contextlib.suppress(FileNotFoundError):  # another prune removes it
                delete(folder / "metadata.json")  # without it there is no version
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


def _starting_with(folder: UPath, start: str) -> list[Path]:
    """Return what a local folder has whose names begin so."""
    return [Path(str(entry.path)) for entry in entries(folder) if entry.name.startswith(start)]


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
