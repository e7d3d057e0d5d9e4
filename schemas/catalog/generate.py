"""Builds ``dag_config.schema.json`` (JSON Schema 2020-12) from what is installed.

``python -m schemas schema`` writes it. The format is dag-factory's; what it would drop without a word is
refused here.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from schemas.catalog.imports import is_private, own_packages
from schemas.catalog.providers import base_providers, is_of
from schemas.catalog.signatures import CALLABLE, TEMPLATE, TYPED, Schema, arguments
from schemas.catalog.template_types import ROOTS, context_names, template_types

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
LARGEST = 2**31 - 1  # what a database column holds; a larger one keeps Airflow from storing any DAG
COUNT = {"type": "integer", "minimum": 0, "maximum": LARGEST}
POSITIVE = {"type": "integer", "minimum": 1, "maximum": LARGEST}
DURATION = {
    "anyOf": [TYPED, {"type": "number", "minimum": 0}],
    "description": "Seconds, or a datetime.timedelta",
    "x-kind": "a number of seconds or a timedelta",
}
TIMEDELTA = {
    "anyOf": [TYPED, {"type": "null"}],
    "description": "{__type__: datetime.timedelta, minutes: 5}, or null for none",
    "x-kind": "a timedelta",
}
OBJECT: Schema = {"anyOf": [TYPED, {"type": "null"}], "x-kind": "an object, given by __type__"}
HOOK: Schema = {
    "anyOf": [CALLABLE, TYPED, {"type": "null"}],
    "description": "A function's dotted path, or an object that can be called",
    "x-kind": "a function's dotted path, or an object that can be called",
    "examples": [{"__type__": "callables.hooks.Hook"}],
}
RESOURCES: Schema = {
    "type": "object",
    "properties": {name: {"type": "number", "minimum": 0} for name in ("cpus", "ram", "disk", "gpus")},
    "additionalProperties": False,
    "description": "What the task needs, for executors that look at it: cpus, ram and disk in MB, gpus",
}
DATE = {"description": "A date or time, such as 2026-01-01; timezone says where"}
CALLBACK = {
    "anyOf": [
        TEXT,
        {"type": "object", "required": ["callback"], "properties": {"callback": TEXT}},
        {"type": "null"},
    ],
    "description": "A function's dotted path, or {callback: path, argument: value}, or null for none",
    "x-kind": "a function's dotted path or a mapping with callback",
}
DEADLINE: Schema = {
    "anyOf": [
        TYPED,
        {
            "type": "object",
            "required": ["callback"],
            "properties": {
                "callback": TEXT,
                "interval": {
                    **DURATION,
                    "anyOf": [TYPED, {"type": "number", "minimum": 1, "maximum": LARGEST}],
                },
            },
        },
    ],
    "description": "{callback: path, interval: seconds after a run is queued, argument: value}, or an "
    "airflow.sdk.DeadlineAlert",
    "x-kind": "a mapping with callback and interval, or a DeadlineAlert",
}
ASSETS = {
    "type": "array",
    "items": {"anyOf": [TEXT, TYPED], "x-kind": "an asset's URI, or an asset, given by __type__"},
    "description": "Asset URIs",
    "x-kind": "a list of asset URIs",
}
ASSET_CONDITION = {"$ref": "#/$defs/asset_condition"}
SCHEDULE = {
    "anyOf": [{"type": ["string", "null"]}, ASSETS, ASSET_CONDITION],
    "description": "A cron expression, a preset (@hourly), a list of asset URIs, or {__type__: a timetable}",
    "x-kind": "a cron expression, a preset, a list of asset URIs or a timetable",
}

DAG_KEYS: dict[str, Schema] = {
    "access_control": {"type": "object"},
    "catchup": FLAG,
    "dag_display_name": TEXT,
    "dagrun_timeout": TIMEDELTA,
    "deadline": {"anyOf": [DEADLINE, {"type": "array", "items": DEADLINE}]},
    "default_args": {"$ref": "#/$defs/default_args"},
    "description": TEXT,
    "disable_bundle_versioning": FLAG,
    "doc_md": TEXT,
    "end_date": DATE,
    "fail_fast": FLAG,
    "is_paused_upon_creation": FLAG,
    "jinja_environment_kwargs": {"type": "object"},
    "max_active_runs": POSITIVE,
    "max_active_tasks": POSITIVE,
    "max_consecutive_failed_dag_runs": COUNT,
    "on_failure_callback": CALLBACK,
    "on_success_callback": CALLBACK,
    "owner_links": {"type": "object", "additionalProperties": TEXT},
    "params": {"type": "object"},
    "render_template_as_native_obj": FLAG,
    "rerun_with_latest_version": FLAG,
    "schedule": SCHEDULE,
    "start_date": DATE,
    "tags": {"type": "array", "items": TEXT},
    "task_groups": {
        "anyOf": [
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/task_group"}},
            {
                "type": "array",
                "items": {"allOf": [{"$ref": "#/$defs/task_group"}, {"required": ["group_name"]}]},
            },
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
    "template_undefined": {
        "enum": [f"jinja2.{kind}Undefined" for kind in ("", "Chainable", "Debug", "Strict")],
        "description": "What a template does with a name that does not exist; it fails, by default",
    },
    "timezone": TEXT,
    "user_defined_filters": {
        "type": "object",
        "additionalProperties": TEXT,
        "description": "Functions by dotted path, for templates to use as {{ value | name }}",
    },
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
    "priority_weight": {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST},
    "queue": TEXT,
    "retries": COUNT,
    "retry_delay": DURATION,
    # A text or a mapping would be taken, and be of no use only when the task runs, or fails.
    "post_execute": HOOK,
    "pre_execute": HOOK,
    "resources": RESOURCES,
    "retry_policy": {
        **OBJECT,
        "examples": [
            {
                "__type__": "airflow.sdk.ExceptionRetryPolicy",
                "rules": [
                    {
                        "__type__": "airflow.sdk.RetryRule",
                        "exception": "builtins.ValueError",
                        "action": {"__type__": "airflow.sdk.RetryAction", "__args__": ["fail"]},
                    }
                ],
            }
        ],
    },
    "retry_exponential_backoff": {"type": ["boolean", "number"]},
    "wait_for_downstream": FLAG,
    **{f"on_{event}_callback": CALLBACK for event in ("execute", "failure", "retry", "skipped", "success")},
}
NOT_IN_YAML = frozenset({"dag", "task_group", "task_id", "default_args", "sla"})
# Keys of dag-factory's own on a task, beside the operator's arguments.
TASK_KEYS: dict[str, Schema] = {
    "decorator": {**TEXT, "description": "A decorator's dotted path, in place of an operator"},
    "dependencies": {"type": "array", "items": TEXT, "description": "The tasks and groups that come before"},
    "expand": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "anyOf": [
                {"type": "array", "minItems": 1},
                {"type": "object", "minProperties": 1},
                {"type": "string", "description": "task.output, or +task in a decorated task"},
            ]
        },
        "description": "Arguments to map over: one task for each of their values",
    },
    "partial": {"type": "object", "description": "Arguments that all mapped tasks share"},
    "task_group_name": {**TEXT, "description": "The task group that this task belongs to"},
    "task_id": {**TEXT, "description": "The task's id, where tasks are a list"},
}
GROUP_KEYS: dict[str, Schema] = {
    "add_suffix_on_collision": FLAG,
    "default_args": {"$ref": "#/$defs/default_args"},
    "dependencies": TASK_KEYS["dependencies"],
    "doc_md": TEXT,
    "group_display_name": TEXT,
    "group_name": {**TEXT, "description": "The group's name, where task_groups are a list"},
    "parent_group_name": {**TEXT, "description": "The task group that this group belongs to"},
    "prefix_group_id": {**FLAG, "description": "Whether the ids of its tasks start with its name; they do"},
    "tooltip": TEXT,
    "ui_color": TEXT,
    "ui_fgcolor": TEXT,
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


def build_schema(providers: frozenset[str] | None = None) -> dict[str, Any]:
    """Return the schema of a DAG file; ``#/$defs/defaults`` is that of a defaults file.

    ``$defs/operators``, ``notifiers`` and ``types`` have the arguments of each class that YAML can name, of
    these providers: those that every environment of the project has, unless given. What an extra adds is not
    in the file that git has; ``schemas.catalog.lookup`` looks it up.
    """
    from airflow.sdk import BaseNotifier, BaseOperator
    from airflow.sdk.definitions._internal.templater import FILTERS
    from jinja2.defaults import DEFAULT_FILTERS

    chosen = base_providers() if providers is None else providers
    base = _base_arguments()
    operators = {
        path: definition_of(cls, BaseOperator, base)
        for path, cls in find_classes(OPERATOR_FOLDERS, BaseOperator, chosen)
    }
    notifiers = {
        path: definition_of(cls, BaseNotifier, {})
        for path, cls in find_classes({NOTIFIER_FOLDER}, BaseNotifier, chosen)
    }
    keys = {**DAG_KEYS, "allowed_run_types": _run_types()}
    dag: Schema = {"type": "object", "additionalProperties": False, "properties": keys}
    own = _shared_arguments(operators)
    as_mapping = {"type": "object", "description": "Tasks that the DAGs share: a mapping, for a list is lost"}
    task_as_mapping: Schema = {"properties": {"tasks": as_mapping}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DAGs in dag-factory's format",
        "type": "object",
        "properties": {"default": {"allOf": [{"$ref": "#/$defs/dag"}, task_as_mapping]}},
        "additionalProperties": {"$ref": "#/$defs/dag"},
        "if": {"not": {"required": ["default"], "properties": {"default": {"required": ["tasks"]}}}},
        "then": {"additionalProperties": _complete_dag(), "properties": {"default": {}}},
        "x-template-names": context_names(),
        "x-template-filters": sorted({*FILTERS, *DEFAULT_FILTERS}),
        "x-template-roots": ROOTS,
        "x-template-types": template_types(),
        "$defs": {
            "dag": dag,
            "defaults": {**dag, "properties": {name: keys[name] for name in keys if name != "tasks"}},
            "default_args": {
                "type": "object",
                "additionalProperties": False,
                "properties": {**own, **base, "timezone": TEXT},
            },
            "asset_condition": _asset_condition(),
            "task": _task(base, operators),
            "complete_task": _complete_task(operators),
            "task_group": {"type": "object", "additionalProperties": False, "properties": GROUP_KEYS},
            "operators": operators,
            "decorators": {path: facts for path, facts in find_decorators() if is_of(path, chosen)},
            "notifiers": notifiers,
            "types": dict(_types()),
        },
    }


def _base_arguments() -> dict[str, Schema]:
    """Return what every operator takes: Airflow's texts, with types as exact as YAML allows."""
    from airflow.sdk import BaseOperator, TriggerRule, WeightRule

    found = {name: kind for name, kind in arguments(BaseOperator, object).items() if name not in NOT_IN_YAML}
    exact: dict[str, Schema] = {
        **ARGUMENT_TYPES,
        "trigger_rule": {"enum": sorted(rule.value for rule in TriggerRule)},
        "weight_rule": {"anyOf": [{"enum": sorted(rule.value for rule in WeightRule)}, TYPED]},
    }
    for name, kind in exact.items():
        described = {key: text for key, text in found.get(name, {}).items() if key == "description"}
        found[name] = {**described, **kind}
    return found


