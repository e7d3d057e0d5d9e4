"""What the schema says of a document: unknown keys, values of the wrong kind, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from batch_serving.shared.suggestions import did_you_mean, suggest
from schemas.catalog.lookup import find_definition, load_schema
from schemas.catalog.old_names import VALUE_NAMES
from schemas.checks.kinds import action, as_yaml, kind_of, shown, type_example
from schemas.checks.violations import Violation, violations
from schemas.documents.arguments import PARTS, defaults_of
from schemas.documents.graph import Graph, graphs_of
from schemas.documents.reading import Document
from schemas.documents.rules import WRONG_VALUE
from schemas.problems import Fix, KeyPath, Problem, fix_of

MOST_OPTIONS = 20  # that a message lists


def violations_of(document: Document) -> list[Violation]:
    """Return where the document departs from the schema of DAG files, or of defaults files."""
    return list(violations(_validator(document.is_defaults), document.data))


def check_kinds(document: Document, found: list[Violation]) -> Iterator[Problem]:
    """Yield a problem for each value of the wrong kind and for each key that is missing.

    The keys are those that are meant: ``check_keys`` reports the others. ``found`` is as there.
    """
    for violation in found:
        yield from _translate(document, violation, violation.path)
    for graph in graphs_of(document):
        for task_id in graph.tasks:
            yield from _operator_arguments(document, graph, task_id)


@cache
def _validator(defaults: bool) -> Any:
    import jsonschema

    schema = load_schema()
    # What depends on the operator is checked below: a look-up, where JSON Schema would try each one.
    task = {
        key: value
        for key, value in schema["$defs"]["task"].items()
        if key not in ("allOf", "unevaluatedProperties")
    }
    # A task of any file must be complete: ``_is_given_by_default`` knows what the shared tasks add.
    task["anyOf"] = schema["$defs"]["complete_task"]["anyOf"]
    schema = {**schema, "$defs": {**schema["$defs"], "task": task, "complete_task": True}}
    if defaults:
        schema = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/defaults"}
    return jsonschema.Draft202012Validator(schema)


@cache
def _operator_validator(operator: str) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(find_definition("operators", operator) or {})


def _operator_arguments(document: Document, graph: Graph, task_id: str) -> Iterator[Problem]:
    """Check the values that a task gives its operator, and that it gives all that the operator needs."""
    task, path = graph.tasks[task_id], graph.paths[task_id]
    operator = task.get("operator")
    own = find_definition("operators", operator)
    if own is None:
        return
    defaults: dict[str, Any] = {}
    places = [((), task), (("partial",), task.get("partial"))]
    parts = [((*path, *where), given) for where, given in places if isinstance(given, dict)]
    for place, given in defaults_of(document, graph, task_id):
        defaults |= given
        parts += [(place, given)] if place != path else []  # those of another file are checked there
    parts += [(at, {key: item}) for at, key, item in _mapped(task, path)]
    for place, values in parts:
        given = {key: value for key, value in values.items() if key in own["properties"]}
        for violation in violations(_operator_validator(str(operator)), given):
            at = (*place, *violation.path[1:]) if isinstance(place[-1], int) else (*place, *violation.path)
            yield from _translate(document, violation, at)
    if path in document.damaged:
        return
    written = {*task, *defaults}.union(*(task[part] for part in PARTS if isinstance(task.get(part), dict)))
    for key, kind in own["properties"].items():
        if kind.get("x-required") and task.get(key) == {}:
            message = f"{key} is empty, and {str(operator).rpartition('.')[2]} needs what is in it"
            yield document.problem(WRONG_VALUE, (*path, key), message, f"add an entry to {key}")
        if kind.get("x-required") and key not in written:
            name = str(operator).rpartition(".")[2]
            yield document.problem(WRONG_VALUE, path, f"{name} needs {key!r}", f"add {key}", key=True)


def _mapped(task: dict[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, str, Any]]:
    """Yield (path, argument, value) of each item that a task maps over."""
    given = task.get("expand")
    for key, values in given.items() if isinstance(given, dict) else ():
        for index, item in enumerate(values) if isinstance(values, list) else ():
            yield (*path, "expand", key, index), key, item


def _translate(document: Document, violation: Violation, path: KeyPath) -> Iterator[Problem]:
    """Turn what the validator found at ``path`` into problems in plain words."""
    if violation.keyword == "additionalProperties":
        return  # check_keys has it
    if violation.needs:
        yield from _missing(document, violation, path)
    elif violation.keyword == "dependentRequired":
        for key, needed in violation.expected.items():
            for name in needed:
                if key in violation.value and name not in violation.value:
                    message, hint = f"{key!r} needs {name!r}", f"add {name}"
                    yield document.problem(WRONG_VALUE, (*path, key), message, hint, key=True)
    else:
        yield _wrong_value(document, violation, path)


def _missing(document: Document, violation: Violation, path: KeyPath) -> Iterator[Problem]:
    if path in document.damaged or _is_given_by_default(document, path, violation.needs):
        return  # it may stand in a line that could not be read, which is reported
    wanted = [name for name in violation.needs if name not in ("__join__", "__and__", "__or__")]
    if violation.keyword == "required":
        wanted = [name for name in wanted if name not in violation.value][:1]
    message = f"{' or '.join(map(repr, wanted))} is missing"
    hint = f"add {' or '.join(wanted)}"
    if wanted == ["__type__"]:
        hint = _of_what_type(violation)
    elif wanted == ["tasks"] and path and did_you_mean(str(path[-1]), ["default"]):
        hint = did_you_mean(str(path[-1]), ["default"])
    yield document.problem(WRONG_VALUE, path, message, hint, key=True)


def _of_what_type(violation: Violation) -> str:
    """Return what to write where a mapping does not say what it is."""
    value = violation.value
    for key, special in (("or", "__or__"), ("any", "__or__"), ("and", "__and__"), ("all", "__and__")):
        if key in value:
            return f"write {special} in place of {key}"
    if isinstance(value.get("cron"), str):
        return f"write schedule: '{value['cron']}'"
    given = {key: one for key, one in value.items() if key in ("uri", "name")}
    if given and "asset" in kind_of(violation.described):
        return f"write {as_yaml({'__type__': 'airflow.sdk.Asset', **given})}"
    return f"say what it is, as in {type_example(violation.described)}"


def _is_given_by_default(document: Document, path: KeyPath, needed: list[str]) -> bool:
    """Return whether a task has what it needs from the tasks that the DAGs share."""
    if len(path) != 3 or path[1] != "tasks" or path[0] not in document.dags:
        return False
    tasks = document.config_of(str(path[0])).get("tasks")
    task = tasks.get(path[2]) if isinstance(tasks, dict) else None
    return isinstance(task, dict) and bool({*needed} & {*task})


def _wrong_value(document: Document, violation: Violation, path: KeyPath) -> Problem:
    key = next((part for part in reversed(path) if isinstance(part, str)), "the file")
    key = f"an item of {key}" if path and isinstance(path[-1], int) else key
    value, expected = violation.value, violation.expected
    match violation.keyword:
        case "enum":
            return _not_an_option(document, path, key, value, [str(option) for option in expected])
        case "minProperties" | "minItems":
            message, hint = f"{key} is empty", f"add at least one entry to {key}, or remove it"
        case "minimum":
            message, hint = (
                f"{key} must be {expected} or more, got {shown(value)}",
                f"write {expected} or more",
            )
        case "maximum":
            message, hint = (
                f"{key} must be {expected} or less, got {shown(value)}",
                f"write {expected} or less",
            )
        case "type" | "anyOf" | "pattern" | "required":
            schema = violation.described if kind_of(violation.described) else violation.schema
            options = [str(one) for part in schema.get("anyOf", ()) for one in part.get("enum", ())]
            kind = kind_of(schema) or "a value of another kind"
            written = document.written(path)
            message = f"{key} must be {kind}, got {shown(value, written)}"
            hint = action(schema, key, value, written)
            if value is None:
                message = f"{key} is empty"
            if found := suggest(str(value), options):
                return document.problem(WRONG_VALUE, path, message, found.hint, fix=fix_of(str(value), found))
        case _:
            message, hint = f"{key} does not fit {violation.keyword}: {shown(expected)}", f"correct {key}"
    return document.problem(WRONG_VALUE, path, message, hint)


def _not_an_option(document: Document, path: KeyPath, key: str, value: Any, options: list[str]) -> Problem:
    message = f"{key} must be one of {', '.join(options)}, got {shown(value)}"
    if len(options) > MOST_OPTIONS:
        message = f"{key} must be one of {len(options)} known names, got {shown(value)}"
    new = VALUE_NAMES.get(str(value))
    if new in options:
        return document.problem(WRONG_VALUE, path, message, f"write {new}", fix=Fix(str(value), str(new)))
    found = suggest(str(value), options)
    hint = found.hint if found else f"write one of {', '.join(options[:MOST_OPTIONS])}"
    return document.problem(WRONG_VALUE, path, message, hint, fix=fix_of(str(value), found))
