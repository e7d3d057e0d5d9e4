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

from callables._files import (
    ChangedError,
    is_local,
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
LEFT_OF_A_RUN_AFTER_S = 3600  # no save takes so long
LEFT_AFTER = timedelta(days=1)  # what is half done for so long will never be finished
HOLDOUT_PREDICTIONS = "holdout_predictions.csv"
HOLDOUT_COLUMNS = ("row_id", "actual", "prediction", "probability")


class ModelStoreError(Exception):
    """A model or its record is missing, broken or not what the caller thought; says what to do."""


class ModelVersions:
    """The versions of one model name."""

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

    def remove(self, version: str) -> None:
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

    def remove_leftovers(self) -> None:
        """Remove what kills left half done long ago."""
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


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
