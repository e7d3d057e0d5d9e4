"""Keys that their place does not know: of files, DAGs, tasks and operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from batch_serving.shared.suggestions import Suggestion, nearest, suggest
from schemas.catalog.generate import ARGUMENT_TYPES, DAG_KEYS, GROUP_KEYS, TASK_KEYS
from schemas.catalog.lookup import find_definition, load_schema
from schemas.catalog.old_names import CLASS_ADVICE, CONNECTION_NAMES, KEY_ADVICE, KEY_NAMES
from schemas.catalog.providers import lacks_provider, paths_today
from schemas.checks.examples import BASH
from schemas.checks.violations import Violation
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.problems import Fix, KeyPath, Problem, Rule, fix_of

# dag-factory's own, at any depth.
SPECIAL_KEYS = ("__type__", "__args__", "__and__", "__or__", "__join__")


UNKNOWN_KEY = Rule(
    "DAG002",
    "unknown key",
    why="dag-factory drops an unknown key of a DAG without a word: the run goes on with the default.",
    bad="schedul: '@daily'",
    good="schedule: '@daily'",
)


GIVEN_IN_BOTH = Rule(
    "DAG121",
    "an argument is given in the task and in expand or partial",
    why="Airflow refuses to build a task that is given one argument twice.",
    bad=(f"{BASH}\nbash_command: echo 1\nexpand: {{bash_command: [echo 2, echo 3]}}"),
    good=(f"{BASH}\nexpand: {{bash_command: [echo 2, echo 3]}}"),
    scope="task",
)


def check_keys(document: Document, found: list[Violation]) -> Iterator[Problem]:
    """Yield a problem for each key that its place does not know, with the key that is meant as its fix.

    ``found`` is what ``violations_of`` returns for the document.
    """
    for violation in found:
        if violation.keyword == "additionalProperties":
            yield from _unknown_keys(document, violation)
        elif violation.needs:
            yield from _misspelt(document, violation, violation.needs)
        elif violation.keyword == "dependentRequired":
            needed = [
                name for key, names in violation.expected.items() if key in violation.value for name in names
            ]
            yield from _misspelt(document, violation, needed)
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            yield from _unknown_arguments(document, paths[task_id], task)


def _unknown_keys(document: Document, violation: Violation) -> Iterator[Problem]:
    known = violation.schema["properties"]
    if violation.path and violation.path[-1] == "default_args":
        known = {**known, **_arguments_in_use(document)}
    for key in violation.value:
        if key not in known:
            yield _unknown_key(document, (*violation.path, key), known, violation.value)


def _arguments_in_use(document: Document) -> dict[str, Any]:
    """Return the arguments of the operators that a document names: the file lacks those of extras."""
    operators = [task.get("operator") for _, tasks, _ in tasks_of(document) for task in tasks.values()]
    found = [find_definition("operators", operator) for operator in operators]
    return {name: kind for one in found if one for name, kind in one["properties"].items()}


def _misspelt(document: Document, violation: Violation, needed: list[str]) -> Iterator[Problem]:
    """Yield the key that is meant for one that must be there, where a mapping takes any other key, too."""
    wanted = [name for name in needed if name not in violation.value]
    known = {
        *violation.schema.get("properties", ()),
        *DAG_KEYS,
        *ARGUMENT_TYPES,
        *GROUP_KEYS,
        *TASK_KEYS,
    }
    path = violation.path
    for key in violation.value:
        if key in SPECIAL_KEYS:
            continue
        if key in KEY_ADVICE and key != "name" and "__type__" in wanted:
            message = f"unknown key {key!r}"
            yield document.problem(UNKNOWN_KEY, (*path, key), message, KEY_ADVICE[key], key=True)
            return
        near = suggest(str(key), [*wanted, *known, *SPECIAL_KEYS]) if key not in known else None
        if near is not None and near.name in wanted:
            fix = fix_of(str(key), near)
            message = f"unknown key {str(key)!r}"
            yield document.problem(UNKNOWN_KEY, (*path, key), message, near.hint, key=True, fix=fix)
            return


def _unknown_key(
    document: Document, path: KeyPath, known: Mapping[str, Any], given: dict[str, Any], of: str = ""
) -> Problem:
    """Return the problem of a key that is not known, with the known one that is meant if only one is near.

    A key that the mapping has already cannot be meant for certain; one that it only merges can.
    """
    key = str(path[-1])
    message = f"unknown key {key!r} for {of}" if of else f"unknown key {key!r}"
    written = {str(name) for name in given if _is_written(document, (*path[:-1], str(name)))}
    new = "conn_id" if key in CONNECTION_NAMES and "conn_id" in known else KEY_NAMES.get(key)
    if new in known:
        same_kind = new != "dependencies" or isinstance(given.get(key), list)
        fix = Fix(key, str(new)) if new not in written and same_kind else None
        hint = f"remove it: {new} is given already" if new in written else f"write {new}"
        return document.problem(UNKNOWN_KEY, path, message, hint, key=True, fix=fix)
    if advice := KEY_ADVICE.get(key) or _where_it_belongs(path, key):
        return document.problem(UNKNOWN_KEY, path, message, advice, key=True)
    found = suggest_key(key, known, given.get(key))
    fix = fix_of(key, found) if found and found.name not in written else None
    hint = found.hint if found else _other_place(path, key)
    return document.problem(UNKNOWN_KEY, path, message, hint, key=True, fix=fix)


def _is_written(document: Document, path: KeyPath) -> bool:
    """Return whether a key stands in its mapping itself, and does not come from one that is merged."""
    key, around = document.positions.keys.get(path), document.positions.values.get(path[:-1])
    return key is not None and (around is None or around.start <= key.start < around.end or around.end == 0)


def suggest_key(key: str, known: Mapping[str, Any], value: Any) -> Suggestion | None:
    """Return the key that is meant: of several that are as near, the one whose kind the value is of."""
    found = suggest(key, known)
    if found is None or found.certain:
        return found
    fitting = [name for name in nearest(key, known) if _may_hold(known[name], value)]
    return Suggestion(fitting[0], certain=True) if len(fitting) == 1 else found


def _may_hold(schema: Any, value: Any) -> bool:
    """Return whether a key of this schema may have a value of this kind, as far as its top level says."""
    alternatives = schema.get("anyOf", [schema]) if isinstance(schema, dict) else [{}]
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer"}
    wanted = names.get(type(value), "")
    types = [one.get("type", "") for one in alternatives]
    return any(not kind or wanted == kind or wanted in kind for kind in types)


def _other_place(path: KeyPath, key: str) -> str:
    """Return the hint for a key that is near one of another place, or an empty text."""
    defaults = load_schema()["$defs"]["default_args"]["properties"]
    base = load_schema()["$defs"]["task"]["properties"]
    if len(path) <= 2 and (found := suggest(key, [name for name in base if name in defaults])):
        return f"{found.hint} It is a task's key: move it into default_args, or into a task"
    if len(path) > 2 and (found := suggest(key, DAG_KEYS)):
        return f"{found.hint} It is a key of the DAG: move it there"
    return "remove it"


def _where_it_belongs(path: KeyPath, key: str) -> str:
    """Return where a key belongs that is known, but not here, or an empty text."""
    new = KEY_NAMES.get(key, key)
    if new in DAG_KEYS and len(path) > 1 and path[-2] == "default_args":
        moved = "move it one level up" if new == key else f"write {new} one level up"
        return f"{new} is a key of the DAG: {moved}"
    if key in DAG_KEYS and len(path) > 2:
        return f"{key} is a key of the DAG: move it there"
    if key in load_schema()["$defs"]["default_args"]["properties"] and len(path) <= 2:
        return f"{key} is a task's key: move it into default_args, or into a task"
    return ""


def _unknown_arguments(document: Document, path: KeyPath, task: dict[str, Any]) -> Iterator[Problem]:
    """Yield the keys that neither tasks nor the operator know, in the task and in what it maps over."""
    operator = task.get("operator")
    known, name = _known_arguments(operator, task)
    if not known:
        return
    for where in ((), ("expand",), ("partial",)):
        given = task.get(where[0]) if where else task
        if not isinstance(given, dict):
            continue
        for key in given:
            if key not in known:
                yield _unknown_key(document, (*path, *where, key), known, given, name)
            elif where and key in task:
                message = f"{key!r} is given in the task and in {where[0]}"
                yield document.problem(GIVEN_IN_BOTH, (*path, *where, key), message, "remove one", key=True)


def _known_arguments(operator: object, task: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the keys that a task may have, and the operator's name; no keys where that is not known.

    Of an operator that is wrong, which is reported, they are those of the one that is meant.
    """
    from schemas.checks.path_hints import path_meant

    base: dict[str, Any] = load_schema()["$defs"]["task"]["properties"]
    if "decorator" in task or not isinstance(operator, str):
        return ({}, "") if "decorator" in task else ({**{name: {} for name in _all_arguments()}, **base}, "")
    if own := find_definition("operators", operator):
        return {**base, **own["properties"]}, operator.rpartition(".")[2]
    if _has_no_schema(operator) or lacks_provider(operator):
        return {}, ""
    advised = CLASS_ADVICE.get(operator.rpartition(".")[2], "")
    meant = next(iter(paths_today(advised)), "") or path_meant("operator", operator)
    own = find_definition("operators", meant)
    return ({**base, **own["properties"]}, meant.rpartition(".")[2]) if own else ({}, "")


def _has_no_schema(operator: object) -> bool:
    """Return whether an operator is right and the catalog does not have it: a custom one, for example."""
    from schemas.checks.paths import resolved

    return resolved(operator) is not None


@cache
def _all_arguments() -> tuple[str, ...]:
    found = load_schema()["$defs"]["operators"].values()
    return tuple(dict.fromkeys(name for definition in found for name in definition["properties"]))
