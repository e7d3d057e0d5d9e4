"""The champion of a model in the store, as a source: ``champion.json`` says which version is the one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from batch_serving.api.problems import RefusedError
from batch_serving.api.sources import BrokenVersionError, Reference, SourceAwayError
from batch_serving.api.table_model import TableModel
from batch_serving.registry.store import Loaded, ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.unreachable import UnreachableError

log = logging.getLogger(__name__)


class ChampionSource:
    """Follows the champion of one model of the store, on disk or on object storage."""

    def __init__(self, name: str) -> None:
        """Follow model ``name``; InvalidValueError for a text that cannot be one."""
        self.name = name
        self._store = ModelStore(name)

    def current(self) -> Reference | None:
        """Return the champion; BrokenVersionError for a pointer that is corrupt, or has been lost."""
        with _as_source_errors():
            pointer = self._store.champion()
            if pointer is None:
                if self._store.has_had_champion():
                    raise BrokenVersionError(self._store.missing_pointer())
                return None
            try:
                record = self._store.metadata(pointer.version)
            except ModelStoreError as error:
                # The same text as predict_rows reports, so that Slack gets one message from both.
                raise BrokenVersionError(f"{pointer.version} cannot be used: {error}") from error
        return self._reference(record, pointer.promoted_at, pointer.previous, pointer.reason)

    def _reference(
        self,
        record: dict[str, Any],
        since: str | None,
        previous: str | None = None,
        reason: str | None = None,
    ) -> Reference:
        place = relative_to_project(self._store.folder(record["version"]) / "model.joblib")
        facts = {
            "metrics": record["metrics"],
            "previous": previous,
            "reason": reason,
            **{name: record.get(name) for name in ("estimator", "target", "row_id", "trained_at")},
        }
        return Reference(record["version"], place, record["sha256"], since, facts)

    def load(self, reference: Reference) -> TableModel:
        """Return the model of a version, whose SHA-256 is compared before it is unpickled, and tried out."""
        with _as_source_errors(f"{reference.version} cannot be used: "):
            record = self._store.metadata(reference.version)
            return _tried_out(self._store.load(reference.version), record)

    def instead(self) -> tuple[Reference, TableModel] | None:
        """Return the version that predict_rows falls back to: the one before, or what the history says."""
        with _as_source_errors():
            found = self._store.load_champion()
            if found is None:
                return None
            record = self._store.metadata(found.version)
            return self._reference(record, None), _tried_out(found.model, record)

    def stamp(self, reference: Reference) -> float | None:
        """Return when the model's file was written, None if it is gone."""
        with _as_source_errors():
            return self._store.file_stamp(reference.version)

    def check_file(self, reference: Reference) -> None:
        """Raise BrokenVersionError if the record or the file of a version is not what was saved."""
        with _as_source_errors(f"{reference.version} cannot be used: "):
            self._store.check_file(reference.version)

    def is_new_problem(self, serving: str | None, problem: str) -> bool:
        """Return whether neither predict_rows nor another server has reported this problem yet."""
        if serving is None:
            return True
        try:
            return self._store.is_new_problem(Loaded(serving, None, problem))
        except (UnreachableError, OSError) as error:
            log.warning("%s: it cannot be noted that a problem is reported: %s", self.name, error)
            return True


def champion_names() -> list[str]:
    """Return the names of the models in the store; SourceAwayError if it cannot be read."""
    with _as_source_errors():
        return ModelStore.names()


def _tried_out(model: Any, record: dict[str, Any]) -> TableModel:
    """Return a model that has predicted one row: what cannot is not exchanged for a model that can."""
    version = record["version"]
    try:
        found = TableModel(model, record)
        found.try_out()
    except RefusedError as error:
        shown = "; ".join(one.problem for one in error.problems[:1]) or error.error
        raise BrokenVersionError(f"{version} cannot be used: {shown}; promote another version") from error
    except Exception as error:  # a record of another form, or an estimator that raises anything
        text = f"{type(error).__name__}: {error}"
        raise BrokenVersionError(f"{version} cannot be used: {text}; promote another version") from error
    return found


@contextmanager
def _as_source_errors(before: str = "") -> Iterator[None]:
    """Raise what a store raises as what all sources raise."""
    try:
        yield
    except ModelStoreError as error:
        raise BrokenVersionError(f"{before}{error}") from error
    except UnreachableError as error:
        raise SourceAwayError(str(error)) from error
    except OSError as error:
        raise SourceAwayError(f"{type(error).__name__}: {error}") from error
