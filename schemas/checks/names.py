"""The names of DAGs, tasks and groups: texts that Airflow takes, each given once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.checks.examples import EMPTY
from schemas.documents.paths import BROKEN_PREFIX
from schemas.documents.reading import Document
from schemas.documents.tasks import group_path, groups_of, tasks_of
from schemas.problems import Problem, Rule

BAD_NAME = Rule(
    "DAG114",
    "a name that Airflow does not take",
    why="Airflow takes letters, digits, '_', '-' and '.', 250 of them at most.",
    bad=f"my task: {{{EMPTY}}}",
    good=f"my_task: {{{EMPTY}}}",
    scope="tasks",
)
NAME_TWICE = Rule(
    "DAG129",
    "a task or group name that is given twice",
    why="A list may have a task_id twice, and YAML does not see it; a task and a group share their names.",
    bad=(f"tasks:\n  - {{task_id: first, {EMPTY}}}\n  - {{task_id: first, {EMPTY}}}"),
    good=(f"tasks:\n  - {{task_id: first, {EMPTY}}}\n  - {{task_id: second, {EMPTY}}}"),
)
KEY_IS_NO_TEXT = Rule(
    "DAG130",
    "a key that YAML does not read as text",
    why="YAML reads yes, off and numbers as something else than text, and a name is text.",
    bad=f"yes: {{{EMPTY}}}",
    good=f"'yes': {{{EMPTY}}}",
    scope="tasks",
    can_be_ignored=False,
)
BECOMES_A_DAG = Rule(
    "DAG131",
    "a key at the top that would become a DAG",
    why="dag-factory makes a DAG of each key at the top of a file but default: and warns of none.",
    bad=f"x-shared:\n  tasks:\n    first: {{{EMPTY}}}",
    good=f"shared:\n  tasks:\n    first: {{{EMPTY}}}",
    scope="file",
)
RESERVED_NAME = Rule(
    "DAG132",
    "a dag_id that is reserved for broken files",
    why="A DAG of such a name stands in for a file with errors, so that the UI shows them.",
    bad=(f"config_error.mine:\n  tasks:\n    first: {{{EMPTY}}}"),
    good=f"mine:\n  tasks:\n    first: {{{EMPTY}}}",
    scope="file",
    can_be_ignored=False,
)
NAME = re.compile(r"[A-Za-z0-9_.-]{1,250}")
ODD_KEYS = {"bool": "true or false", "int": "a number", "float": "a number", "null": "nothing"}
DISPLAYED = "task_display_name, which the UI shows, can be any text"
NAME_HINT = "use letters, digits, '_', '-' and '.', 250 at most"


def check_keys_are_text(document: Document) -> Iterator[Problem]:
    """Keys are text, but for those of the user's own data."""
    for path, kind in document.odd_keys.items():
        if not document.is_free(path[:-1]):
            message = f"key {path[-1]!r} is read as {ODD_KEYS.get(kind, kind)}, not as text"
            yield document.problem(KEY_IS_NO_TEXT, path, message, "put it in quotes", key=True)


def check_names(document: Document) -> Iterator[Problem]:
    """DAGs, tasks and groups have names that Airflow takes, and each but once."""
    for dag_id in document.dags:
        if not NAME.fullmatch(dag_id):
            message = f"dag_id {dag_id!r} is not allowed"
            shown = NAME_HINT if dag_id.isascii() else f"{NAME_HINT}; dag_display_name can be any text"
            yield document.problem(BAD_NAME, (dag_id,), message, shown, key=True)
        elif dag_id.startswith((".", "x-")):
            message, hint = (
                f"{dag_id!r} would become a DAG",
                "put what DAGs share below default:, or in a DAG",
            )
            yield document.problem(BECOMES_A_DAG, (dag_id,), message, hint, key=True)
        elif dag_id.startswith(BROKEN_PREFIX):
            message = f"a dag_id that starts with {BROKEN_PREFIX!r} is reserved for broken files"
            yield document.problem(RESERVED_NAME, (dag_id,), message, "choose another name", key=True)
    for dag_id, tasks, paths in tasks_of(document):
        for task_id in tasks:
            if not NAME.fullmatch(str(task_id)):
                message = f"task_id {task_id!r} is not allowed"
                yield document.problem(BAD_NAME, paths[task_id], message, _name_hint(str(task_id)), key=True)
        for name in groups_of(document, dag_id):
            if not NAME.fullmatch(name):
                message = f"the task group's name {name!r} is not allowed: it is a part of its tasks' ids"
                at = group_path(document, dag_id, name)
                yield document.problem(
                    BAD_NAME, at, message, f"{NAME_HINT}; its tooltip can be any text", key=True
                )
            if name in tasks:
                message = f"a task and a task group are both called {name!r}"
                yield document.problem(NAME_TWICE, paths[name], message, "rename one of the two", key=True)
        yield from _twice(document, dag_id)


def _name_hint(task_id: str) -> str:
    return NAME_HINT if task_id.isascii() else f"{NAME_HINT}; {DISPLAYED}"


def _twice(document: Document, dag_id: str) -> Iterator[Problem]:
    for kind, key in (("tasks", "task_id"), ("task_groups", "group_name")):
        seen: set[str] = set()
        entries = document.config_of(dag_id).get(kind)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            name = str(entry.get(key)) if isinstance(entry, dict) and key in entry else ""
            if name and name in seen:
                path = (dag_id, kind, index, key)
                yield document.problem(
                    NAME_TWICE, path, f"{key} {name!r} is given again", "rename or remove one"
                )
            seen.add(name)
