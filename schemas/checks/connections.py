"""Connections whose type needs a provider or a driver that is not installed, as far as they are known."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any

from batch_serving.shared.extras import how_to_add, provider_of_type, setup_command
from schemas.catalog.lookup import facts_of_task
from schemas.catalog.providers import installed_providers, published_providers
from schemas.checks.examples import PYTHON
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.documents.texts import is_template
from schemas.problems import WARNING, KeyPath, Problem, Rule

TYPE_IS_MISSING = Rule(
    "DAG155",
    "a connection whose type is not installed",
    why=(
        "The operators of common.sql find their database by the connection's type: without its provider the "
        "task fails with `Unknown hook type`. Connections are known here from the environment and .env."
    ),
    bad=(
        "operator: airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator\n"
        "conn_id: shop  # AIRFLOW_CONN_SHOP has the type mssql, and that provider is not installed\n"
        "sql: SELECT 1"
    ),
    good=f"{PYTHON}\npython_callable: callables.models.prune\nop_kwargs: {{model: digits, keep: 3}}",
    severity=WARNING,
    scope="task",
)
# These ask the connection for its hook, whatever its type; all others bring the hook along.
BY_TYPE = "airflow.providers.common.sql."
BY_TYPE_KEYS = ("sql_conn_id",)  # of transfers, such as SqlToS3Operator
DRIVERS = {"mysql": "pymysql", "postgres": "psycopg"}  # what they use; Python itself has SQLite
OF_FUNCTIONS = ("connection", "database")  # op_kwargs of the functions that read and write rows


def check_connection_types(document: Document, types: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each task whose connection needs what is not installed.

    ``types`` has the type of each connection that is known, by its name in lower case.
    """
    for path, conn_id, of_hook in _used(document):
        kind = types.get(conn_id.lower(), "")
        hint = _missing_for_hook(kind) if of_hook else _missing_driver(kind)
        if hint:
            message = f"connection {conn_id!r} is of type {kind}, which is not installed"
            yield document.problem(TYPE_IS_MISSING, path, message, hint)


def _missing_for_hook(kind: str) -> str:
    provider = provider_of_type(kind)
    if provider in installed_providers() or provider not in published_providers():
        return ""
    return how_to_add(provider)


def _missing_driver(kind: str) -> str:
    module = DRIVERS.get(kind, "")
    if not module or importlib.util.find_spec(module):
        return ""
    return f"it needs {module}, which is not installed: {setup_command('database')}"


def _used(document: Document) -> Iterator[tuple[KeyPath, str, bool]]:
    """Yield (path, connection, whether its type decides which hook is used) of each task."""
    for dag_id, tasks, paths in tasks_of(document):
        defaults = document.default_args_of(dag_id)
        for task_id, task in tasks.items():
            yield from _of_operator(paths[task_id], task, defaults)
            kwargs = task.get("op_kwargs")
            given = kwargs if isinstance(kwargs, dict) else {}
            for key in OF_FUNCTIONS:
                if _is_name(given.get(key)):
                    yield (*paths[task_id], "op_kwargs", key), given[key], False


def _of_operator(
    path: KeyPath, task: dict[str, Any], defaults: dict[str, Any]
) -> Iterator[tuple[KeyPath, str, bool]]:
    is_by_type = str(task.get("operator")).startswith(BY_TYPE)
    for key, kind in facts_of_task(task).get("properties", {}).items():
        if key in BY_TYPE_KEYS or (is_by_type and (key == "conn_id" or key.endswith("_conn_id"))):
            partial = task.get("partial")
            inner = partial if isinstance(partial, dict) else {}
            if _is_name(task.get(key)):
                yield (*path, key), task[key], True
            elif _is_name(inner.get(key)):
                yield (*path, "partial", key), inner[key], True
            elif key not in task and _is_name(defaults.get(key, kind.get("default"))):
                yield path, defaults.get(key, kind.get("default")), True


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not is_template(value)
