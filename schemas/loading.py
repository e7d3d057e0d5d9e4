"""The loader: every file that is right becomes DAGs through dag-factory, every other one an import error."""

from __future__ import annotations

import re
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
        super().__init__(dag_id=f"config_error.{re.sub(r'[^A-Za-z0-9._-]', '-', file)}", schedule=None)

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
    for path in find_files(folder) if wanted is None else files_with(wanted, folder):
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
        document, problems = read_document(path), []
        problems = [*check_document(document), *duplicate_dags(document, owners)]
        defaults = [read_document(found) for found in find_defaults(path, folder)]
        problems += [problem for found in defaults for problem in check_document(found)]
        errors = [problem for problem in problems if problem.severity == ERROR]
        return [BrokenConfig(name, errors)] if errors else list(_build(document, defaults))
    except DocumentError as error:
        return [BrokenConfig(name, list(error.diagnostics))]
    except (Exception, SystemExit) as error:  # whatever a file or a callable does, the others load
        problem = Diagnostic(name, 1, 1, "DAG108", ERROR, f"{type(error).__name__}: {error}")
        return [BrokenConfig(name, [problem])]


def _build(document: Document, defaults: list[Document]) -> Iterator[DAG]:
    from dagfactory.utils import cast_with_type

    # As dag-factory does: the nearest defaults file wins, and a DAG's own line over all.
    shared: dict[str, Any] = {}
    shared_args: dict[str, Any] = {}
    for found in defaults:
        data = _combine(cast_with_type(found.data))
        shared_args |= data.pop("default_args", {})
        shared |= data
    data = _combine(cast_with_type(document.data))
    default = data.pop("default", {})
    default["default_args"] = {**shared_args, **default.get("default_args", {})}
    for dag_id, config in data.items():
        try:
            yield _build_dag(str(dag_id), {**shared, **config}, default, document)
        except (Exception, SystemExit) as error:
            message = f"{type(error).__name__}: {error}"
            raise DocumentError(document.problem("DAG108", (dag_id,), message, key=True)) from error


def _build_dag(dag_id: str, config: dict[str, Any], default: dict[str, Any], document: Document) -> DAG:
    from dagfactory.dagbuilder import DagBuilder

    dag = DagBuilder(dag_id, config, default, yml_dag="").build()["dag"]
    for name in DROPPED_BY_DAG_FACTORY:
        value = config.get(name, default.get(name))
        if value is not None:
            setattr(dag, name, value)
    dag.tags = {tag for tag in dag.tags if tag != TELEMETRY_TAG}
    fence = "```"
    while fence in document.text:
        fence += "`"
    dag.doc_md = (
        f"{dag.doc_md or ''}\n\n**{document.name}**\n\n{fence}yaml\n{document.text.strip()}\n{fence}\n"
    )
    return dag


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
