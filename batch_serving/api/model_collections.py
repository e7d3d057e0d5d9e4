"""A collection of model files in object storage, as a source: the best score is served, the newest of equals.

A table of a database, ``model_collection`` if no other is named, has a record for each file::

    model, score, file, bucket, sha256, made_at

A file holds plain arrays (``.npz``), and a *loader* makes a model of its bytes: a function that a setting
names by dotted path, below ALLOWED_PACKAGES. What it returns has ``check(rows)``, which yields problems, and
``predict(rows)``, which returns a mapping for each row.
"""

from __future__ import annotations

import hmac
import importlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from batch_serving.api.bodies import Row, Rows
from batch_serving.api.problems import RefusedError, RowProblem
from batch_serving.api.settings import DEFAULT_TABLE
from batch_serving.api.sources import Answer, BrokenVersionError, Reference, SourceAwayError
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import sha256
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import modified_at, read_whole
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import sqlalchemy
    from upath import UPath

ALLOWED_PACKAGES = ("callables.", "examples.")
MOST_CANDIDATES = 20  # records that are looked at for a score that is a number, and where the best is broken
CONNECT_TIMEOUT_S = 10
QUERY = """
SELECT score, file, bucket, sha256, made_at FROM {table}
WHERE model = :model AND score IS NOT NULL ORDER BY score DESC, made_at DESC, file DESC
"""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class CollectedModel(Protocol):
    """What a loader makes of a file's bytes."""

    def check(self, rows: list[Row]) -> Iterable[Any]:
        """Yield what is wrong with rows: mappings with ``row``, ``column``, ``problem`` and ``hint``."""

    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return a mapping of JSON values for each row."""


Loader = Callable[[bytes], CollectedModel]


def find_loader(path: str) -> Loader:
    """Return the function at a dotted path; InvalidValueError if it is not allowed or does not exist."""
    if not path.startswith(ALLOWED_PACKAGES):
        allowed = " or ".join(ALLOWED_PACKAGES)
        raise InvalidValueError(f"loader {path!r} is not allowed", f"name a function below {allowed}")
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise InvalidValueError(f"loader {path!r}: cannot import {module!r}: {error}") from None
    if not callable(found):
        raise InvalidValueError(f"loader {path!r} is not a function", f"correct the name in {module}")
    return found  # type: ignore[no-any-return] # whether it is a loader shows when it is called


class CollectionSource:
    """Follows the best model of a collection."""

    def __init__(self, name: str, database: str, loader: Loader, table: str = DEFAULT_TABLE) -> None:
        """Follow model ``name`` in ``database``, a SQLAlchemy URL or an Airflow connection's name.

        ``table`` goes into SQL as it is: the settings have checked it.
        """
        self.name = name
        self._query = QUERY.format(table=table)
        self._database, self._load = database, loader
        self._engine: sqlalchemy.Engine | None = None

    def current(self) -> Reference | None:
        """Return the best of the collection, None while it is empty."""
        return next(iter(self._candidates()), None)

    def _candidates(self) -> list[Reference]:
        """Return the records, best first; one whose score is not a number is left out."""
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._connected().connect() as connection:
                rows = connection.execute(sqlalchemy.text(self._query), {"model": self.name})
                found = rows.mappings().fetchmany(MOST_CANDIDATES)
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise SourceAwayError(
                f"the collection of {self.name!r} cannot be read: {type(error).__name__}: {reason}"
            ) from error
        return [_reference(dict(row)) for row in found if math.isfinite(float(row["score"]))]

    def _connected(self) -> sqlalchemy.Engine:
        if self._engine is None:
            self._engine = _engine(self.name, self._database)
        return self._engine

    def load(self, reference: Reference) -> CollectedServable:
        """Return the model of a record's file, whose SHA-256 is compared before the loader sees it."""
        data = self._read(reference)
        try:
            return CollectedServable(self._load(data))
        except Exception as error:  # a loader raises what it will
            text = f"{reference.version} cannot be used: {type(error).__name__}: {error}"
            raise BrokenVersionError(text) from error

    def check_file(self, reference: Reference) -> None:
        """Raise BrokenVersionError if a record's file is not what was saved."""
        self._read(reference)

    def _read(self, reference: Reference) -> bytes:
        version = reference.version
        if not _DIGEST.fullmatch(reference.sha256):
            raise BrokenVersionError(f"{version} cannot be used: its record has no SHA-256 of the file")
        try:
            data = read_whole(_path(reference))
        except FileNotFoundError:
            raise BrokenVersionError(f"{version} cannot be used: {reference.place} does not exist") from None
        except UnreachableError as error:
            raise SourceAwayError(str(error)) from error
        except (InvalidValueError, OSError) as error:
            raise BrokenVersionError(f"{version} cannot be used: {error}") from error
        if not hmac.compare_digest(sha256(data), reference.sha256):
            raise BrokenVersionError(
                f"{version} cannot be used: {reference.place} is not what was saved (its SHA-256 is not that "
                "of the record); it was not loaded"
            )
        return data

    def instead(self) -> tuple[Reference, CollectedServable] | None:
        """Return the best version that can be used."""
        for reference in self._candidates():
            try:
                return reference, self.load(reference)
            except BrokenVersionError:
                continue
        return None

    def stamp(self, reference: Reference) -> float | None:
        """Return when the file was written, None if it is gone."""
        try:
            return modified_at(_path(reference))
        except (FileNotFoundError, InvalidValueError):
            return None
        except UnreachableError as error:
            raise SourceAwayError(str(error)) from error

    def is_new_problem(self, serving: str | None, problem: str) -> bool:  # noqa: ARG002 # as a Source
        """Return True: a collection has no place to note what was reported, so each server reports once."""
        return True


