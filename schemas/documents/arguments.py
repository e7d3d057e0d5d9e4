"""The arguments of a task, wherever they stand: in it, in what it maps over, or in default_args."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.documents.graph import Graph, graphs_of, group_of
from schemas.documents.reading import Document
from schemas.documents.tasks import group_path
from schemas.problems import KeyPath

PARTS = ("partial", "expand")


@dataclass(frozen=True)
class Argument:
    """One value of an argument. ``place``: an empty text for the task itself, or the key that it stands in.

    Of a list in ``expand`` each item is one value; of default_args, a value for each task that takes it.
    """

    dag_id: str
    task_path: KeyPath
    task: dict[str, Any]
    place: str
    path: KeyPath
    key: str
    value: Any


def arguments_of(document: Document) -> Iterator[Argument]:
    """Yield every argument of every task."""
    for graph in graphs_of(document):
        for task_id, task in graph.tasks.items():
            yield from _written(graph, task_id, task)
            for place, given in defaults_of(document, graph, task_id):
                for key, value in given.items():
                    yield Argument(
                        graph.dag_id, graph.paths[task_id], task, "default_args", (*place, key), key, value
                    )


def _written(graph: Graph, task_id: str, task: dict[str, Any]) -> Iterator[Argument]:
    path = graph.paths[task_id]
    for place in ("", *PARTS):
        given = task.get(place) if place else task
        at = (*path, place) if place else path
        for key, value in given.items() if isinstance(given, dict) else ():
            if not place and key in PARTS:
                continue
            several = place == "expand" and isinstance(value, list)
            values = (
                [((*at, key, index), item) for index, item in enumerate(value)]
                if several
                else [((*at, key), value)]
            )
            for where, one in values:
                yield Argument(graph.dag_id, path, task, place, where, str(key), one)


def defaults_of(document: Document, graph: Graph, task_id: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield (path, arguments) of the default_args that a task gets, without what it has itself.

    The innermost group's come first, the DAG's last; an argument of an inner one hides that of an outer one.
    What another file gives has the path of the task.
    """
    task = graph.tasks[task_id]
    hidden = {*task}.union(*(task[part] for part in PARTS if isinstance(task.get(part), dict)))
    for place, given in [*_of_groups(document, graph, task), *_of_dag(document, graph, task_id)]:
        found = {str(key): value for key, value in given.items() if key not in hidden}
        hidden |= {*found}
        if found:
            yield place, found


def given_to(document: Document, graph: Graph, task_id: str) -> dict[str, Any]:
    """Return a task with what default_args add to it."""
    found: dict[str, Any] = {}
    for _, given in defaults_of(document, graph, task_id):
        found = {**given, **found}
    return {**found, **graph.tasks[task_id]}


def _of_groups(
    document: Document, graph: Graph, task: dict[str, Any]
) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    name, seen = group_of(task, graph.groups), set[str]()
    while name in graph.groups and name not in seen:
        seen.add(str(name))
        group = graph.groups[str(name)]
        if isinstance(given := group.get("default_args"), dict):
            yield (*group_path(document, graph.dag_id, str(name)), "default_args"), given
        name = group_of(group, graph.groups, "parent_group_name")


def _of_dag(document: Document, graph: Graph, task_id: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield the DAG's own, those that the file's DAGs share, and those of the defaults files."""
    left = document.default_args_of(graph.dag_id)
    for path in ((graph.dag_id, "default_args"), ("default", "default_args")):
        here = {key: value for key, value in left.items() if (*path, key) in document.positions.keys}
        left = {key: value for key, value in left.items() if key not in here}
        if here:
            yield path, here
    if left:
        yield graph.paths[task_id], left
