"""The loader: every file that is right becomes DAGs through dag-factory, every other one an import error."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

from airflow.exceptions import SerializationError
from airflow.sdk import DAG, get_parsing_context

from schemas.diagnostics import ERROR, Diagnostic, as_text
from schemas.documents import (
    Document,
    DocumentError,
    display_name,
    find_defaults,
    find_files,
    read_document,
)
from schemas.validation import check_document, duplicate_dags

# Arguments that Airflow's DAG has and dag-factory drops without a word: set after the build.
DROPPED_BY_DAG_FACTORY = ("deadline", "fail_fast", "max_consecutive_failed_dag_runs", "owner_links")
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
        super().__init__(dag_id=f"config_error.{slug}-{digest}", schedule=None)

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
    owners: dict[str, str] = {}
    paths = find_files(folder)
    if wanted is not None:
        # A dag_id may be written in a way that a look at the text does not find: then all files are read.
        paths = list(files_with(wanted, folder)) or paths
    for path in paths:
        for dag in load_file(path, folder, owners):
            namespace[dag.dag_id] = dag


def files_with(dag_id: str, folder: Path) -> Iterator[Path]:
    """Yield the files whose text has ``dag_id`` as a top-level key; nothing is parsed."""
    key = re.compile(rf"^[\"']?{re.escape(dag_id)}[\"']?\s*:", re.MULTILINE)
    for path in find_files(folder):
        try:
            if key.search(path.read_text(encoding="utf-8-sig")):
                yield path
        except (OSError, UnicodeDecodeError):
            continue


def load_file(path: Path, folder: Path, owners: dict[str, str]) -> list[DAG]:
    """Return the DAGs of one file, or one BrokenConfig with all of its problems."""
    name = display_name(path)
    try:
        document = read_document(path)
        problems = [*check_document(document), *duplicate_dags(document, owners)]
        defaults = [read_document(found) for found in find_defaults(path, folder)]
        problems += [problem for found in defaults for problem in check_document(found)]
        errors = [problem for problem in problems if problem.severity == ERROR]
        return [BrokenConfig(name, errors)] if errors else build_dags(document, defaults)
    except DocumentError as error:
        return [BrokenConfig(name, list(error.diagnostics))]
    except (Exception, SystemExit) as error:  # whatever a file or a callable does, the others load
        problem = Diagnostic(name, 1, 1, "DAG108", ERROR, f"{type(error).__name__}: {error}")
        return [BrokenConfig(name, [problem])]


def build_dags(document: Document, defaults: list[Document]) -> list[DAG]:
    """Return the DAGs of a checked document, with ``defaults`` applied, the last of which wins.

    Raises DocumentError for what Airflow refuses, now or when it would store the DAG.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dagfactory.utils import cast_with_type

    built, problems = [], []
    shared: dict[str, Any] = {}
    for found in defaults:
        shared = merge(_combine(cast_with_type(found.data)), shared)
    data = _combine(cast_with_type(document.data))
    shared = merge(data.pop("default", {}), shared)
    for dag_id, config in data.items():
        try:
            dag = _build_dag(str(dag_id), merge(config, shared), document)
            _try_to_store(dag)
            built.append(dag)
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")
            problems.append(document.problem("DAG108", (dag_id,), f"Airflow refuses it: {reason}", key=True))
    if problems:
        raise DocumentError(*problems)
    return built


def merge(config: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return ``config`` with what only ``default`` has added, mappings within it too.

    A callback is one thing: its arguments do not mix with those of another.
    """
    merged = {**default, **config}
    for key in config.keys() & default.keys():
        mappings = isinstance(config[key], dict) and isinstance(default[key], dict)
        if mappings and not str(key).endswith("_callback"):
            merged[key] = merge(config[key], default[key])
    return merged


def _build_dag(dag_id: str, config: dict[str, Any], document: Document) -> DAG:
    with warnings.catch_warnings():
        # It imports its Airflow 2 paths, too, and Airflow says so each time.
        warnings.simplefilter("ignore")
        from dagfactory.dagbuilder import DagBuilder

    dag = DagBuilder(dag_id, config, {}, yml_dag="").build()["dag"]
    for name in DROPPED_BY_DAG_FACTORY:
        if config.get(name) is not None:
            setattr(dag, name, config[name])
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

    if get_parsing_context().dag_id is not None:
        return
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
