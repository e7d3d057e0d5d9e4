"""The loader: every file that is right becomes DAGs through dag-factory, every other one an import error."""

from __future__ import annotations

import gc
import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, reduce
from pathlib import Path
from typing import Any

import jinja2
from airflow.exceptions import SerializationError
from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.exceptions import AirflowTaskTimeout

from schemas.cache import Passed
from schemas.diagnostics import ERROR, Diagnostic, as_text
from schemas.documents import (
    Document,
    DocumentError,
    decode_document,
    display_name,
    find_defaults,
    find_files,
    quick_document,
    read_document,
)
from schemas.graph_checks import BROKEN_PREFIX
from schemas.merging import merge
from schemas.operators import forget_failures, resolve
from schemas.tasks import tasks_of
from schemas.validation import check_document, duplicate_dags

# Arguments that Airflow's DAG has and dag-factory drops without a word: set after the build.
DROPPED_BY_DAG_FACTORY = (
    "allowed_run_types",
    "deadline",
    "disable_bundle_versioning",
    "fail_fast",
    "jinja_environment_kwargs",
    "max_consecutive_failed_dag_runs",
    "owner_links",
    "rerun_with_latest_version",
)
# dag-factory reports each run of a DAG with this tag to its makers. It adds the tag itself.
TELEMETRY_TAG = "dagfactory"


class ConfigError(SerializationError):
    """A DAG file with errors; the text is all of its diagnostics.

    Airflow would wrap any other kind of error in this one, and show the text twice.
    """


class BrokenConfig(DAG):
    """Stands in for a file with errors, so that Airflow shows them under that file's own path.

    Airflow files an error in turning a DAG into its stored form under the DAG's ``relative_fileloc``, and
    goes on with the module's other DAGs; an error raised at import would take all of them down. The tests
    hold Airflow to it.
    """

    def __init__(self, file: str, diagnostics: list[Diagnostic]) -> None:
        """Keep what to say about ``file``, a path as people name it."""
        self._file = file
        self._text = as_text(diagnostics)
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file).stem)[:100]
        digest = hashlib.sha256(file.encode()).hexdigest()[:8]
        super().__init__(dag_id=f"{BROKEN_PREFIX}{slug}-{digest}", schedule=None)

    @property
    def relative_fileloc(self) -> str:
        """The YAML's path, whatever Airflow sets."""
        return self._file

    @relative_fileloc.setter
    def relative_fileloc(self, value: str | None) -> None:
        """Ignore the path of the module that Airflow loaded."""

    def get_serialized_fields(self) -> frozenset[str]:
        """Raise the file's problems: Airflow asks for the fields when it stores a DAG."""
        raise ConfigError(f"\n{self._text}") from None


