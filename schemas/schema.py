"""Builds ``dag_config.schema.json`` (JSON Schema 2020-12) from what is installed.

``python -m schemas schema`` writes it. The format is dag-factory's; what it would drop without a word is
refused here.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from schemas.signatures import TEMPLATE, TYPED, Schema, arguments

SCHEMA_FILE = Path(__file__).with_name("dag_config.schema.json")

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
POSITIVE = {"type": "integer", "minimum": 1}
DURATION = {
    "anyOf": [TYPED, {"type": "number", "minimum": 0}],
    "description": "Seconds, or a datetime.timedelta",
}
TIMEDELTA = {
    "anyOf": [TYPED, {"type": "null"}],
    "description": "{__type__: datetime.timedelta, minutes: 5}, or null for none",
}
CALLBACK = {
    "anyOf": [
        TEXT,
        {"type": "object", "required": ["callback"], "properties": {"callback": TEXT}},
        {"type": "null"},
    ],
    "description": "A function's dotted path, or {callback: path, argument: value}, or null for none",
}
ASSETS = {"type": "array", "items": {"anyOf": [TEXT, TYPED]}, "description": "Asset URIs"}

DAG_KEYS: dict[str, Schema] = {
    "access_control": {"type": "object"},
    "catchup": FLAG,
    "dag_display_name": TEXT,
    "dagrun_timeout": TIMEDELTA,
    "deadline": {"anyOf": [TYPED, {"type": "array", "items": TYPED}]},
    "default_args": {"$ref": "#/$defs/default_args"},
    "description": TEXT,
    "doc_md": TEXT,
    "end_date": {},
    "fail_fast": FLAG,
    "is_paused_upon_creation": FLAG,
    "max_active_runs": POSITIVE,
    "max_active_tasks": POSITIVE,
    "max_consecutive_failed_dag_runs": COUNT,
    "on_failure_callback": CALLBACK,
    "on_success_callback": CALLBACK,
    "owner_links": {"type": "object", "additionalProperties": TEXT},
    "params": {"type": "object"},
    "render_template_as_native_obj": FLAG,
    "schedule": {"anyOf": [{"type": ["string", "null"]}, {"type": "array"}, {"type": "object"}]},
    "start_date": {},
    "tags": {"type": "array", "items": TEXT},
    "task_groups": {
        "anyOf": [
            {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
            {"type": "array", "items": {"type": "object", "required": ["group_name"]}},
        ]
    },
    "tasks": {
        "anyOf": [
            {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/task"}},
            {
                "type": "array",
                "minItems": 1,
                "items": {"allOf": [{"$ref": "#/$defs/task"}, {"required": ["task_id"]}]},
            },
        ]
    },
    "template_searchpath": {"type": ["string", "array"]},
    "timezone": TEXT,
    "user_defined_macros": {"type": "object"},
}
ARGUMENT_TYPES: dict[str, Schema] = {
    "depends_on_past": FLAG,
    "do_xcom_push": FLAG,
    "email_on_failure": FLAG,
    "email_on_retry": FLAG,
    "execution_timeout": TIMEDELTA,
    "inlets": ASSETS,
    "max_retry_delay": DURATION,
    "outlets": ASSETS,
    "owner": TEXT,
    "params": {"type": "object"},
    "pool": TEXT,
    "pool_slots": POSITIVE,
    "priority_weight": {"type": "integer"},
    "queue": TEXT,
    "retries": COUNT,
    "retry_delay": DURATION,
    "retry_exponential_backoff": {"type": ["boolean", "number"]},
    "wait_for_downstream": FLAG,
    **{f"on_{event}_callback": CALLBACK for event in ("execute", "failure", "retry", "skipped", "success")},
}
NOT_IN_YAML = frozenset({"dag", "task_group", "task_id", "default_args", "resources", "sla"})
# Keys of dag-factory's own on a task, beside the operator's arguments.
TASK_KEYS: dict[str, Schema] = {
    "decorator": {**TEXT, "description": "A decorator's dotted path, in place of an operator"},
    "dependencies": {"type": "array", "items": TEXT, "description": "The tasks and groups that come before"},
    "expand": {"type": "object", "description": "Arguments to map over"},
    "partial": {"type": "object", "description": "Arguments that all mapped tasks share"},
    "task_group_name": {**TEXT, "description": "The task group that this task belongs to"},
    "task_id": {**TEXT, "description": "The task's id, where tasks are a list"},
    "variables_as_arguments": {"type": "array", "description": "Airflow Variables that give arguments"},
}
# Folders of a provider in which YAML finds what it names.
OPERATOR_FOLDERS = frozenset({"operators", "sensors", "transfers"})
NOTIFIER_FOLDER = "notifications"
TYPE_MODULES = (
    "airflow.sdk",
    "airflow.timetables.assets",
    "airflow.timetables.trigger",
    "airflow.timetables.interval",
)


def build_schema() -> dict[str, Any]:
    """Return the schema of a DAG file; ``#/$defs/defaults`` is that of a defaults file.

    ``$defs/operators``, ``notifiers`` and ``types`` have the arguments of each class that YAML can name.
    """
    from airflow.sdk import BaseNotifier, BaseOperator, TriggerRule

    base = {name: kind for name, kind in arguments(BaseOperator, object).items() if name not in NOT_IN_YAML}
    for name, kind in ARGUMENT_TYPES.items():
        base[name] = {
            **({"description": base[name]["description"]} if "description" in base[name] else {}),
            **kind,
        }
    base["trigger_rule"] = {"enum": sorted(rule.value for rule in TriggerRule)}
    operators = {
        path: _definition(cls, BaseOperator, base)
        for path, cls in find_classes(OPERATOR_FOLDERS, BaseOperator)
    }
    notifiers = {
        path: _definition(cls, BaseNotifier, {})
        for path, cls in find_classes({NOTIFIER_FOLDER}, BaseNotifier)
    }
    dag: Schema = {"type": "object", "additionalProperties": False, "properties": DAG_KEYS}
    own: dict[str, Schema] = {name: {} for found in operators.values() for name in found["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DAGs in dag-factory's format",
        "type": "object",
        "properties": {"default": {"$ref": "#/$defs/dag"}},
        "additionalProperties": {"allOf": [{"$ref": "#/$defs/dag"}, {"required": ["tasks"]}]},
        "$defs": {
            "dag": dag,
            "defaults": {**dag, "properties": {name: DAG_KEYS[name] for name in DAG_KEYS if name != "tasks"}},
            "default_args": {
                "type": "object",
                "additionalProperties": False,
                "properties": {**own, **base, "timezone": TEXT},
            },
            "task": _task(base, operators),
            "operators": operators,
            "notifiers": notifiers,
            "types": dict(_types()),
        },
    }


def _task(base: dict[str, Schema], operators: dict[str, Schema]) -> Schema:
    """Return the schema of a task: what all have, and by ``operator`` what that one has."""
    by_operator: list[Schema] = [
        {
            "if": {"properties": {"operator": {"const": path}}, "required": ["operator"]},
            "then": {"$ref": f"#/$defs/operators/{path}", "anyOf": _given(definition)},
        }
        for path, definition in sorted(operators.items())
    ]
    # An operator of the project's own, or a decorator, takes what Python says.
    others: Schema = {
        "if": {"properties": {"operator": {"enum": sorted(operators)}}, "required": ["operator"]},
        "else": {"additionalProperties": True},
    }
    return {
        "type": "object",
        "anyOf": [{"required": ["operator"]}, {"required": ["decorator"]}],
        "properties": {**base, **TASK_KEYS, "operator": {"anyOf": [{"enum": sorted(operators)}, TEXT]}},
        "allOf": [*by_operator, others],
        "unevaluatedProperties": False,
    }


def _given(definition: Schema) -> list[Schema]:
    """Return the ways in which a task gives what its operator must have: itself, or mapped over."""
    needed = [name for name, kind in definition["properties"].items() if kind.get("x-required")]
    return [{"required": needed}, {"required": ["expand"]}]


def _definition(cls: type, stop: type, base: dict[str, Schema]) -> Schema:
    """Return the schema of one class: its arguments, and of ``base`` only what it sees differently."""
    own = {
        name: kind
        for name, kind in arguments(cls, stop).items()
        if name not in base and name not in NOT_IN_YAML
    }
    doc = (cls.__doc__ or "").strip().split("\n\n")[0]
    properties = {name: _as_in_yaml(name, kind) for name, kind in sorted(own.items())}
    return {"description": " ".join(doc.split())[:300], "properties": properties}


def _as_in_yaml(name: str, kind: Schema) -> Schema:
    """Return an argument's schema with what dag-factory makes of YAML before the operator sees it."""
    if name in ("op_kwargs", "params", "env", "conf"):
        return {**kind, "anyOf": [{"type": ["object", "null"]}, TEMPLATE]}
    return kind