def _shared_arguments(operators: dict[str, Schema]) -> dict[str, Schema]:
    """Return the operators' arguments as default_args have them: with their kind where all agree on it."""
    kinds: dict[str, list[Schema]] = {}
    for found in operators.values():
        for name, schema in found["properties"].items():
            kind = {key: schema[key] for key in ("type", "enum", "anyOf", "items") if key in schema}
            kinds.setdefault(name, []).append(kind)
    return {name: found[0] if all(one == found[0] for one in found) else {} for name, found in kinds.items()}


def _run_types() -> Schema:
    from airflow.utils.types import DagRunType

    one: Schema = {"enum": sorted(kind.value for kind in DagRunType)}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _asset_condition() -> Schema:
    """Return the schema of an asset or timetable, or of assets joined by ``__and__`` and ``__or__``."""
    several: Schema = {"type": "array", "items": ASSET_CONDITION, "minItems": 2}
    joined: list[Schema] = [
        {"type": "object", "required": [key], "properties": {key: several}, "additionalProperties": False}
        for key in ("__and__", "__or__")
    ]
    return {
        "anyOf": [TYPED, *joined],
        "description": "{__type__: airflow.sdk.Asset, uri: …}, a timetable, or {__and__: […]}, {__or__: […]}",
        "x-kind": "an asset, given by __type__",
    }


