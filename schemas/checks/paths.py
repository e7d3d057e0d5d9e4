"""Dotted paths: they are in an allowed package, are meant for YAML, and name something of their kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from batch_serving.shared.suggestions import suggest
from schemas.catalog.imports import (
    CODE_BY_FILE,
    UnresolvedError,
    allowed_packages,
    is_allowed,
    is_own,
    is_private,
    own_packages,
    resolve,
)
from schemas.catalog.lookup import facts_of_task, find_definition, load_schema
from schemas.catalog.old_names import NO_SETUP
from schemas.catalog.signatures import takes_callable
from schemas.checks.examples import EMPTY, GOOD_PRUNE, PYTHON
from schemas.checks.path_hints import KINDS, hint_for_path, path_today
from schemas.documents.arguments import arguments_of
from schemas.documents.paths import is_name
from schemas.documents.reading import Document
from schemas.problems import KeyPath, Problem, Rule

UNRESOLVED = Rule(
    "DAG101",
    "a dotted path that does not resolve",
    why="The path names nothing: with stock dag-factory the DAG would just be gone.",
    bad=(f"{PYTHON}\npython_callable: callables.models.prun"),
    good=GOOD_PRUNE,
    scope="task",
)
WRONG_KIND = Rule(
    "DAG134",
    "a dotted path that names something of another kind",
    why="A function is not an operator, and a constant cannot be called: the DAG would not build.",
    bad="operator: callables.models.prune",
    good=EMPTY,
    scope="task",
)
NOT_ALLOWED = Rule(
    "DAG201",
    "a path outside the allowed packages",
    why="Who edits YAML may run what engineers put into callables/, and nothing else on the machine.",
    bad=f"{PYTHON}\npython_callable: os.getcwd",
    good=GOOD_PRUNE,
    scope="task",
    can_be_ignored=False,
)
NOT_FOR_YAML = Rule(
    "DAG202",
    "a module that is not for YAML",
    why="A name with a leading underscore is for other modules; it may change at any time.",
    bad=(f"{PYTHON}\npython_callable: callables._helpers.prune"),
    good=GOOD_PRUNE,
    scope="task",
    can_be_ignored=False,
)
CODE_IN_A_FILE = Rule(
    "DAG205",
    "code that is named by a file or given as text",
    why="dag-factory runs such code when it reads the YAML, and no check can look into it.",
    bad=(f"{PYTHON}\npython_callable_name: prune\npython_callable_file: /opt/models.py"),
    good=GOOD_PRUNE,
    scope="task",
    can_be_ignored=False,
)
TYPE_IS_NO_CLASS = Rule(
    "DAG207",
    "a __type__ that is not a class",
    why="dag-factory calls what __type__ names when it reads the YAML: a function would run.",
    bad="dagrun_timeout: {__type__: callables.models.prune}",
    good="dagrun_timeout: {__type__: datetime.timedelta, minutes: 5}",
    can_be_ignored=False,
)
DEFINED_ELSEWHERE = Rule(
    "DAG208",
    "a path to something that is only imported there",
    why="Through another module's imports, YAML could reach what is not meant for it.",
    bad=(f"{PYTHON}\npython_callable: callables.models.output_path"),
    good=GOOD_PRUNE,
    scope="task",
    can_be_ignored=False,
)

PATH_KEYS = frozenset(
    {
        *("operator", "decorator", "python_callable", "callback", "__type__", "execution_date_fn"),
        "callback_callable",
    }
)
TAKES_PATH = ("SyncCallback",)  # SyncCallback and AsyncCallback import what their first argument names
DECORATORS = re.compile(
    r"airflow\.sdk\.(definitions\.decorators\.)?task(\.\w+)?|airflow\.providers\..*\bdecorators\..*\w+_task"
)
KNOWN_CLASSES = ("operators", "notifiers", "types")
FUNCTIONS = frozenset({"user_defined_filters", "user_defined_macros"})  # every value below is a path


def check_paths(document: Document) -> Iterator[Problem]:
    """Every dotted path is in an allowed package, is meant for YAML, and names something of its kind."""
    for path, text in [*_dotted_paths(document.data, ()), *_callable_arguments(document)]:
        if path[-1] not in ("__type__", "callback_callable", 0) and document.is_free(path):
            continue  # the user's own data; only __type__ works at any depth
        if not is_allowed(text):
            yield _not_allowed(document, path, text)
        elif is_private(text):
            hint = "name a public function of a module in callables"
            yield document.problem(NOT_FOR_YAML, path, f"{text!r} is not for YAML", hint)
        else:
            yield from _check_path(document, path, text)


def is_decorator(text: str) -> bool:
    """Return whether a dotted path names a task decorator, by its name; the project's own may have any."""
    return DECORATORS.fullmatch(text) is not None or is_own(text)


def _not_allowed(document: Document, path: KeyPath, text: str) -> Problem:
    message = f"{text!r} may not be named in YAML"
    hint, fix = path_today(str(path[-1]), text)
    hint = hint or f"allowed are: {', '.join(allowed_packages())}"
    return document.problem(NOT_ALLOWED, path, message, hint, fix=fix)