def find_classes(folders: frozenset[str] | set[str], base: type) -> Iterator[tuple[str, type]]:
    """Yield (dotted path, class) of each subclass of ``base`` in these folders of the installed providers."""
    import airflow.providers

    for module in pkgutil.walk_packages(
        airflow.providers.__path__, "airflow.providers.", onerror=lambda _: None
    ):
        if not folders & {*module.name.split(".")}:
            continue
        try:
            found = vars(importlib.import_module(module.name))
        except Exception:  # noqa: S112 - needs a package that is not installed: nobody can use it
            continue
        for name, cls in sorted(found.items(), key=lambda item: item[0]):
            defined_here = getattr(cls, "__module__", None) == module.name and isinstance(cls, type)
            if defined_here and issubclass(cls, base) and name[0].isupper() and not name.startswith("Base"):
                yield f"{module.name}.{name}", cls


def _types() -> Iterator[tuple[str, Schema]]:
    """Yield (dotted path, schema) of the classes that ``__type__`` can usefully name."""
    yield "builtins.list", {"properties": {"items": {"type": "array"}}}
    durations = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")
    yield "datetime.timedelta", {"properties": {name: {"type": "number"} for name in durations}}
    for module in TYPE_MODULES:
        found = importlib.import_module(module)
        for name in sorted(getattr(found, "__all__", dir(found))):
            cls = getattr(found, name, None)
            if (
                isinstance(cls, type)
                and cls.__module__.startswith("airflow.")
                and not issubclass(cls, Exception)
            ):
                # An enum's signature is Python's own, and differs from one version to the next.
                open_ended = issubclass(cls, Enum) or "VAR_KEYWORD" in _kinds_of(cls)
                yield (
                    f"{module}.{name}",
                    {} if open_ended else {"properties": {argument: {} for argument in _names_of(cls)}},
                )


def _kinds_of(cls: type) -> list[str]:
    import inspect

    try:
        return [parameter.kind.name for parameter in inspect.signature(cls).parameters.values()]
    except (TypeError, ValueError):
        return ["VAR_KEYWORD"]


def _names_of(cls: type) -> list[str]:
    import inspect

    return list(inspect.signature(cls).parameters)


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(build_schema(), indent=1, sort_keys=True, default=str) + "\n"


def find_definition(kind: str, path: object) -> dict[str, Any] | None:
    """Return the schema of a class by its dotted path; ``kind`` is operators, notifiers or types."""
    return load_schema()["$defs"].get(kind, {}).get(path) if isinstance(path, str) else None


@cache
def load_schema() -> dict[str, Any]:
    """Return the schema from its file."""
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
