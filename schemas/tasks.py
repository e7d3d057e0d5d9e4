"""The tasks of a document and how they depend on each other, however they are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.documents import Document, KeyPath

Tasks = dict[str, dict[str, Any]]


def tasks_of(document: Document) -> Iterator[tuple[str, Tasks, dict[str, KeyPath]]]:
    """Yield (dag_id, tasks by id, path of each task) for each DAG; tasks as mapping or as list."""
    for dag_id in document.dags:
        found = document.config_of(dag_id).get("tasks")
        if isinstance(found, dict):
            named = {name: task for name, task in found.items() if isinstance(task, dict)}
            paths: dict[str, KeyPath] = {name: (dag_id, "tasks", name) for name in named}
            yield dag_id, named, paths
        elif isinstance(found, list):
            entries = [(index, task) for index, task in enumerate(found) if isinstance(task, dict)]
            named = {str(task.get("task_id")): task for _, task in entries}
            paths = {str(task.get("task_id")): (dag_id, "tasks", index) for index, task in entries}
            yield dag_id, named, paths


def groups_of(document: Document, dag_id: str) -> dict[str, dict[str, Any]]:
    """Return the task groups of a DAG by name; as mapping or as list."""
    found = document.config_of(dag_id).get("task_groups") or {}
    if isinstance(found, dict):
        return {name: group if isinstance(group, dict) else {} for name, group in found.items()}
    named = found if isinstance(found, list) else []
    return {str(group.get("group_name")): group for group in named if isinstance(group, dict)}


def group_path(document: Document, dag_id: str, name: str) -> KeyPath:
    """Return where a task group stands, whether they are a mapping or a list."""
    found = document.config_of(dag_id).get("task_groups")
    if isinstance(found, list):
        names = [group.get("group_name") if isinstance(group, dict) else None for group in found]
        return (dag_id, "task_groups", names.index(name))
    return (dag_id, "task_groups", name)


def dependencies_of(item: dict[str, Any]) -> list[str]:
    """Return what a task or group names under ``dependencies``."""
    found = item.get("dependencies")
    return [str(name) for name in found] if isinstance(found, list) else []


def full_ids(document: Document, dag_id: str, tasks: Tasks) -> dict[str, str]:
    """Return task names in the YAML by the ids that Airflow gives them: ``group.task`` within a group."""
    groups = groups_of(document, dag_id)
    found = {}
    for name, task in tasks.items():
        prefix, group, seen = "", task.get("task_group_name"), set()
        while group in groups and group not in seen:
            seen.add(group)
            prefix = f"{group}.{prefix}" if groups[group].get("prefix_group_id", True) else prefix
            group = groups[group].get("parent_group_name")
        found[f"{prefix}{name}"] = name
    return found


def upstream_of(document: Document, dag_id: str, tasks: Tasks) -> dict[str, set[str]]:
    """Return the tasks directly before each task, with dependencies on and of groups resolved to tasks."""
    groups = groups_of(document, dag_id)

    def members(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        if name in tasks:
            return {name}
        if name not in groups or name in seen:
            return set()
        inner = [child for child, group in groups.items() if group.get("parent_group_name") == name]
        own = {task_id for task_id, task in tasks.items() if task.get("task_group_name") == name}
        return own.union(*(members(child, seen | {name}) for child in inner))

    upstream = {name: set[str]() for name in tasks}
    for name, item in {**groups, **tasks}.items():
        before = set[str]().union(*(members(dependency) for dependency in dependencies_of(item)))
        for member in members(name):
            upstream[member] |= before
    return upstream


def ancestors(upstream: dict[str, set[str]], task_id: str) -> set[str]:
    """Return all tasks that run before ``task_id``, given what upstream_of returns."""
    found: set[str] = set()
    todo = [task_id]
    while todo:
        fresh = upstream.get(todo.pop(), set()) - found
        found |= fresh
        todo += fresh
    return found
