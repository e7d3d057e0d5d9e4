"""The versions of a model, as they are read: each is whole, and never changes once it can be seen.

::

    output/models/<name>/versions/<version>/  model.joblib  metadata.json  holdout_predictions.csv  card.html
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import sha256, unseal
from batch_serving.shared.paths import output_path, relative_to_project, safe_name
from batch_serving.shared.reading import folders_in, folders_with, modified_at, read_whole
from batch_serving.shared.suggestions import did_you_mean

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

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
            known = self.versions()
            newest = f"the newest are: {', '.join(known[:-11:-1]) or 'none'}"
            hint = did_you_mean(version, known) or newest
            raise ModelStoreError(f"model {self.name!r} has no version {version!r}; {hint}") from None
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
