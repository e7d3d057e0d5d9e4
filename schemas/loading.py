"""The loader: each file without an error becomes DAGs through dag-factory, each other one an import error."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.exceptions import AirflowTaskTimeout

from batch_serving.shared.mysql_client import use_pymysql
from schemas.airflow_internals import BrokenConfig
from schemas.building import build_dags
from schemas.cache import Passed, note_pass
from schemas.documents.examples import chosen_examples
from schemas.documents.reading import Document, DocumentError, find_defaults
from schemas.documents.rules import REFUSED
from schemas.ownership import Ownership, Source
from schemas.problems import ERROR, Problem


def load_dags(folder: Path, namespace: dict[str, Any], examples: Path | None = None) -> None:
    """Put the DAGs of all YAML files below ``folder`` into ``namespace``, a module's ``globals()``.

    Those of the chosen folders of ``examples``, too (``schemas.documents.examples``); of two DAGs with one
    dag_id that of ``folder`` counts. Never raises. When a task runs, only the file of its DAG is loaded.
    """
    use_pymysql()  # each process that runs a task loads its DAG first
    wanted = get_parsing_context().dag_id
    with _no_garbage_collection():
        for loader in _loaders(folder, examples):
            found = loader.load_all() if wanted is None else loader.load_one(wanted)
            for dag in (dag for loaded in found for dag in loaded.as_dags()):
                namespace.setdefault(dag.dag_id, dag)
            if wanted is not None and found:
                return


def _loaders(folder: Path, examples: Path | None) -> Iterator[Loader]:
    yield Loader(folder)
    if examples is not None and (chosen := chosen_examples(examples)):
        yield Loader(examples, chosen, "examples")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python from searching for garbage among DAGs that stay, during the load and right after it.

    A search among 100 DAGs of 20 tasks takes 30 ms. What is frozen and unfrozen counts as old, and is part of
    full searches only.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


class Loaded(NamedTuple):
    """What one file gives: its DAGs, or the problems for which it gives none."""

    path: Path
    name: str  # the path as shown to people
    dags: Sequence[DAG] = ()
    problems: Sequence[Problem] = ()

    def as_dags(self) -> Sequence[DAG]:
        """Return the DAGs, or one that makes Airflow show the problems."""
        if not self.problems:
            return self.dags
        from schemas.reports.formats import as_text

        return [BrokenConfig(self.name, as_text(self.problems))]


class Loader:
    """Loads the files of one folder, or of some folders in it; what passed the checks before is only built.

    A file passed in one form: with its text, the texts of its defaults files, and everything that the checks
    look at. If one of these has changed, the file is checked again.
    """

    def __init__(self, folder: Path, only: Sequence[Path] = (), purpose: str = "loaded") -> None:
        """Read what passed before, kept for this purpose. ``only``: the folders in it that are loaded."""
        self._folder = folder
        self._passed = Passed(purpose)
        self._ownership = Ownership(only or [folder], self._passed.places, self._dag_ids_in)
        self._defaults: dict[Path, list[Source]] = {}  # of each folder

    def load_all(self) -> list[Loaded]:
        """Return what each file gives, and save what passed."""
        note_pass()
        found = [self.load(Source(Path(file)), among_all=True) for file in self._ownership.files]
        owners = {dag_id: str(path) for dag_id, path in self._ownership.owners.items()}
        broken = {str(loaded.path) for loaded in found if loaded.problems}
        # No copy takes over what a broken file had, even if its dag_ids cannot be read now.
        kept = {dag_id: place for dag_id, place in self._passed.places.items() if place in broken}
        self._passed.places = kept | owners
        self._passed.save()
        return found

    def load_one(self, dag_id: str) -> list[Loaded]:
        """Return what the file of one DAG gives; nothing if no file has it."""
        source = self._ownership.find(dag_id)
        return [] if source is None else [self.load(source)]

    def load(self, source: Source, *, among_all: bool = False) -> Loaded:
        """Return what one file gives. ``among_all``: all files are loaded, and some may have the same DAG."""
        try:
            return self._load(source, among_all)
        except FileNotFoundError:  # removed since the folder was listed: it has no DAGs
            return Loaded(source.path, source.name)
        except DocumentError as error:
            problems = list(error.problems)
        except (KeyboardInterrupt, AirflowTaskTimeout):  # meant for the whole pass
            raise
        except BaseException as error:  # whatever a file or a callable does, the others load
            reason = f"{type(error).__name__}: {error}"
            problems = [REFUSED.at_text(source.name, 1, 1, reason)]
        return Loaded(source.path, source.name, problems=problems)

    def _load(self, source: Source, among_all: bool) -> Loaded:
        key = self._key(source)
        if key in self._passed:
            with suppress(DocumentError):  # it passed and cannot be built: it is checked again
                return self._build(source, self._passed.data(key), among_all)
        return self._check_and_build(source, key, among_all)

    def _build(self, source: Source, data: dict[str, Any] | None, among_all: bool) -> Loaded:
        document = source.quick_document(data)
        if among_all and (problems := self._duplicates(source, document)):
            return Loaded(source.path, source.name, problems=problems)
        defaults = [found.known_document for found in self._defaults_of(source.path)]
        return Loaded(source.path, source.name, build_dags(document, defaults, store=False))

    def _check_and_build(self, source: Source, key: str, among_all: bool) -> Loaded:
        defaults = [found.document for found in self._defaults_of(source.path)]
        document = source.document.with_defaults(defaults)
        check = self._validation.check_document
        problems = [problem for checked in (document, *defaults) for problem in check(checked)]
        errors = [problem for problem in problems if problem.severity == ERROR]
        if among_all:
            errors += self._duplicates(source, document)
        if errors:
            return Loaded(source.path, source.name, problems=errors)
        dags = build_dags(document, defaults)
        self._passed.add(key, document.data)
        return Loaded(source.path, source.name, dags)

    def _duplicates(self, source: Source, document: Document) -> list[Problem]:
        """Return a problem for each DAG of a file that belongs to another file."""
        owners = [self._ownership.owner(dag_id, source.path) for dag_id in document.dags]
        if all(owner == source.path for owner in owners):
            return []
        return list(self._validation.check_taken(source.document, self._ownership.owners))

    def _key(self, source: Source) -> str:
        """Return the key of what the checks look at: it passed, or not, as a whole."""
        return Passed.key(source.name, [source.raw, *(found.raw for found in self._defaults_of(source.path))])

    def _dag_ids_in(self, source: Source) -> Collection[str]:
        key = self._key(source)
        data = self._passed.data(key) if key in self._passed else None
        return source.document.dags if data is None else data

    def _defaults_of(self, path: Path) -> list[Source]:
        if path.parent not in self._defaults:
            found = [Source(defaults) for defaults in find_defaults(path, self._folder)]
            self._defaults[path.parent] = [source for source in found if source.exists()]
        return self._defaults[path.parent]

    @cached_property
    def _validation(self) -> ModuleType:
        """The checks, which take 45 ms to import, and are needed only for a file that changed."""
        from schemas import validation
        from schemas.catalog.imports import forget_failures

        forget_failures()
        return validation
