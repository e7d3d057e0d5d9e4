"""Builds ``dag_config.schema.json`` (JSON Schema 2020-12) from what is installed.

``python -m schemas schema`` writes it. The format is dag-factory's; what it would drop without a word is
refused here.
"""

from __future__ import annotations

import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA_FILE = Path(__file__).with_name("dag_config.schema.json")

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
TYPED = {"type": "object", "required": ["__type__"], "description": "An object made by calling a class"}
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

DAG_KEYS: dict[str, dict[str, Any]] = {
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
    "max_active_runs": COUNT,
    "max_active_tasks": COUNT,
    "max_consecutive_failed_dag_runs": COUNT,
    "on_failure_callback": CALLBACK,
    "on_success_callback": CALLBACK,
    "owner_links": {"type": "object", "additionalProperties": TEXT},
    "params": {"type": "object"},
    "render_template_as_native_obj": FLAG,
    "schedule": {"anyOf": [{"type": ["string", "null"]}, {"type": "array"}, {"type": "object"}]},
    "start_date": {},
    "tags": {"type": "array", "items": TEXT},
    "task_groups": {"type": ["object", "array"]},
    "tasks": {
        "anyOf": [
            {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/task"}},
            {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/task"}},
        ]
    },
    "template_searchpath": {"type": ["string", "array"]},
    "timezone": TEXT,
    "user_defined_macros": {"type": "object"},
}
ARGUMENT_TYPES: dict[str, dict[str, Any]] = {
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
    "pool_slots": COUNT,
    "priority_weight": {"type": "integer"},
    "queue": TEXT,
    "retries": COUNT,
    "retry_delay": DURATION,
    "retry_exponential_backoff": {"type": ["boolean", "number"]},
    "wait_for_downstream": FLAG,
    **{f"on_{event}_callback": CALLBACK for event in ("execute", "failure", "retry", "skipped", "success")},
}
NOT_IN_YAML = frozenset(
    {"self", "kwargs", "dag", "task_group", "task_id", "default_args", "resources", "sla"}
)


def build_schema() -> dict[str, Any]:
    """Return the schema of a DAG file; ``#/$defs/defaults`` is that of a defaults file."""
    from airflow.sdk import BaseOperator, TriggerRule

    names = [name for name in inspect.signature(BaseOperator.__init__).parameters if name not in NOT_IN_YAML]
    arguments = {name: ARGUMENT_TYPES.get(name, {}) for name in sorted(names)}
    arguments["trigger_rule"] = {"enum": sorted(rule.value for rule in TriggerRule)}
    dag = {"type": "object", "additionalProperties": False, "properties": DAG_KEYS}
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
                "properties": {**arguments, "timezone": TEXT},
            },
            "task": {
                "type": "object",
                "anyOf": [{"required": ["operator"]}, {"required": ["decorator"]}],
                "properties": {
                    **arguments,
                    "operator": TEXT,
                    "decorator": TEXT,
                    "dependencies": {"type": "array", "items": TEXT},
                    "op_kwargs": {"type": "object"},
                    "python_callable": TEXT,
                    "task_group_name": TEXT,
                    "expand": {"type": "object"},
                    "partial": {"type": "object"},
                },
            },
        },
    }


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(build_schema(), indent=2, sort_keys=True) + "\n"


@cache
def load_schema() -> dict[str, Any]:
    """Return the schema from its file."""
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
