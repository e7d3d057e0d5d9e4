"""Looking up what the schema says of a class."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

from batch_serving.shared.root import PROJECT_ROOT
from schemas.catalog.generate import definition_of
from schemas.catalog.imports import UnresolvedError, is_allowed, is_own, is_private, resolve
from schemas.catalog.signatures import arguments

PYTHON_DECORATOR = "airflow.providers.standard.decorators.python.python_task"
SAME_DECORATORS = {
    "airflow.sdk.definitions.decorators.task": PYTHON_DECORATOR,
    "airflow.sdk.task": PYTHON_DECORATOR,
}
SCHEMA_FILE = PROJECT_ROOT / "schemas" / "dag_config.schema.json"


def find_definition(kind: str, path: object) -> dict[str, Any] | None:
    """Return the schema of a class by its dotted path; ``kind`` is operators, notifiers or types.

    What is in the project's own packages is looked at now; the schema file may be older. So is what is in an
    installed provider that the file does not have: that of an extra.
    """
    if not isinstance(path, str):
        return None
    if is_own(path):
        return _definition_now(kind, path)
    definition: dict[str, Any] | None = load_schema()["$defs"].get(kind, {}).get(path)
    if definition is None and path.startswith("airflow.providers."):
        return _definition_now(kind, path)
    return definition


def _definition_now(kind: str, path: str) -> dict[str, Any] | None:
    """Return the schema of a class that is imported for it; None if it is not of this kind."""
    if kind not in ("operators", "notifiers") or is_private(path) or not is_allowed(path):
        return None
    try:
        found = resolve(path)
    except UnresolvedError:
        return None
    if not isinstance(found, type) or not hasattr(found, "execute" if kind == "operators" else "notify"):
        return None
    return _definition_of(kind, found)


@cache
def _definition_of(kind: str, cls: type) -> dict[str, Any]:
    from airflow.sdk import BaseNotifier, BaseOperator

    if kind == "notifiers":
        return definition_of(cls, BaseNotifier, {})
    return definition_of(cls, BaseOperator, load_schema()["$defs"]["task"]["properties"])


def facts_of_task(task: dict[str, Any]) -> dict[str, Any]:
    """Return what the schema says of a task's operator or decorator; nothing where it has neither."""
    if "decorator" in task:
        known: dict[str, Any] = load_schema()["$defs"]["decorators"]
        path = task["decorator"]
        return known.get(SAME_DECORATORS.get(path, path), {}) if isinstance(path, str) else {}
    return find_definition("operators", task.get("operator")) or {}


@cache
def arguments_of_decorator(path: str) -> frozenset[str]:
    """Return the arguments that a provider's decorator gives its operator, by the operator's class."""
    from airflow.sdk import BaseOperator
    from airflow.sdk.bases.decorator import DecoratedOperator

    if not path.startswith("airflow.providers.") or not is_allowed(path):
        return frozenset()
    try:
        module = sys.modules[resolve(path).__module__]
    except UnresolvedError:
        return frozenset()
    classes = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, DecoratedOperator) and one.__module__ == module.__name__
    ]
    return frozenset(name for cls in classes for name in arguments(cls, BaseOperator))


def skips(task: dict[str, Any]) -> str:
    """Return how a task skips those after it: as a ``branch``, as a ``short circuit``, or not at all."""
    return str(facts_of_task(task).get("x-skips", ""))


@cache
def load_schema() -> dict[str, Any]:
    """Return the schema from its file."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema
