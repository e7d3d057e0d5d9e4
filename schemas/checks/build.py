"""What Airflow refuses: each DAG is built as Airflow would build it, without what is wrong and reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from schemas.documents.reading import Document, DocumentError
from schemas.documents.tasks import dependencies_of
from schemas.documents.texts import texts
from schemas.problems import ERROR, KeyPath, Problem

EMPTY_OPERATOR = "airflow.providers.standard.operators.empty.EmptyOperator"
MAX_BUILDS = 20  # each build finds at most one mistake of a DAG


def check_build(document: Document, defaults: list[Document], reported: Iterable[Problem]) -> list[Problem]:
    """Return what Airflow refuses of a document, beside the errors that are ``reported`` already.

    A key or task with an error is left out of what is built, so that the rest is judged; a DAG with an error
    that is not in one of its keys or tasks is not built.
    """
    from schemas.building import build_dags

    errors = [problem for problem in reported if problem.severity == ERROR]
    if document.is_defaults or any(problem.place for problem in errors):
        return []
    found: list[Problem] = []
    wrong = [problem.path for problem in errors]
    for _ in range(MAX_BUILDS):
        try:
            build_dags(without(document, wrong) if wrong else document, defaults)
        except DocumentError as error:
            fresh = [problem for problem in error.problems if problem not in found]
            found += fresh
            wrong += [problem.path for problem in fresh]
            if fresh:
                continue
        return found
    return found


def without(document: Document, wrong: list[KeyPath]) -> Document:
    """Return the document without the values and tasks that these paths are in.

    A task that is wrong goes with the tasks that use its result, and with all that names it.
    """
    data: dict[str, Any] = {}
    for dag_id, config in document.data.items():
        own = [path for path in wrong if path[:1] == (str(dag_id),)]
        whole = any(len(path) == 1 or path[1:] == ("tasks",) for path in own)
        if whole or not isinstance(config, dict):
            continue
        kept = _without_wrong_keys(config, {_smallest_part(path) for path in own if path[1] != "tasks"})
        if not kept:
            continue
        bad = {path[2] for path in own if len(path) > 2 and path[1] == "tasks"}
        if bad:
            kept["tasks"], dropped = _sound_tasks(config.get("tasks"), bad)
            kept["task_groups"] = _without_names(kept.get("task_groups"), dropped)
        if kept.get("task_groups", {}) is None:
            del kept["task_groups"]
        if dag_id != "default" and not kept.get("tasks"):
            kept["tasks"] = {
                "no_task_is_left": {"operator": EMPTY_OPERATOR}
            }  # what the DAG itself has is judged
        data[dag_id] = kept
    return replace(document, data=data)


def _smallest_part(path: KeyPath) -> KeyPath:
    """Return the part of a DAG that goes because of a mistake: a key of it, of default_args or of a group."""
    depth = {"default_args": 3, "task_groups": 4}.get(str(path[1]), 2)
    return path[1:depth]


def _without_wrong_keys(config: dict[str, Any], wrong: set[KeyPath]) -> dict[str, Any]:
    """Return a DAG's keys without those that are wrong; a group that is wrong itself stays as a name."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        inner = {path[1:] for path in wrong if path[0] == str(key)}
        if key == "task_groups" and isinstance(value, list) and inner:
            return {}  # tasks name groups that may not be there: nothing of the DAG can be built
        if () in inner or (inner and not isinstance(value, dict)):
            continue
        kept[key] = value
        if key == "task_groups" and inner:
            kept[key] = {
                name: {}
                if (name,) in inner or not isinstance(group, dict)
                else {one: item for one, item in group.items() if (name, one) not in inner}
                for name, group in value.items()
            }
        elif inner:
            kept[key] = {name: item for name, item in value.items() if (name,) not in inner}
    return kept


def _without_names(groups: Any, dropped: set[str]) -> Any:
    """Return task groups that do not depend on the tasks that are dropped."""
    if isinstance(groups, dict):
        return {name: _without_dependencies(group, dropped) for name, group in groups.items()}
    return [_without_dependencies(group, dropped) for group in groups] if isinstance(groups, list) else groups


def _sound_tasks(tasks: Any, bad: set[str | int]) -> tuple[Any, set[str]]:
    """Return the tasks without those that are wrong or use the results of these, and the names of both."""
    entries = dict(enumerate(tasks)) if isinstance(tasks, list) else dict(tasks or {})
    named = {key: str(task.get("task_id", key)) for key, task in entries.items() if isinstance(task, dict)}
    dropped = {named.get(key, str(key)) for key in bad}
    while True:
        users = {
            name
            for key, name in named.items()
            if name not in dropped and any(_uses(entries[key], one) for one in dropped)
        }
        if not users:
            break
        dropped |= users
    kept = {
        key: _without_dependencies(task, dropped)
        for key, task in entries.items()
        if named.get(key, str(key)) not in dropped
    }
    return (list(kept.values()) if isinstance(tasks, list) else kept), dropped


def _uses(task: dict[str, Any], name: str) -> bool:
    return any(
        text.startswith((f"+{name}", f"{name}.output", f"XcomArg({name}")) for _, text in texts(task, ())
    )


def _without_dependencies(task: Any, dropped: set[str]) -> Any:
    if not isinstance(task, dict) or not dependencies_of(task):
        return task
    return {**task, "dependencies": [name for name in dependencies_of(task) if name not in dropped]}
