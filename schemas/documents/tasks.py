"""The tasks and task groups of a document, whether they are written as mappings or as lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.documents.reading import Document
from schemas.problems import KeyPath

Tasks = dict[str, dict[str, Any]]


def configs_of(document: Document) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield (path, mapping) of what has DAG keys: DAGs, ``default``, and a defaults file itself."""
    if document.is_defaults:
        yield (), document.data
        return
    for name, config in document.data.items():
        if isinstance(config, dict):
            yield (name,), config


def tasks_of(document: Document) -> Iterator[tuple[str, Tasks, dict[str, KeyPath]]]:
    """Yield (dag_id, tasks by id, path of each task) for each DAG."""
    for dag_id in document.dags:
        found = document.config_of(dag_id).get("tasks")
        if isinstance(found, dict):
            named = {name: task for name, task in found.items() if isinstance(task, dict)}
            paths: dict[str, KeyPath] = {name: _task_path(document, dag_id, name) for name in named}
            yield dag_id, named, paths
        elif isinstance(found, list):
            # A text in place of a task, which is reported, is its name.
            items = ({"task_id": item} if isinstance(item, str) else item for item in found)
            entries = [
                (index, task)
                for index, task in enumerate(items)
                if isinstance(task, dict) and "task_id" in task
            ]
            named = {str(task["task_id"]): task for _, task in entries}
            paths = {str(task["task_id"]): (dag_id, "tasks", index) for index, task in entries}
            yield dag_id, named, paths


def _task_path(document: Document, dag_id: str, name: str) -> KeyPath:
    """Return where a task stands: in its DAG, or among those that the file's DAGs share."""
    own, shared = (dag_id, "tasks", name), ("default", "tasks", name)
    values = document.positions.values
    return shared if own not in values and shared in values else own


def groups_of(document: Document, dag_id: str) -> dict[str, dict[str, Any]]:
    """Return the task groups of a DAG by name."""
    found = document.config_of(dag_id).get("task_groups") or {}
    if isinstance(found, dict):
        return {name: group if isinstance(group, dict) else {} for name, group in found.items()}
    entries = found if isinstance(found, list) else []
    named = [group for group in entries if isinstance(group, dict) and "group_name" in group]
    return {str(group["group_name"]): group for group in named}


def group_path(document: Document, dag_id: str, name: str) -> KeyPath:
    """Return where a task group stands, whether they are a mapping or a list."""
    found = document.config_of(dag_id).get("task_groups")
    if isinstance(found, list):
        names = [str(group.get("group_name")) if isinstance(group, dict) else None for group in found]
        return (dag_id, "task_groups", names.index(name))
    return (dag_id, "task_groups", name)


def dependencies_of(item: dict[str, Any]) -> list[str]:
    """Return what a task or group names under ``dependencies``."""
    found = item.get("dependencies")
    return [str(name) for name in found] if isinstance(found, list) else []