def load_dags(folder: Path, namespace: dict[str, Any]) -> None:
    """Put the DAGs of all YAML files below ``folder`` into ``namespace``, a module's ``globals()``.

    Never raises. When a task runs, only the file that holds its DAG is read.
    """
    wanted = get_parsing_context().dag_id
    loader = _Loader(folder)
    with _no_garbage_collection():
        for path in loader.all_files() if wanted is None else loader.files_with(wanted):
            namespace.update({dag.dag_id: dag for dag in loader.load(path)})
    if wanted is None:
        loader.passed.places = loader.places
        loader.passed.save()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python from looking for garbage among DAGs that stay: with 1,000 it would do so often."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Loader:
    """What one pass over the files shares: what has passed before, defaults, and who has which dag_id."""

    def __init__(self, folder: Path) -> None:
        forget_failures()
        self.folder = folder
        self.passed = Passed("loaded")
        self.owners: dict[str, Path] = {}
        self.read: dict[Path, bytes] = {}
        self.defaults: dict[Path, list[Path]] = {}
        self.places: dict[str, str] = {}  # the file of each dag_id, that of a broken file as it was before

    def all_files(self) -> list[Path]:
        """Return all files, those first whose DAGs run already: a copy does not take a DAG over."""
        known = {*self.passed.places.values()}
        return sorted(find_files(self.folder), key=lambda path: (str(path) not in known, path))

    def files_with(self, dag_id: str) -> list[Path]:
        """Return the file that holds ``dag_id``, without parsing any.

        It is where the last pass over all files saw it, or else where the text has it as a top-level key. A
        dag_id may be written in a way that a look at the text does not find: then all files are read.
        """
        key = re.compile(rf"^[\"']?{re.escape(dag_id)}[\"']?\s*:", re.MULTILINE)
        place = self.passed.places.get(dag_id)
        if place and Path(place).is_relative_to(self.folder) and _has(Path(place), key):
            return [Path(place)]
        paths = find_files(self.folder)
        return [path for path in paths if _has(path, key)] or paths

    def load(self, path: Path) -> list[DAG]:
        """Return the DAGs of one file, or one BrokenConfig with all of its problems."""
        dags = self._load(path)
        if any(isinstance(dag, BrokenConfig) for dag in dags):
            # What it had is still its own: no copy takes it over before the file is mended.
            held = [dag_id for dag_id, owner in self.owners.items() if owner == path]
            if not held:  # not even its dag_ids can be read
                held = [dag_id for dag_id, place in self.passed.places.items() if place == str(path)]
            self.owners |= dict.fromkeys(held, path)
        else:
            held = [dag.dag_id for dag in dags]
        self.places |= dict.fromkeys(held, str(path))
        return dags

    def _load(self, path: Path) -> list[DAG]:
        name = display_name(path)
        try:
            raw = path.read_bytes()
            defaults = self._defaults(path)
            key = Passed.key(name, [raw, *map(self._bytes, defaults)])
            if key in self.passed:
                return self._build_known(path, name, raw, defaults)
            problems, dags = self._check_and_build(decode_document(path, name, raw), defaults)
        except FileNotFoundError:  # deleted since the folder was listed: it has no DAGs
            return []
        except DocumentError as error:
            problems, dags = list(error.diagnostics), []
        except (KeyboardInterrupt, AirflowTaskTimeout):  # meant for the whole of it
            raise
        except BaseException as error:  # whatever a file or a callable does, the others load
            return [BrokenConfig(name, [_unexpected(name, error)])]
        if problems:
            return [BrokenConfig(name, problems)]
        self.passed.add(key)
        return dags

    def _defaults(self, path: Path) -> list[Path]:
        if path.parent not in self.defaults:
            self.defaults[path.parent] = find_defaults(path, self.folder)
        return self.defaults[path.parent]

    def _bytes(self, path: Path) -> bytes:
        if path not in self.read:
            self.read[path] = path.read_bytes()
        return self.read[path]

    def _build_known(self, path: Path, name: str, raw: bytes, defaults: list[Path]) -> list[DAG]:
        document = quick_document(path, name, raw)
        if problems := list(duplicate_dags(document, self.owners)):
            problems = list(duplicate_dags(decode_document(path, name, raw), self.owners))
            return [BrokenConfig(name, problems)]
        shared = [quick_document(found, display_name(found), self._bytes(found)) for found in defaults]
        return build_dags(document, shared, try_to_store=False)

    def _check_and_build(self, document: Document, paths: list[Path]) -> tuple[list[Diagnostic], list[DAG]]:
        defaults = [read_document(found) for found in paths]
        document = document.with_defaults(defaults)
        problems = [*check_document(document), *duplicate_dags(document, self.owners)]
        problems += [problem for found in defaults for problem in check_document(found)]
        errors = [problem for problem in problems if problem.severity == ERROR]
        return errors, [] if errors else build_dags(document, defaults)


def _has(path: Path, key: re.Pattern[str]) -> bool:
    try:
        return key.search(path.read_text(encoding="utf-8-sig")) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _unexpected(name: str, error: BaseException) -> Diagnostic:
    return Diagnostic(name, 1, 1, "DAG108", ERROR, f"{type(error).__name__}: {error}")


