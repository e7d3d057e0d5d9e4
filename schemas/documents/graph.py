"""How the tasks of a DAG depend on each other, with nearly right names taken as meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from batch_serving.shared.suggestions import meant
from schemas.documents.reading import Document
from schemas.documents.tasks import Tasks, dependencies_of, groups_of, tasks_of
from schemas.problems import KeyPath


@dataclass(frozen=True)
class Graph:
    """One DAG's tasks, groups and edges.

    ``upstream`` has the tasks directly before each task. What depends on a group follows its last tasks, and
    the dependencies of a group are those of its first ones. ``uncertain`` has the tasks whose upstream is not
    wholly known, because of a mistake that is reported elsewhere: nothing that depends on what runs before
    them can be judged.
    """

    dag_id: str
    tasks: Tasks
    paths: dict[str, KeyPath]
    groups: dict[str, dict[str, Any]]
    upstream: dict[str, set[str]]
    uncertain: frozenset[str]

    def before(self, task_id: str) -> set[str]:
        """Return all tasks that run before a task."""
        found: set[str] = set()
        todo = [task_id]
        while todo:
            fresh = self.upstream.get(todo.pop(), set()) - found
            found |= fresh
            todo += fresh
        return found

    def is_certain(self, *task_ids: str) -> bool:
        """Return whether everything that runs before these tasks is known."""
        return not any(self.uncertain & {task_id, *self.before(task_id)} for task_id in task_ids)

    def first_of(self, group: str) -> set[str]:
        """Return the tasks of a group that wait for no other of them."""
        return _first(members(group, self.tasks, self.groups), self.upstream)

    @property
    def full_ids(self) -> dict[str, str]:
        """The task names of the YAML by the ids that Airflow gives them: ``group.task`` within a group."""
        return {
            f"{self._prefix(group_of(task, self.groups))}{name}": name for name, task in self.tasks.items()
        }

    @property
    def full_group_ids(self) -> dict[str, str]:
        """The group names of the YAML by the ids that Airflow gives them."""
        return {
            f"{self._prefix(group_of(group, self.groups, 'parent_group_name'))}{name}": name
            for name, group in self.groups.items()
        }

    def _prefix(self, group: str | None) -> str:
        prefix, seen = "", set[str]()
        while isinstance(group, str) and group in self.groups and group not in seen:
            seen.add(group)
            own = self.groups[group]
            prefix = f"{group}.{prefix}" if own.get("prefix_group_id", True) else prefix
            group = group_of(own, self.groups, "parent_group_name")
        return prefix


def graphs_of(document: Document) -> Iterator[Graph]:
    """Yield the graph of each DAG."""
    for dag_id, tasks, paths in tasks_of(document):
        groups = groups_of(document, dag_id)
        yield Graph(
            dag_id,
            tasks,
            paths,
            groups,
            _upstream(tasks, groups),
            frozenset(_uncertain(document, tasks, paths, groups)),
        )


def group_of(
    item: dict[str, Any], groups: dict[str, dict[str, Any]], key: str = "task_group_name"
) -> str | None:
    """Return the group that a task or a group belongs to; a misspelt one as it is meant."""
    group = item.get(key)
    return meant(group, groups) if isinstance(group, str) else None


def members(
    name: str, tasks: Tasks, groups: dict[str, dict[str, Any]], seen: frozenset[str] = frozenset()
) -> set[str]:
    """Return the task of this name, or all tasks in the group of this name."""
    if name in tasks:
        return {name}
    if name not in groups or name in seen:
        return set()
    inner = [child for child, group in groups.items() if group_of(group, groups, "parent_group_name") == name]
    own = {task_id for task_id, task in tasks.items() if group_of(task, groups) == name}
    return own.union(*(members(child, tasks, groups, seen | {name}) for child in inner))


def _upstream(tasks: Tasks, groups: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    known = [*tasks, *groups]
    upstream = {name: set[str]() for name in tasks}
    for name, item in {**tasks, **groups}.items():  # dag-factory's order: those of groups last
        named = [_meant_by(dependency, name, known) for dependency in dependencies_of(item)]
        before = set[str]().union(*(_last(members(one, tasks, groups), upstream) for one in named if one))
        for member in _first(members(name, tasks, groups), upstream):
            upstream[member] |= before
    return upstream


def _first(members: set[str], upstream: dict[str, set[str]]) -> set[str]:
    """Return the tasks that wait for no other of these: what comes before a group comes before them."""
    return {name for name in members if not upstream[name] & members} or members


def _last(members: set[str], upstream: dict[str, set[str]]) -> set[str]:
    """Return the tasks that no other of these waits for: what comes after a group comes after them."""
    waited_for = set[str]().union(*(upstream[name] & members for name in members))
    return members - waited_for or members


def _meant_by(dependency: str, item: str, known: list[str]) -> str | None:
    """Return what a dependency of an item means; a misspelt one never means the item itself."""
    found = meant(dependency, known)
    return None if found == item != dependency else found


def _uncertain(
    document: Document, tasks: Tasks, paths: dict[str, KeyPath], groups: dict[str, dict[str, Any]]
) -> Iterator[str]:
    known = [*tasks, *groups]
    for name, task in tasks.items():
        places = (task.get("task_group_name"), *dependencies_of(task))
        unknown = any(isinstance(one, str) and _meant_by(one, name, known) is None for one in places)
        if unknown or paths[name] in document.damaged or (paths[name][0], "tasks") in document.damaged:
            yield name


def find_cycles(upstream: Mapping[str, Iterable[str]]) -> Iterator[list[str]]:
    """Yield the names on each cycle that shares none with another, the first one again at the end."""
    from graphlib import CycleError, TopologicalSorter

    left = {name: sorted(before) for name, before in upstream.items()}
    while left:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            cycle = [str(name) for name in error.args[1]]
            yield cycle
            left = {
                name: [one for one in before if one not in cycle]
                for name, before in left.items()
                if name not in cycle
            }
        else:
            return
