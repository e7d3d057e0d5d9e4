"""The graph of a DAG: dependencies, groups, cycles, branches and joins, and the names of all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from schemas.diagnostics import WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import did_you_mean
from schemas.path_checks import is_free
from schemas.tasks import (
    Tasks,
    ancestors,
    dependencies_of,
    full_ids,
    group_path,
    groups_of,
    tasks_of,
    upstream_of,
)

BRANCH_ARGUMENTS = ("better_task", "otherwise_task", "follow_task_ids_if_true", "follow_task_ids_if_false")
BROKEN_PREFIX = "config_error."  # of the DAGs that stand in for broken files
NAME = re.compile(r"[A-Za-z0-9_.-]{1,250}")
SKIP_STOPS_AT = ("all_success", "all_done_setup_success")  # rules under which a skipped task skips the next


def check_names(document: Document) -> Iterator[Diagnostic]:
    """Keys are text; DAGs, tasks and groups have names that Airflow takes, and each but once."""
    for path, kind in document.odd_keys.items():
        if not is_free(document, path[:-1]):
            message = f"key {path[-1]!r} is read as {ODD_KEYS.get(kind, kind)}, not as text"
            yield document.problem("DAG114", path, message, "put it in quotes", key=True)
    for dag_id in document.dags:
        if not document.is_defaults and not NAME.fullmatch(dag_id):
            yield document.problem(
                "DAG114", (dag_id,), f"dag_id {dag_id!r} is not allowed", NAME_HINT, key=True
            )
        elif dag_id.startswith((".", "x-")) and not document.is_defaults:
            message, hint = (
                f"{dag_id!r} would become a DAG",
                "put what DAGs share below default:, or in a DAG",
            )
            yield document.problem("DAG114", (dag_id,), message, hint, key=True)
        elif dag_id.startswith(BROKEN_PREFIX):
            message = f"a dag_id that starts with {BROKEN_PREFIX!r} stands for a broken file"
            yield document.problem("DAG114", (dag_id,), message, "give it another name", key=True)
    for dag_id, tasks, paths in tasks_of(document):
        for task_id in tasks:
            if isinstance(task_id, str) and not NAME.fullmatch(task_id):
                yield document.problem(
                    "DAG114", paths[task_id], f"task_id {task_id!r} is not allowed", NAME_HINT, key=True
                )
        for name in groups_of(document, dag_id):
            if name in tasks:
                message = f"a task and a task group are both called {name!r}"
                yield document.problem("DAG114", paths[name], message, "rename one of the two", key=True)
        yield from _twice(document, dag_id)


ODD_KEYS = {"bool": "true or false", "int": "a number", "float": "a number", "null": "nothing"}
NAME_HINT = "use letters, digits, '_', '-' and '.', 250 at most; put a number in quotes"


def _twice(document: Document, dag_id: str) -> Iterator[Diagnostic]:
    for kind, key in (("tasks", "task_id"), ("task_groups", "group_name")):
        seen: dict[str, int] = {}
        entries = document.config_of(dag_id).get(kind)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            name = str(entry.get(key)) if isinstance(entry, dict) else ""
            if name and name in seen:
                message = f"{key} {name!r} is given again"
                yield document.problem("DAG114", (dag_id, kind, index, key), message, "rename or remove one")
            seen[name] = index


def check_dependencies(document: Document) -> Iterator[Diagnostic]:
    """Dependencies name tasks or groups of the same DAG, each once, and no task waits for itself."""
    for dag_id, tasks, paths in tasks_of(document):
        groups = groups_of(document, dag_id)
        known = [*tasks, *groups]
        places: list[tuple[str, KeyPath, dict[str, Any]]] = [
            (name, paths[name], task) for name, task in tasks.items()
        ]
        places += [(name, group_path(document, dag_id, name), group) for name, group in groups.items()]
        for name, path, item in places:
            for key, place in (("task_group_name", "task group"), ("parent_group_name", "task group")):
                group = item.get(key)
                if group is not None and group not in groups:
                    hint = did_you_mean(str(group), groups)
                    yield document.problem("DAG104", (*path, key), f"{place} {group!r} does not exist", hint)
            yield from _check_names_of(document, path, name, dependencies_of(item), known)
        parents = {name: {str(group.get("parent_group_name"))} & {*groups} for name, group in groups.items()}
        if cycle := _cycle(parents):
            at = (*group_path(document, dag_id, cycle[0]), "parent_group_name")
            yield document.problem(
                "DAG105", at, f"task groups lie in each other: {' → '.join(cycle)}", key=True
            )
        if cycle := _cycle(upstream_of(document, dag_id, tasks)):
            at = (*paths[cycle[0]], "dependencies")
            yield document.problem("DAG105", at, f"tasks wait for each other: {' → '.join(cycle)}", key=True)


def _check_names_of(
    document: Document, path: KeyPath, name: str, dependencies: list[str], known: list[str]
) -> Iterator[Diagnostic]:
    for index, upstream in enumerate(dependencies):
        at = (*path, "dependencies", index)
        if upstream not in known:
            message = f"{name!r} depends on {upstream!r}, which does not exist"
            yield document.problem("DAG104", at, message, did_you_mean(upstream, known))
        elif upstream in dependencies[:index]:
            yield document.problem("DAG104", at, f"{name!r} names {upstream!r} twice", "remove one")


def _cycle(upstream: dict[str, set[str]]) -> list[str]:
    """Return a cycle as the task_ids on it, the first one again at the end, or an empty list."""
    done: set[str] = set()
    for start in upstream:
        trail: list[str] = []
        stack = [(start, iter(sorted(upstream[start])))] if start not in done else []
        while stack:
            task_id, rest = stack[-1]
            if len(trail) < len(stack):
                trail.append(task_id)
            following = next((name for name in rest if name in upstream and name not in done), None)
            if following is None:
                done.add(task_id)
                stack.pop()
                trail.pop()
            elif following in trail:
                return [*trail[trail.index(following) :], following][::-1]
            else:
                stack.append((following, iter(sorted(upstream[following]))))
    return []


def check_branches(document: Document) -> Iterator[Diagnostic]:
    """The tasks that a branch chooses between are directly downstream of it."""
    for dag_id, tasks, paths in tasks_of(document):
        upstream = upstream_of(document, dag_id, tasks)
        ids = full_ids(document, dag_id, tasks)
        for task_id in branches(tasks):
            following = [full for full, name in ids.items() if task_id in upstream[name]] + [
                group
                for group, item in groups_of(document, dag_id).items()
                if task_id in dependencies_of(item)
            ]
            for path, target in _targets(tasks[task_id], paths[task_id]):
                if "{{" not in target and target not in following:
                    message = f"branch target {target!r} is not directly downstream of {task_id!r}"
                    yield document.problem("DAG106", path, message, did_you_mean(target, following))


def branches(tasks: Tasks) -> list[str]:
    """Return the tasks whose operator chooses between those that follow."""
    return [name for name, task in tasks.items() if "Branch" in str(task.get("operator")).rpartition(".")[2]]


def _targets(task: dict[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for where, mapping in ((path, task), ((*path, "op_kwargs"), task.get("op_kwargs"))):
        if not isinstance(mapping, dict):
            continue
        for name in BRANCH_ARGUMENTS:
            value = mapping.get(name)
            for index, target in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(target, str):
                    yield (*where, name, index) if isinstance(value, list) else (*where, name), target


def check_joins(document: Document) -> Iterator[Diagnostic]:
    """A task after both sides of a branch does not wait for the side that is skipped."""
    for dag_id, tasks, paths in tasks_of(document):
        upstream = upstream_of(document, dag_id, tasks)
        choosing = branches(tasks)
        reached = {name: {name, *ancestors(upstream, name)} for name in tasks} if choosing else {}
        for branch in choosing:
            sides = [name for name in tasks if branch in upstream[name]]
            for task_id, task in tasks.items():
                if (
                    branch in upstream[task_id]
                    or task.get("trigger_rule", SKIP_STOPS_AT[0]) not in SKIP_STOPS_AT
                ):
                    continue
                met = [side for side in sides if any(side in reached[before] for before in upstream[task_id])]
                if len(met) > 1 and len(upstream[task_id]) > 1:
                    both = " and ".join(map(repr, met))
                    message = f"{task_id!r} joins {both} after {branch!r}: skipped with the side not taken"
                    hint = "trigger_rule: none_failed_min_one_success"
                    yield document.problem(
                        "DAG112", paths[task_id], message, hint, key=True, severity=WARNING
                    )