def _task(base: dict[str, Schema], operators: dict[str, Schema]) -> Schema:
    """Return the schema of a task: what all have, and by ``operator`` what that one has."""
    by_operator: list[Schema] = [
        {**_where_it_is(path), "then": {"$ref": f"#/$defs/operators/{path}"}} for path in sorted(operators)
    ]
    # An operator of the project's own, or a decorator, takes what Python says.
    others: Schema = {
        "if": {"properties": {"operator": {"enum": sorted(operators)}}, "required": ["operator"]},
        "else": {"additionalProperties": True},
    }
    return {
        "type": "object",
        "properties": {**base, **TASK_KEYS, "operator": {"anyOf": [{"enum": sorted(operators)}, TEXT]}},
        "dependentRequired": {"partial": ["expand"], "decorator": ["python_callable"]},
        "allOf": [*by_operator, others],
        "unevaluatedProperties": False,
    }


def _complete_dag() -> Schema:
    """Return what a DAG must have where the file's ``default`` has no tasks that complete its own."""
    complete: Schema = {"$ref": "#/$defs/complete_task"}
    return {
        "required": ["tasks"],
        "properties": {"tasks": {"items": complete, "additionalProperties": complete}},
    }


def _complete_task(operators: dict[str, Schema]) -> Schema:
    """Return what a task must have: an operator or a decorator, and what that operator cannot do without."""
    return {
        "anyOf": [{"required": ["operator"]}, {"required": ["decorator"]}],
        "allOf": [
            {**_where_it_is(path), "then": {"anyOf": _given(definition)}}
            for path, definition in sorted(operators.items())
            if _needed(definition)
        ],
    }


