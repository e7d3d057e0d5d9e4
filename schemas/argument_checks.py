"""Arguments: what a task, a callback or a type is given fits what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from schemas.diagnostics import Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import arguments_of, did_you_mean
from schemas.path_checks import is_free, resolved
from schemas.schema import TASK_KEYS, find_definition, load_schema
from schemas.signatures import schema_of
from schemas.tasks import tasks_of

# dag-factory's own, at any depth.
SPECIAL_KEYS = ("__type__", "__args__", "__and__", "__or__", "__join__")


def check_task_keys(document: Document) -> Iterator[Diagnostic]:
    """Every key of a task with an operator of the project's own is one of its arguments, or dag-factory's."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            if find_definition("operators", task.get("operator")) is not None:
                continue  # the schema knows it
            operator = resolved(task.get("operator"))
            if not isinstance(operator, type) or (known := arguments_of(operator)) is None:
                continue
            everything = {*known, *TASK_KEYS, "operator"}
            for key in task:
                if key not in everything:
                    message = f"unknown key {key!r} for {operator.__name__}"
                    hint = did_you_mean(key, everything)
                    yield document.problem("DAG002", (*paths[task_id], key), message, hint, key=True)


def check_types(document: Document) -> Iterator[Diagnostic]:
    """The keys beside ``__type__``, and those of a notifier, are arguments of that class."""
    for path, mapping in _mappings(document.data, ()):
        for name in mapping:
            if str(name).startswith("__") and name not in SPECIAL_KEYS:
                message, hint = f"unknown key {name!r}", did_you_mean(name, SPECIAL_KEYS)
                yield document.problem("DAG002", (*path, name), message, hint, key=True)
        for kind, key in (("types", "__type__"), ("notifiers", "callback")):
            found = find_definition(kind, mapping.get(key))
            known = found.get("properties") if found else None
            if known is None:
                continue
            name = str(mapping[key]).rpartition(".")[2]
            for given in mapping:
                if given not in (key, "__args__") and given not in known:
                    message, hint = f"{name} has no argument {str(given)!r}", did_you_mean(str(given), known)
                    yield document.problem("DAG102", (*path, given), message, hint, key=True)


def _mappings(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from _mappings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mappings(item, (*path, index))


def check_arguments(document: Document) -> Iterator[Diagnostic]:
    """``op_kwargs`` of a task, and the arguments of a callback, fit the function's signature."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            function = resolved(task.get("python_callable"))
            if not inspect.isfunction(function) or task.get("op_args") or task.get("expand"):
                continue
            if "decorator" in task:
                yield from _check_decorated(document, paths[task_id], function, task)
            elif isinstance(given := task.get("op_kwargs") or {}, dict):
                yield from _bind(
                    document, (*paths[task_id], "op_kwargs"), function, given, hint="add it to op_kwargs"
                )
    for path, callback in _mappings(document.data, ()):
        function = None if is_free(document, (*path, "callback")) else resolved(callback.get("callback"))
        if inspect.isfunction(function):
            given = {name: value for name, value in callback.items() if name != "callback"}
            given["context"] = None  # Airflow gives it
            yield from _bind(document, path, function, given, hint="add it beside callback")


def _check_decorated(
    document: Document, path: KeyPath, function: Callable, task: dict[str, Any]
) -> Iterator[Diagnostic]:
    """dag-factory hands a decorated function those keys of the task that it takes by position, too."""
    only = [
        one.name for one in inspect.signature(function).parameters.values() if one.kind is one.KEYWORD_ONLY
    ]
    if only:
        message = f"{function.__name__}() takes {only[0]!r} by keyword only, which dag-factory cannot give it"
        yield document.problem("DAG102", (*path, "decorator"), message, "use a PythonOperator with op_kwargs")
        return
    known = {*load_schema()["$defs"]["task"]["properties"], "python_callable"}
    given = {key: value for key, value in task.items() if key not in known}
    yield from _bind(document, path, function, given, hint="add it to the task")


def _bind(
    document: Document, path: KeyPath, function: Callable, given: dict[str, Any], *, hint: str
) -> Iterator[Diagnostic]:
    parameters = inspect.signature(function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    meant: set[str] = set()
    for name in given:
        if name not in parameters:
            message = f"{function.__name__}() has no argument {name!r}"
            suggestion = did_you_mean(name, parameters)
            meant.update(known for known in parameters if repr(known) in suggestion)
            yield document.problem("DAG102", (*path, name), message, suggestion, key=True)
        elif (
            name != "context"
            and (kind := schema_of(parameters[name].annotation))
            and not _fits(given[name], kind)
        ):
            wanted = parameters[name].annotation
            message = f"{function.__name__}() takes {name!r} as {wanted}, not {given[name]!r:.60}"
            yield document.problem("DAG102", (*path, name), message)
    missing = [
        one.name
        for one in parameters.values()
        if one.default is one.empty and one.name not in {*given, *meant}
    ]
    if missing:
        message = f"{function.__name__}() needs {', '.join(map(repr, missing))}"
        yield document.problem("DAG102", path, message, hint, key=True)


def _fits(value: Any, kind: dict[str, Any]) -> bool:
    """Tell whether a plain value is of this kind; a template may become any."""
    import jsonschema

    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return True
    return jsonschema.Draft202012Validator(kind).is_valid(value)
