"""Dotted paths: they lie in an allowed package, are meant for YAML, and name something of their kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.diagnostics import Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import CODE_BY_FILE, UnresolvedError, allowed_packages, is_allowed, resolve
from schemas.schema import find_definition

PATH_KEYS = ("operator", "decorator", "python_callable", "callback", "__type__", "execution_date_fn")
KINDS = {"operator": "operators", "callback": "notifiers", "__type__": "types"}
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
        if path[-1] != "__type__" and is_free(document, path):
            continue  # plain data of the person's own; only __type__ works at any depth
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
    if not callable(found):
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
    return any(part.startswith("_") for part in text.split("."))


def resolved(text: Any) -> Any | None:
    """Return what an allowed path names, or None: check_paths tells why, or the schema knows it."""
    if any(find_definition(kind, text) is not None for kind in KINDS.values()):
        return None
    if not isinstance(text, str) or not is_allowed(text) or _is_private(text):
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