def _where_it_is(operator: str) -> Schema:
    return {"if": {"properties": {"operator": {"const": operator}}, "required": ["operator"]}}


def _needed(definition: Schema) -> list[str]:
    return [name for name, kind in definition["properties"].items() if kind.get("x-required")]


def _given(definition: Schema) -> list[Schema]:
    """Return the ways in which a task gives what its operator must have: itself, or mapped over."""
    return [{"required": _needed(definition)}, {"required": ["expand"]}]


def definition_of(cls: type, stop: type, base: dict[str, Schema]) -> Schema:
    """Return the schema of one class: its arguments, and of ``base`` only what it sees differently."""
    own = {
        name: kind
        for name, kind in arguments(cls, stop).items()
        if name not in base and name not in NOT_IN_YAML
    }
    doc = (cls.__doc__ or "").strip().split("\n\n")[0]
    properties = {name: _as_in_yaml(name, kind) for name, kind in sorted(own.items())}
    return {"description": " ".join(doc.split())[:300], "properties": properties, **facts_of(cls)}


def facts_of(cls: type) -> dict[str, Any]:
    """Return what the checks need to know of an operator or a notifier beside its arguments.

    ``x-template-fields``: what Airflow renders. ``x-template-ext``: the ends of texts that name a file
    instead. ``x-skips``: how it skips tasks after it, as a ``branch`` or a ``short circuit``, and ``x-skips-
    all`` whether that one skips all of them unless told otherwise. ``x-sensor``: it waits.
    """
    facts: dict[str, Any] = {"x-template-fields": sorted(getattr(cls, "template_fields", ()))}
    if endings := [ending for ending in getattr(cls, "template_ext", ()) if ending]:
        facts["x-template-ext"] = sorted(endings)
    names = {base.__name__ for base in cls.__mro__}
    if "SkipMixin" in names and "LatestOnlyOperator" not in names:  # that one skips all or nothing
        flag = _default_of(cls, "ignore_downstream_trigger_rules")
        facts["x-skips"] = "branch" if flag is None else "short circuit"
        facts |= {} if flag is None else {"x-skips-all": flag}
    if "BaseSensorOperator" in names:
        facts["x-sensor"] = True
    return facts


def _default_of(cls: type, name: str) -> Any:
    """Return the default of an argument of a class or one of its bases, None if it has no such argument."""
    import inspect

    for base in cls.__mro__:
        if "__init__" in base.__dict__:
            found = inspect.signature(base.__dict__["__init__"]).parameters.get(name)
            if found is not None and found.default is not found.empty:
                return found.default
    return None


