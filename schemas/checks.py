"""What a schema cannot say: each check is a function from document to diagnostics; all are in CHECKS."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from schemas.diagnostics import Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import (
    CODE_BY_FILE,
    UnresolvedError,
    allowed_packages,
    arguments_of,
    did_you_mean,
    is_allowed,
    resolve,
)
from schemas.schema import TASK_KEYS, find_definition

PATH_KEYS = ("operator", "decorator", "python_callable", "callback", "__type__", "execution_date_fn")
KINDS = {"operator": "operators", "callback": "notifiers", "__type__": "types"}
BRANCH_ARGUMENTS = ("better_task", "otherwise_task")


Tasks = dict[str, dict[str, Any]]


def tasks_of(document: Document) -> Iterator[tuple[str, Tasks, dict[str, KeyPath]]]:
    """Yield (dag_id, tasks by id, path of each task) for each DAG; tasks as mapping or as list."""
    for dag_id, config in document.dags.items():
        found = config.get("tasks") if isinstance(config, dict) else None
        if isinstance(found, dict):
            paths: dict[str, KeyPath] = {name: (dag_id, "tasks", name) for name in found}
            yield dag_id, found, paths
        elif isinstance(found, list):
            named = {str(task.get("task_id")): task for task in found if isinstance(task, dict)}
            indexes: dict[str, KeyPath] = {
                str(task.get("task_id")): (dag_id, "tasks", i) for i, task in enumerate(found)
            }
            yield dag_id, named, indexes


def check_paths(document: Document) -> Iterator[Diagnostic]:
    """Every dotted path lies in an allowed package, is meant for YAML, and names something of its kind."""
    for path, text in _dotted_paths(document.data, ()):
        if not is_allowed(text):
            packages = ", ".join(allowed_packages())
            yield document.problem(
                "DAG201", path, f"{text!r} may not be named in YAML", f"allowed are: {packages}"
            )
        elif _is_private(text):
            hint = "name a function of a module without a leading underscore"
            yield document.problem("DAG202", path, f"{text!r} is not for YAML", hint)
        else:
            yield from _check_path(document, path, text)


def _check_path(document: Document, path: KeyPath, text: str) -> Iterator[Diagnostic]:
    if find_definition(KINDS.get(str(path[-1]), ""), text) is not None:
        return  # the schema knows it: nothing is imported
    try:
        found = resolve(text)
    except UnresolvedError as error:
        yield document.problem("DAG101", path, f"{path[-1]}: {error}", error.hint)
        return
    home = getattr(found, "__module__", None)
    if not callable(found):
        yield document.problem("DAG101", path, f"{path[-1]}: {text!r} is not callable")
    elif path[-1] == "__type__" and not isinstance(found, type):
        yield document.problem("DAG201", path, f"__type__: {text!r} is not a class", "name a class")
    elif path[-1] == "operator" and not (isinstance(found, type) and hasattr(found, "execute")):
        yield document.problem(
            "DAG101", path, f"operator: {text!r} is not an operator", "name an operator's class"
        )
    elif text.startswith("callables.") and home != text.rpartition(".")[0]:
        message = f"{text!r} is only imported there; it belongs to {home!r}"
        yield document.problem("DAG202", path, message, "name a function where it is defined")


def check_no_code_by_file(document: Document) -> Iterator[Diagnostic]:
    """No key names code by a file or as text: dag-factory would run it when it reads the YAML."""
    for path in document.keys:
        key = path[-1]
        if (
            isinstance(key, str)
            and key.endswith(CODE_BY_FILE)
            and not {"op_kwargs", "params", "env"} & {*path[:-1]}
        ):
            hint = "name a function by its dotted path, as in python_callable or on_failure_callback"
            yield document.problem(
                "DAG201", path, f"{key!r} names code that cannot be checked", hint, key=True
            )


def _dotted_paths(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            here = (*path, key)
            names_something = (
                key in PATH_KEYS or str(key).endswith("_callback") or "user_defined_macros" in path
            )
            if names_something and isinstance(item, str):
                yield here, item
            else:
                yield from _dotted_paths(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _dotted_paths(item, (*path, index))


def _is_private(text: str) -> bool:
    return text.startswith("callables.") and any(part.startswith("_") for part in text.split("."))


def _resolved(text: Any) -> Any | None:
    """Return what an allowed path names, or None: check_paths tells why, or the schema knows it."""
    if any(find_definition(kind, text) is not None for kind in KINDS.values()):
        return None
    if not isinstance(text, str) or not is_allowed(text) or _is_private(text):
        return None
    try:
        return resolve(text)
    except UnresolvedError:
        return None


def check_task_keys(document: Document) -> Iterator[Diagnostic]:
    """Every key of a task with an operator of the project's own is one of its arguments, or dag-factory's."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            if find_definition("operators", task.get("operator")) is not None:
                continue  # the schema knows it
            operator = _resolved(task.get("operator"))
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
            function = _resolved(task.get("python_callable"))
            if inspect.isfunction(function) and not task.get("op_args") and not task.get("expand"):
                given = task.get("op_kwargs") or {}
                if isinstance(given, dict):
                    where = (*paths[task_id], "op_kwargs")
                    yield from _bind(document, where, function, given, optional=frozenset())
    for path, callback in _mappings(document.data, ()):
        function = _resolved(callback.get("callback"))
        if inspect.isfunction(function):
            given = {name: value for name, value in callback.items() if name != "callback"}
            yield from _bind(document, path, function, given, optional=frozenset({"context"}))