def build_dags(document: Document, defaults: list[Document], *, try_to_store: bool = True) -> list[DAG]:
    """Return the DAGs of a checked document, with ``defaults`` applied, the last of which wins.

    Raises DocumentError for what Airflow refuses, now or, if ``try_to_store``, when it would store the DAG.
    """
    _, cast_with_type = _dag_factory()
    built, problems = [], []
    shared: dict[str, Any] = {}
    for found in defaults:
        shared = merge(_combine(cast_with_type(found.data)), shared)
    data = _combine(cast_with_type(document.data))
    shared = merge(data.pop("default", {}), shared)
    for dag_id, config in data.items():
        try:
            dag = _build_dag(str(dag_id), merge(config, shared), document)
            if try_to_store and get_parsing_context().dag_id is None:
                _try_to_store(dag)
            built.append(dag)
        except (KeyboardInterrupt, AirflowTaskTimeout):
            raise
        except BaseException as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            path = _task_in(document, str(dag_id), reason)
            problems.append(document.problem("DAG108", path, f"Airflow refuses it: {reason}", key=True))
    if problems:
        raise DocumentError(*problems)
    return built


def _task_in(document: Document, dag_id: str, reason: str) -> tuple[str | int, ...]:
    """Return the path of the one task that an error's text names, or that of the DAG."""
    for found, tasks, paths in tasks_of(document):
        named = [
            task_id for task_id in tasks if re.search(rf"['\"\s]{re.escape(task_id)}(['\"\s.,]|$)", reason)
        ]
        if found == dag_id and len(named) == 1:
            return paths[named[0]]
    return (dag_id,)


@cache
def _dag_factory() -> tuple[Any, Any]:
    """Return dag-factory's builder and its reader of ``__type__``."""
    with warnings.catch_warnings():
        # It imports its Airflow 2 paths, too, and Airflow says so each time.
        warnings.simplefilter("ignore")
        from dagfactory.dagbuilder import DagBuilder
        from dagfactory.utils import cast_with_type
    return DagBuilder, cast_with_type


def _build_dag(dag_id: str, config: dict[str, Any], document: Document) -> DAG:
    builder, _ = _dag_factory()
    dag = builder(dag_id, config, {}, yml_dag="").build()["dag"]
    for name in DROPPED_BY_DAG_FACTORY:
        if config.get(name) is not None:
            setattr(dag, name, config[name])
    filters = config.get("user_defined_filters") or {}
    dag.user_defined_filters = {name: resolve(path) for name, path in filters.items()} or None
    if undefined := config.get("template_undefined"):
        dag.template_undefined = getattr(jinja2, undefined.rpartition(".")[2])
    dag.tags = {tag for tag in dag.tags if tag != TELEMETRY_TAG}
    fence = "```"
    while fence in document.text:
        fence += "`"
    dag.doc_md = (
        f"{dag.doc_md or ''}\n\n**{document.name}**\n\n{fence}yaml\n{document.text.strip()}\n{fence}\n"
    )
    return dag


def _try_to_store(dag: DAG) -> None:
    """Do what Airflow does after loading: its errors would be filed under the loader, and stop all DAGs."""
    from airflow.dag_processing.dagbag import _validate_executor_fields
    from airflow.serialization.serialized_objects import DagSerialization

    dag.validate()
    dag.check_cycle()
    _validate_executor_fields(dag)
    DagSerialization.to_dict(dag)


def _combine(value: Any) -> Any:
    """Follow dag-factory's ``__and__``, ``__or__`` and ``__join__``."""
    if isinstance(value, list):
        return [_combine(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__and__" in value:
        return reduce(lambda left, right: left & right, map(_combine, value["__and__"]))
    if "__or__" in value:
        return reduce(lambda left, right: left | right, map(_combine, value["__or__"]))
    if "__join__" in value:
        return "".join(str(_combine(item)) for item in value["__join__"])
    return {key: _combine(item) for key, item in value.items()}