def find_decorators() -> Iterator[tuple[str, Schema]]:
    """Yield (dotted path, facts) of each task decorator of the installed providers."""
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk import BaseOperator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = dict(ProvidersManager().taskflow_decorators)
    for name, decorator in sorted(found.items()):
        module = importlib.import_module(decorator.__module__)
        classes = [
            one
            for one in vars(module).values()
            if isinstance(one, type) and issubclass(one, BaseOperator) and one.__module__ == module.__name__
        ]
        yield (
            f"{module.__name__}.{decorator.__name__}",
            {"x-name": name, **(facts_of(classes[0]) if classes else {})},
        )


def _as_in_yaml(name: str, kind: Schema) -> Schema:
    """Return an argument's schema with what dag-factory makes of YAML before the operator sees it."""
    if name == "mode" and kind.get("default") == "poke":
        return {**kind, "enum": ["poke", "reschedule"]}
    if name == "execution_delta":  # dag-factory makes one of "1 hours", too
        one_unit: Schema = {"type": "string", "pattern": r"^\d+ (hour|minute|second|day)s?$"}
        return {**kind, "anyOf": [*kind["anyOf"], one_unit]}
    if name == "metrics_thresholds":  # Airflow compares ratios with them, whatever the annotation says
        return {**kind, "additionalProperties": {"type": "number"}}
    if name.startswith("follow_task_ids_if_"):  # one task's id alone is taken, too
        facts = {key: fact for key, fact in kind.items() if key not in ("type", "items", "anyOf")}
        return {**facts, "anyOf": [TEXT, *kind.get("anyOf", [{"type": "array", "items": TEXT}])]}
    if name in ("op_kwargs", "params", "env", "conf"):
        held = [one for one in kind.get("anyOf", [kind]) if "additionalProperties" in one]
        if name == "env" and "type" not in kind and "anyOf" not in kind:  # BashSensor does not say
            held = [{"type": "object", "additionalProperties": TEXT}]
        return {**kind, "anyOf": [*(held or [{"type": "object"}]), {"type": "null"}, TEMPLATE]}
    return kind


def find_classes(
    folders: frozenset[str] | set[str], base: type, providers: frozenset[str]
) -> Iterator[tuple[str, type]]:
    """Yield (dotted path, class) of each subclass of ``base`` that YAML may name.

    In these providers it is in one of these folders, in the project's own packages anywhere.
    """
    names = [name for name in _modules("airflow.providers") if folders & {*name.split(".")}]
    names = [name for name in names if is_of(name, providers)]
    names += [name for package in own_packages() for name in _modules(package) if not is_private(name)]
    for module in names:
        try:
            found = vars(importlib.import_module(module))
        except Exception:  # noqa: S112 - needs a package that is not installed: no one can use it
            continue
        for name, cls in sorted(found.items(), key=lambda item: item[0]):
            defined_here = getattr(cls, "__module__", None) == module and isinstance(cls, type)
            if defined_here and issubclass(cls, base) and name[0].isupper() and not name.startswith("Base"):
                yield f"{module}.{name}", cls


def _modules(package: str) -> list[str]:
    """Return a package and all modules below it, those in folders without ``__init__.py`` included.

    Providers lie in such folders (airflow.providers.common, .apache, .microsoft), which ``pkgutil`` leaves
    out.
    """
    top = importlib.import_module(package)
    found = {package}
    for place in getattr(top, "__path__", []):
        for file in Path(place).rglob("*.py"):
            parts = file.relative_to(place).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if all(part.isidentifier() for part in parts) and "example_dags" not in parts:
                found.add(".".join((package, *parts)))
    return sorted(found)


def _types() -> Iterator[tuple[str, Schema]]:
    """Yield (dotted path, schema) of the classes that ``__type__`` can usefully name."""
    yield "builtins.list", {"properties": {"items": {"type": "array"}}}
    durations = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")
    yield "datetime.timedelta", {"properties": {name: {"type": "number"} for name in durations}}
    clock = ("hour", "minute", "second", "microsecond")
    calendar = ("year", "month", "day")
    for name, parts in (("time", clock), ("date", calendar), ("datetime", calendar + clock)):
        yield f"datetime.{name}", {"properties": {part: {"type": "integer"} for part in parts}}
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


def schema_text(providers: frozenset[str] | None = None) -> str:
    """Return the schema as the text of its file; ``providers`` is as in build_schema."""
    return json.dumps(build_schema(providers), indent=1, sort_keys=True, default=str) + "\n"
