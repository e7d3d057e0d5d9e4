"""Versioned models below ``output/models/<name>/``, and the pointer to the one in use.

::

    versions/<version>/  model.joblib  metadata.json  holdout_predictions.csv
    champion.json        {"version", "previous", "promoted_at", "run_id", "reason", "metrics"}
    history.jsonl        one line per verdict

A version never changes once it can be seen. The pointer moves last, and only if it still points to what the
mover compared against.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callables._files import (
    is_local,
    output_path,
    relative_to_project,
    safe_name,
    sha256,
    sync_folder,
    to_json,
    write_atomic,
    write_synced,
)

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

STAGING = ".staging-"
LOCK_TIMEOUT_S = 60


class ModelStoreError(Exception):
    """A model or its record is missing, broken or not what the caller thought; says what to do."""


class ModelStore:
    """The versions, the champion and the history of one model name."""

    def __init__(self, name: str) -> None:
        """Open the store of model ``name``; nothing is created until something is saved."""
        if safe_name(name) != name:
            raise ValueError(f"model {name!r} is not a plain name: use letters, digits, '.', '_' and '-'")
        self.name = name
        self.root: UPath = output_path("models", name)

    def folder(self, version: str) -> UPath:
        """Return the folder of one version; a text that is no version's name is refused."""
        if safe_name(version) != version:
            raise ModelStoreError(
                f"model {self.name!r} has no version {version!r}: that is not a version's name"
            )
        return self.root / "versions" / version

    def versions(self, since: str = "") -> list[str]:
        """Return all complete versions in the order in which they were made, from ``since`` on."""
        folder = self.root / "versions"
        if not folder.exists():
            return []
        names = (path.name for path in folder.iterdir() if path.name[:1] != "." and path.name >= since)
        return sorted(name for name in names if (self.folder(name) / "metadata.json").exists())

    def metadata(self, version: str) -> dict[str, Any]:
        """Return the record of one version; ModelStoreError, listing those there are, if it has none."""
        try:
            return json.loads((self.folder(version) / "metadata.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            known = ", ".join(self.versions()[-10:]) or "none"
            raise ModelStoreError(
                f"model {self.name!r} has no version {version!r}; the newest are: {known}"
            ) from None
        except ValueError as error:
            raise ModelStoreError(f"metadata of {self.name} {version} is not JSON: {error}") from error

    def find(self, run_id: str, run_after: datetime, inputs: str) -> str | None:
        """Return the version that this run already made from the same ``inputs`` (a hash), if it did.

        Only versions made since ``run_after`` are read, so that the cost does not grow with history.
        """
        since = _stamp(run_after)
        for version in reversed(self.versions(since)):
            metadata = self.metadata(version)
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
        version = f"{_stamp(made_at)}-{digest[:8]}"
        record = to_json({**metadata, "version": version, "sha256": digest, "size_bytes": len(data)})
        target = self.folder(version)
        if is_local(target):
            self._publish(Path(str(target)), data, record, metadata["run_id"])
        else:
            target.mkdir(parents=True, exist_ok=True)
            (target / "model.joblib").write_bytes(data)
            (target / "metadata.json").write_bytes(record)
        return version

    def _publish(self, target: Path, data: bytes, record: bytes, run_id: str) -> None:
        # One staging folder a run, so that a try after a kill clears what the kill left.
        staging = target.with_name(f"{STAGING}{safe_name(run_id)}")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        write_synced(staging / "model.joblib", data)
        write_synced(staging / "metadata.json", record)
        sync_folder(staging)
        if target.exists():
            shutil.rmtree(staging)
            return
        staging.rename(target)
        sync_folder(target.parent)

    def load(self, version: str) -> Any:
        """Return the model of a version. Its SHA-256 is checked first: loading a joblib file runs code."""
        import joblib

        metadata = self.metadata(version)
        path = self.folder(version) / "model.joblib"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ModelStoreError(
                f"{relative_to_project(path)} is missing; promote another version"
            ) from None
        if sha256(data) != metadata["sha256"]:
            raise ModelStoreError(
                f"{relative_to_project(path)} is not what was saved (its SHA-256 is not in metadata.json); "
                "it was not loaded; promote another version"
            )
        try:
            return joblib.load(io.BytesIO(data))
        except Exception as error:  # whatever a library of another version raises
            raise ModelStoreError(
                f"{self.name} {version} cannot be loaded by the installed libraries "
                f"({type(error).__name__}: {error}); it was made with {metadata.get('libraries')}"
            ) from error

    def champion(self) -> dict[str, Any] | None:
        """Return what ``champion.json`` says, or None before the first promotion."""
        path = self.root / "champion.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ModelStoreError(
                f"{relative_to_project(path)} is not JSON ({error}); trigger promote_model with a version"
            ) from error

    def usable_pointer(self) -> dict[str, Any] | None:
        """Return the champion's pointer, or None where there is none or it cannot be read: then say so."""
        try:
            return self.champion()
        except ModelStoreError as error:
            log.error("%s; going on as if there were no champion", error)
            return None

    def load_champion(self) -> tuple[str, Any] | None:
        """Return (version, model) of the champion, or None before the first promotion.

        A broken champion falls back to the one before it, with an error in the log.
        """
        champion = self.champion()
        if champion is None:
            return None
        try:
            return champion["version"], self.load(champion["version"])
        except ModelStoreError as error:
            previous = champion["previous"]
            if previous is None:
                raise
            log.error(
                "champion %s cannot be used: %s; using %s instead", champion["version"], error, previous
            )
            return previous, self.load(previous)

    def promote(
        self, version: str, *, expect: str | None, run_id: str, reason: str, verdict: str = "promoted"
    ) -> dict[str, Any]:
        """Make ``version`` the champion, if the champion still is ``expect``, and return the new pointer.

        A second call of the same run changes nothing. Raises ModelStoreError when somebody else moved the
        pointer in between, or when the version is not whole.
        """
        metadata = self.metadata(version)
        with self._locked():
            current = self.usable_pointer()
            current_version = current["version"] if current else None
            if current is not None and current_version == version:
                pointer = current
            elif current_version != expect:
                raise ModelStoreError(
                    f"the champion of {self.name} is {current_version}, not {expect} as when they were "
                    "compared; clear `compare` to compare again"
                )
            else:
                pointer = {
                    "version": version,
                    "previous": current_version,
                    "promoted_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "run_id": run_id,
                    "reason": reason,
                    "metrics": metadata["metrics"],
                }
                write_atomic(self.root / "champion.json", to_json(pointer))
            self._append({"verdict": verdict, "version": version, "run_id": run_id, "reason": reason})
        return pointer

    def record_kept(self, version: str, *, run_id: str, reason: str) -> None:
        """Write into the history that ``version`` did not become the champion, and why."""
        with self._locked():
            self._append({"verdict": "kept", "version": version, "run_id": run_id, "reason": reason})

    def history(self) -> list[dict[str, Any]]:
        """Return all verdicts, oldest first."""
        path = self.root / "history.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def _append(self, verdict: dict[str, Any]) -> None:
        entries = self.history()
        # One line a run and version, however often the run's tasks are cleared.
        if any(
            (entry["run_id"], entry["version"]) == (verdict["run_id"], verdict["version"])
            for entry in entries
        ):
            return
        entries.append({"at": datetime.now(UTC).isoformat(timespec="seconds"), **verdict})
        lines = "".join(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n" for entry in entries)
        write_atomic(self.root / "history.jsonl", lines.encode())

    def _locked(self) -> AbstractContextManager[Any]:
        if not is_local(self.root):
            return nullcontext()
        from filelock import FileLock

        Path(str(self.root)).mkdir(parents=True, exist_ok=True)
        return FileLock(str(self.root / ".lock"), timeout=LOCK_TIMEOUT_S)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
