"""Dotted paths: they lie in an allowed package, are meant for YAML, and name something of their kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from schemas.diagnostics import Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import (
    CODE_BY_FILE,
    UnresolvedError,
    allowed_packages,
    did_you_mean,
    is_allowed,
    is_own,
    is_private,
    resolve,
)
from schemas.schema import find_definition, load_schema

PATH_KEYS = (
    *("operator", "decorator", "python_callable", "callback", "__type__", "execution_date_fn"),
    "callback_callable",
)
TAKES_PATH = ("SyncCallback",)  # SyncCallback and AsyncCallback import what their first argument names
DECORATORS = re.compile(r"airflow\.sdk\.task(\.\w+)?|airflow\.providers\..*\bdecorators\..*\w+_task")
KINDS = {"operator": "operators", "callback": "notifiers", "__type__": "types"}
FUNCTIONS = frozenset({"user_defined_filters", "user_defined_macros"})  # every value below is a path
# Below these keys a name is the person's own, and names no code.
FREE = frozenset({"op_kwargs", "params", "env", "conf"})
NAMED = ("tasks", "task_groups")  # the key after these is a name that the person chose


def is_free(document: Document, path: KeyPath) -> bool:
    """Tell whether ``path`` lies below a FREE key; a DAG or task that is called so does not count."""
    index = 0 if document.is_defaults else 1
    while index < len(path) - 1:
        if path[index] in FREE:
            return True
        index += 2 if path[index] in NAMED else 1
    return False


def check_paths(document: Document) -> Iterator[Diagnostic]:
    """Every dotted path lies in an allowed package, is meant for YAML, and names something of its kind."""
    for path, text in _dotted_paths(document.data, ()):
        if path[-1] not in ("__type__", "callback_callable", 0) and is_free(document, path):
            continue  # plain data of the person's own; only __type__ works at any depth
        if not is_allowed(text):
            hint = _full_path(str(path[-1]), text) or f"allowed are: {', '.join(allowed_packages())}"
            yield document.problem("DAG201", path, f"{text!r} may not be named in YAML", hint)
        elif is_private(text):
            hint = "name a function of a module without a leading underscore"
            yield document.problem("DAG202", path, f"{text!r} is not for YAML", hint)
        else:
            yield from _check_path(document, path, text)


def is_decorator(text: str) -> bool:
    """Tell whether a dotted path names a task decorator, by its name; one of the project may have any."""
    return DECORATORS.fullmatch(text) is not None or is_own(text)


def _full_path(key: str, name: str) -> str:
    """Return the path of what is called so now, or an empty text: Airflow 2 had its operators elsewhere."""
    known = load_schema()["$defs"].get(KINDS.get(key, ""), {})
    full = [path for path in known if path.rpartition(".")[2] == name.rpartition(".")[2]]
    return f"did you mean {full[0]!r}?" if full else ""


def _check_path(document: Document, path: KeyPath, text: str) -> Iterator[Diagnostic]:
    if find_definition(KINDS.get(str(path[-1]), ""), text) is not None:
        return  # the schema knows it: nothing is imported
    try:
        found = resolve(text)
    except UnresolvedError as error:
        yield document.problem("DAG101", path, f"{path[-1]}: {error}", error.hint)
        return
    if path[-1] == "decorator" and not is_decorator(text):
        hint = did_you_mean(text, ("airflow.sdk.task",)) or "name a decorator, such as airflow.sdk.task"
        yield document.problem("DAG101", path, f"decorator: {text!r} is not a decorator", hint)
    elif not callable(found):
        yield document.problem("DAG101", path, f"{path[-1]}: {text!r} is not callable")
    elif path[-1] == "__type__" and not isinstance(found, type):
        yield document.problem("DAG201", path, f"__type__: {text!r} is not a class", "name a class")
    elif path[-1] == "operator" and not (isinstance(found, type) and hasattr(found, "execute")):
        yield document.problem(
            "DAG101", path, f"operator: {text!r} is not an operator", "name an operator's class"
        )
    elif not _belongs(found, text):
        message = f"{text!r} is only imported there; it belongs to {found.__module__!r}"
        yield document.problem("DAG202", path, message, "name a function where it is defined")


def check_no_code_by_file(document: Document) -> Iterator[Diagnostic]:
    """No key names code by a file or as text: dag-factory would run it when it reads the YAML."""
    for path in document.keys:
        key = path[-1]
        if isinstance(key, str) and key.endswith(CODE_BY_FILE) and not is_free(document, path):
            hint = "name a function by its dotted path, as in python_callable or on_failure_callback"
            yield document.problem(
                "DAG201", path, f"{key!r} names code that cannot be checked", hint, key=True
            )


def _dotted_paths(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            here = (*path, key)
            if isinstance(item, dict) and isinstance(item.get("__join__"), list):
                item = "".join(map(str, item["__join__"]))  # as dag-factory will
            names_something = (
                key in PATH_KEYS or str(key).endswith("_callback") or FUNCTIONS.intersection(path)
            )
            if (
                key == "__args__"
                and isinstance(item, list)
                and str(value.get("__type__")).endswith(TAKES_PATH)
            ):
                yield from (((*here, 0), text) for text in item[:1] if isinstance(text, str))
            if names_something and isinstance(item, str):
                yield here, item
            else:
                yield from _dotted_paths(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str) and FUNCTIONS.intersection(path):
                yield (*path, index), item
            yield from _dotted_paths(item, (*path, index))


def resolved(text: Any) -> Any | None:
    """Return what an allowed path names, or None: check_paths tells why, or the schema knows it."""
    if any(find_definition(kind, text) is not None for kind in KINDS.values()):
        return None
    if not isinstance(text, str) or not is_allowed(text) or is_private(text):
        return None
    try:
        found = resolve(text)
    except UnresolvedError:
        return None
    return found if _belongs(found, text) else None


def _belongs(found: Any, text: str) -> bool:
    """Tell whether what a path gives is at home there, and not something of another module's.

    A function of the project's is named where it is defined; Airflow offers its own under several names.
    """
    home = str(getattr(found, "__module__", ""))
    return home == text.rpartition(".")[0] if text.startswith("callables.") else is_allowed(f"{home}.")