def _check_path(document: Document, path: KeyPath, text: str) -> Iterator[Problem]:
    key = next(part for part in reversed(path) if isinstance(part, str))
    if find_definition(KINDS.get(str(key), ""), text) is not None:
        return  # the schema knows it: nothing is imported
    try:
        found = resolve(text)
    except UnresolvedError as error:
        hint, fix = hint_for_path(str(key), text, error)
        yield document.problem(UNRESOLVED, path, f"{key}: {error}", hint, fix=fix)
        return
    if key == "decorator" and not is_decorator(text):
        near = suggest(text, ("airflow.sdk.task",))
        hint = near.hint if near else "name a decorator, such as airflow.sdk.task"
        if text.rpartition(".")[2] in ("setup", "teardown"):
            hint = NO_SETUP
        yield document.problem(WRONG_KIND, path, f"decorator: {text!r} is not a decorator", hint)
    elif key == "__type__" and not isinstance(found, type):
        yield document.problem(TYPE_IS_NO_CLASS, path, f"__type__: {text!r} is not a class", "name a class")
    elif not callable(found):
        hint = f"name {'an operator' if key == 'operator' else 'a function'}"
        yield document.problem(WRONG_KIND, path, f"{key}: {text!r} is not callable", hint)
    elif key == "python_callable" and isinstance(found, type) and hasattr(found, "execute"):
        message = f"python_callable: {text!r} is an operator, not a function"
        yield document.problem(WRONG_KIND, path, message, "name a function, or write it as operator")
    elif key == "operator" and not (isinstance(found, type) and hasattr(found, "execute")):
        hint = "name an operator's class"
        yield document.problem(WRONG_KIND, path, f"operator: {text!r} is not an operator", hint)
    elif not _belongs(found, text):
        message = f"{text!r} is only imported there; it belongs to {found.__module__!r}"
        yield document.problem(DEFINED_ELSEWHERE, path, message, "name a function where it is defined")


def check_no_code_by_file(document: Document) -> Iterator[Problem]:
    """No key names code by a file or as text: dag-factory would run it when it reads the YAML."""
    for path in document.positions.keys:
        key = path[-1]
        match = CODE_BY_FILE.fullmatch(key) if isinstance(key, str) and not is_name(path) else None
        if match and not document.is_free(path):
            message = f"{key!r} names code that cannot be checked"
            yield document.problem(
                CODE_IN_A_FILE, path, message, _path_of_code(document, path, match), key=True
            )


def _item(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part, {})
    return value[part] if isinstance(value, list) and isinstance(part, int) else {}


def _path_of_code(document: Document, path: KeyPath, match: re.Match[str]) -> str:
    """Return the hint with the dotted path to write in place of a name and a file."""
    what = match["what"]
    if what is None or "doc_md" in what:
        return "write the text itself in doc_md"
    around: Any = document.data
    for part in path[:-1]:
        around = _item(around, part)
    name, file = (
        (around.get(f"{what}_{end}") for end in ("name", "file")) if isinstance(around, dict) else ("", "")
    )
    key = {"success_check": "success", "failure_check": "failure"}.get(what, what)
    if not isinstance(name, str) or not isinstance(file, str):
        return f"write {key}: and a function's dotted path, such as callables.models.prune"
    parts = [*file.removesuffix(".py").strip("/").split("/")]
    own = next((index for index, part in enumerate(parts) if part in own_packages()), None)
    if own is not None:
        return f"write {key}: {'.'.join(parts[own:])}.{name}"
    return f"move the function into a module in callables/, and write {key}: callables.{parts[-1]}.{name}"


def _dotted_paths(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield (key path, dotted path) of all that names code."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _dotted_paths_at(key, _joined(item), value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str) and FUNCTIONS.intersection(path):
                yield (*path, index), item
            yield from _dotted_paths(item, (*path, index))


def _callable_arguments(document: Document) -> Iterator[tuple[KeyPath, str]]:
    """Yield (key path, text) of each argument for which an operator takes a function."""
    base: dict[str, Any] = load_schema()["$defs"]["task"]["properties"]
    for one in arguments_of(document):
        is_new = one.key not in PATH_KEYS and not one.key.endswith("_callback")
        known = {**base, **facts_of_task(one.task).get("properties", {})}
        if is_new and isinstance(one.value, str) and takes_callable(known.get(one.key, {})):
            yield one.path, one.value


def _joined(item: Any) -> Any:
    """Return an item with ``__join__`` as the text that dag-factory makes of it."""
    if isinstance(item, dict) and isinstance(item.get("__join__"), list):
        return "".join(map(str, item["__join__"]))
    return item


def _dotted_paths_at(
    key: Any, item: Any, around: dict[str, Any], path: KeyPath
) -> Iterator[tuple[KeyPath, str]]:
    here = (*path, key)
    if key == "__args__" and isinstance(item, list) and str(around.get("__type__")).endswith(TAKES_PATH):
        yield from (((*here, 0), text) for text in item[:1] if isinstance(text, str))
    names_code = key in PATH_KEYS or str(key).endswith("_callback") or FUNCTIONS.intersection(path)
    if names_code and isinstance(item, str):
        yield here, item
    else:
        yield from _dotted_paths(item, here)


def resolved(text: Any) -> Any | None:
    """Return what an allowed path names, or None: check_paths reports why, or the schema knows it."""
    if any(find_definition(kind, text) is not None for kind in KNOWN_CLASSES):
        return None
    if not isinstance(text, str) or not is_allowed(text) or is_private(text):
        return None
    try:
        found = resolve(text)
    except UnresolvedError:
        return None
    return found if _belongs(found, text) else None


def _belongs(found: Any, text: str) -> bool:
    """Return whether what a path gives is at home there, and not something of another module's.

    A function of the project's is named where it is defined; Airflow offers its own under several names.
    """
    home = str(getattr(found, "__module__", ""))
    return home == text.rpartition(".")[0] if text.startswith("callables.") else is_allowed(f"{home}.")
