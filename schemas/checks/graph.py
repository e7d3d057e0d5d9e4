"""The graph of a DAG: dependencies, groups and cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from batch_serving.shared.suggestions import Suggestion, suggest
from schemas.checks.examples import EMPTY
from schemas.documents.graph import find_cycles, graphs_of
from schemas.documents.reading import Document
from schemas.documents.tasks import dependencies_of, group_path
from schemas.problems import KeyPath, Problem, Rule, fix_of

NO_SUCH_TASK = Rule(
    "DAG104",
    "a task or task group that does not exist",
    why="There is nothing of this name to wait for, or to belong to.",
    bad=f"first: {{{EMPTY}}}\nsecond: {{{EMPTY}, dependencies: [frist]}}",
    good=f"first: {{{EMPTY}}}\nsecond: {{{EMPTY}, dependencies: [first]}}",
    scope="tasks",
)
CYCLE = Rule(
    "DAG105",
    "tasks that wait for each other",
    why="No task of a cycle can ever start.",
    bad=f"first: {{{EMPTY}, dependencies: [second]}}\nsecond: {{{EMPTY}, dependencies: [first]}}",
    good=f"first: {{{EMPTY}}}\nsecond: {{{EMPTY}, dependencies: [first]}}",
    scope="tasks",
)
DEPENDENCY_TWICE = Rule(
    "DAG135",
    "a dependency that is named twice",
    why="The second one changes nothing: another task may be meant.",
    bad=f"first: {{{EMPTY}}}\nsecond: {{{EMPTY}, dependencies: [first, first]}}",
    good=f"first: {{{EMPTY}}}\nsecond: {{{EMPTY}, dependencies: [first]}}",
    scope="tasks",
)
GROUPS_NESTED = Rule(
    "DAG136",
    "task groups that are nested in each other",
    why="A group of a cycle has no outermost one: Airflow cannot build the DAG.",
    bad=(
        "task_groups:\n  one: {parent_group_name: two}\n  two: {parent_group_name: one}\n"
        f"tasks:\n  first: {{{EMPTY}, task_group_name: one}}"
    ),
    good=(
        "task_groups:\n  one: {}\n  two: {parent_group_name: one}\n"
        f"tasks:\n  first: {{{EMPTY}, task_group_name: one}}"
    ),
)


def check_dependencies(document: Document) -> Iterator[Problem]:
    """Dependencies and groups name tasks or groups of the same DAG, each once."""
    for graph in graphs_of(document):
        known = [*graph.tasks, *graph.groups]
        places: list[tuple[str, KeyPath, dict[str, Any]]] = [
            (name, graph.paths[name], task) for name, task in graph.tasks.items()
        ]
        places += [
            (name, group_path(document, graph.dag_id, name), group) for name, group in graph.groups.items()
        ]
        for name, path, item in places:
            for key in ("task_group_name", "parent_group_name"):
                group = item.get(key)
                if group is not None and group not in graph.groups:
                    found = suggest(str(group), graph.groups)
                    message = f"task group {group!r} does not exist"
                    yield document.problem(
                        NO_SUCH_TASK, (*path, key), message, _hint(found), fix=fix_of(str(group), found)
                    )
            incomplete = (graph.dag_id, "tasks") in document.damaged
            yield from _named(document, path, dependencies_of(item), Names(name, known, incomplete))


def _hint(found: Suggestion | None) -> str:
    return found.hint if found else "name a task or group of this DAG, or remove it"


@dataclass(frozen=True)
class Names:
    """The tasks and groups of a DAG that ``item`` may depend on; ``incomplete``: some could not be read."""

    item: str
    known: list[str]
    incomplete: bool


def _named(document: Document, path: KeyPath, dependencies: list[str], names: Names) -> Iterator[Problem]:
    for index, upstream in enumerate(dependencies):
        at = (*path, "dependencies", index)
        if upstream not in names.known:
            found = suggest(upstream, [name for name in names.known if name != names.item])
            taken = found is not None and found.name in dependencies
            if names.incomplete and not (found and found.certain):
                continue
            fix = None if taken else fix_of(upstream, found)
            message = f"{names.item!r} depends on {upstream!r}, which does not exist"
            yield document.problem(NO_SUCH_TASK, at, message, _hint(found), fix=fix)
        elif upstream in dependencies[:index]:
            message = f"{names.item!r} names {upstream!r} twice"
            yield document.problem(DEPENDENCY_TWICE, at, message, "remove one")


def check_cycles(document: Document) -> Iterator[Problem]:
    """No task waits for itself, and no group is nested in itself, over others or directly."""
    for graph in graphs_of(document):
        parents = {
            name: {str(group.get("parent_group_name"))} & {*graph.groups}
            for name, group in graph.groups.items()
        }
        for cycle in find_cycles(parents):
            at = (*group_path(document, graph.dag_id, cycle[0]), "parent_group_name")
            message = f"task groups are nested in each other: {' → '.join(cycle)}"
            hint = "remove one parent_group_name"
            yield document.problem(GROUPS_NESTED, at, message, hint, key=True)
        for cycle in find_cycles(graph.upstream):
            at = (*graph.paths[cycle[0]], "dependencies")
            message = f"tasks wait for each other: {' → '.join(cycle)}"
            yield document.problem(CYCLE, at, message, "remove one of these dependencies", key=True)