class CollectedServable:
    """Gives a loader's model what the server asks of one."""

    def __init__(self, model: CollectedModel) -> None:
        """Take the model; TypeError if it lacks a method."""
        for name in ("check", "predict"):
            if not callable(getattr(model, name, None)):
                raise TypeError(f"what the loader returns has no method {name!r}")
        self._model = model

    def answer(self, rows: Rows) -> Answer:
        """Return what it predicts; RefusedError with what its check yields."""
        problems = [_problem(found) for found in self._model.check(rows.rows)]
        if problems:
            text = f"{counted(len(problems), 'problem')} in {counted(len(rows.rows), 'row')}"
            raise RefusedError(422, text, "correct them", problems)
        found = [dict(one) for one in self._model.predict(rows.rows)]
        if len(found) != len(rows.rows):
            raise ValueError(f"the model predicts {counted(len(found), 'row')} for {len(rows.rows)}")
        if rows.row_id is not None:
            for row, one in zip(rows.rows, found, strict=True):
                one["id"] = row.get(rows.row_id)
        return Answer(found)

    def columns(self) -> Sequence[dict[str, Any]]:
        """Return nothing: only the loader knows."""
        return ()

    def example(self) -> None:
        """Return None: only the loader knows."""


def _problem(found: Any) -> RowProblem:
    """Return a problem of a loader: a mapping, or an object with the same attributes."""
    if isinstance(found, RowProblem):
        return found
    get = found.get if isinstance(found, dict) else lambda name: getattr(found, name, None)
    return RowProblem(get("row"), get("column"), str(get("problem")), str(get("hint") or ""))


def _reference(row: dict[str, Any]) -> Reference:
    digest, file = str(row["sha256"] or "").lower(), str(row["file"])
    place = f"{str(row['bucket']).rstrip('/')}/{file}"
    facts = {"score": float(row["score"]), "file": file, "bucket": str(row["bucket"])}
    # A file may be written again under its name, as the names of equal scores are equal.
    return Reference(f"{file}-{digest[:8]}", place, digest, str(row["made_at"]), facts)


def _path(reference: Reference) -> UPath:
    if ".." in reference.place.split("/"):
        raise InvalidValueError(f"{reference.place!r} has '..' in it", "name the file itself")
    return project_path(reference.place)


def _engine(name: str, database: str) -> sqlalchemy.Engine:
    """Return an engine that does not keep a connection between two looks."""
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    if "://" not in database:
        from batch_serving.shared.airflow import InvalidConnectionError, database_engine

        try:
            return database_engine(database, keep_connections=False)
        except InvalidConnectionError as error:
            raise SourceAwayError(f"the collection of {name!r}: {error}") from error
    try:
        url = sqlalchemy.make_url(database)
        timeout = {} if url.get_backend_name() == "sqlite" else {"connect_timeout": CONNECT_TIMEOUT_S}
        return sqlalchemy.create_engine(
            url, poolclass=sqlalchemy.NullPool, connect_args=timeout, hide_parameters=True
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        # The text of the URL is not shown: it has a password in it.
        raise SourceAwayError(
            f"the URL of the collection of {name!r} cannot be used ({type(error).__name__}); correct "
            "BATCH_SERVE_COLLECTIONS, or make setup EXTRAS=database"
        ) from None