def _bind(
    document: Document, path: KeyPath, function: Callable, given: dict[str, Any], *, optional: frozenset[str]
) -> Iterator[Diagnostic]:
    parameters = inspect.signature(function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    meant: set[str] = set()
    for name in given:
        if name not in parameters:
            message = f"{function.__name__}() has no argument {name!r}"
            hint = did_you_mean(name, parameters)
            meant.update(known for known in parameters if repr(known) in hint)
            yield document.problem("DAG102", (*path, name), message, hint, key=True)
    missing = [
        one.name
        for one in parameters.values()
        if one.default is one.empty and one.name not in {*given, *optional, *meant}
    ]
    if missing:
        message = f"{function.__name__}() needs {', '.join(map(repr, missing))}"
        yield document.problem("DAG102", path, message, "add it to op_kwargs", key=True)


def check_schedule(document: Document) -> Iterator[Diagnostic]:
    """A schedule given as text is a preset or a cron expression."""
    from croniter import croniter

    presets = (
        "@once",
        "@continuous",
        "@hourly",
        "@daily",
        "@midnight",
        "@weekly",
        "@monthly",
        "@quarterly",
        "@yearly",
        "@annually",
    )
    configs: dict[KeyPath, Any] = {(name,): config for name, config in document.data.items()}
    if document.is_defaults:
        configs = {(): document.data}
    for path, config in configs.items():
        schedule = config.get("schedule")
        if not isinstance(schedule, str) or schedule.strip().lower() == "none" or schedule in presets:
            continue
        if schedule.startswith("@") or not croniter.is_valid(schedule):
            message = f"schedule {schedule!r} is neither a preset nor a cron expression"
            hint = did_you_mean(schedule, presets) or "five fields, such as '*/5 * * * *', or '@hourly'"
            yield document.problem("DAG103", (*path, "schedule"), message, hint)


def check_dependencies(document: Document) -> Iterator[Diagnostic]:
    """Dependencies name tasks or groups of the same DAG, and no task waits for itself."""
    for dag_id, tasks, paths in tasks_of(document):
        groups = document.dags[dag_id].get("task_groups") or {}
        group_names = groups if isinstance(groups, dict) else [g.get("group_name") for g in groups]
        known = {*tasks, *group_names}
        for task_id, task in tasks.items():
            group = task.get("task_group_name")
            if group is not None and group not in group_names:
                at = (*paths[task_id], "task_group_name")
                message = f"task group {group!r} does not exist"
                yield document.problem("DAG104", at, message, did_you_mean(str(group), group_names))
            for index, upstream in enumerate(task.get("dependencies") or []):
                if upstream not in known:
                    at = (*paths[task_id], "dependencies", index)
                    message = f"task {task_id!r} depends on {upstream!r}, which does not exist"
                    yield document.problem("DAG104", at, message, did_you_mean(str(upstream), known))
        if cycle := _cycle({name: task.get("dependencies") or [] for name, task in tasks.items()}):
            at = (*paths[cycle[0]], "dependencies")
            yield document.problem("DAG105", at, f"tasks wait for each other: {' → '.join(cycle)}", key=True)


def _cycle(upstream: dict[str, list[str]]) -> list[str]:
    """Return a cycle as the task_ids on it, the first one again at the end, or an empty list."""
    done: set[str] = set()
    for start in upstream:
        trail: list[str] = []
        stack = [(start, iter(upstream[start]))] if start not in done else []
        while stack:
            task_id, rest = stack[-1]
            if len(trail) < len(stack):
                trail.append(task_id)
            following = next((name for name in rest if name in upstream and name not in done), None)
            if following is None:
                done.add(task_id)
                stack.pop()
                trail.pop()
            elif following in trail:
                return [*trail[trail.index(following) :], following][::-1]
            else:
                stack.append((following, iter(upstream[following])))
    return []


def check_branches(document: Document) -> Iterator[Diagnostic]:
    """The tasks that a branch chooses between are directly downstream of it."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            arguments = task.get("op_kwargs")
            if "Branch" not in str(task.get("operator")) or not isinstance(arguments, dict):
                continue
            following = [
                name for name, other in tasks.items() if task_id in (other.get("dependencies") or [])
            ]
            for name in BRANCH_ARGUMENTS:
                target = arguments.get(name)
                if isinstance(target, str) and "{{" not in target and target not in following:
                    at = (*paths[task_id], "op_kwargs", name)
                    message = f"branch target {target!r} is not directly downstream of {task_id!r}"
                    yield document.problem("DAG106", at, message, did_you_mean(target, following))


CHECKS: tuple[Callable[[Document], Iterator[Diagnostic]], ...] = (
    check_no_code_by_file,
    check_paths,
    check_task_keys,
    check_types,
    check_arguments,
    check_schedule,
    check_dependencies,
    check_branches,
)
