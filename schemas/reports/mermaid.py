"""A DAG file as a Mermaid graph, drawn from the YAML alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from schemas.catalog.lookup import skips
from schemas.checks.names import check_keys_are_text, check_names
from schemas.documents.graph import graphs_of
from schemas.documents.reading import Document, DocumentError, read_document
from schemas.documents.rules import WRONG_VALUE


def readable(path: Path) -> Document:
    """Read a file whose DAGs, tasks and groups have names and are mappings; raises DocumentError."""
    document = read_document(path)
    problems = [*check_keys_are_text(document), *check_names(document)]
    for dag_id, config in document.dags.items():
        if not isinstance(config, dict):
            message, hint = "a DAG must be a mapping", "indent its keys below the dag_id"
            problems.append(document.problem(WRONG_VALUE, (dag_id,), message, hint))
    if problems:
        raise DocumentError(*problems)
    return document


def mermaid(document: Document) -> str:
    """Return a Mermaid flowchart of all DAGs of a document; GitHub and most editors show it."""
    node = _Nodes()
    lines = ["flowchart LR"]
    for dag_id in document.dags:
        lines += [f"  subgraph {node(dag_id)}[{_text(dag_id)}]", *_dag(document, dag_id, node), "  end"]
    return "\n".join(lines)


def _dag(document: Document, dag_id: str, node: _Nodes) -> Iterator[str]:
    graph = next((one for one in graphs_of(document) if one.dag_id == dag_id), None)
    if graph is None:
        return
    tasks, groups = graph.tasks, graph.groups
    choosing = [name for name, task in tasks.items() if skips(task) == "branch"]

    def inside(group: str | None, indent: str) -> Iterator[str]:
        """Draw the groups and tasks that are directly in a group, or in none."""
        for name, item in groups.items():
            if item.get("parent_group_name") == group:
                yield f"{indent}subgraph {node(dag_id, 'group', name)}[{_text(name)}]"
                yield from inside(name, f"{indent}  ")
                yield f"{indent}end"
        for name, task in tasks.items():
            if task.get("task_group_name") == group:
                opening, closing = ("{", "}") if name in choosing else ("[", "]")
                yield f"{indent}{node(dag_id, name)}{opening}{_text(name)}{closing}"

    yield from inside(None, "    ")
    for name, upstream in graph.upstream.items():
        yield from (
            f"    {node(dag_id, before)} --> {node(dag_id, name)}" for before in tasks if before in upstream
        )


class _Nodes:
    """Gives each name its own id, which Mermaid can read."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, ...], str] = {}

    def __call__(self, *names: str) -> str:
        if names not in self._ids:
            wanted = found = "__".join(re.sub(r"\W", "_", name) for name in names)
            number = 1
            while found in self._ids.values():
                number += 1
                found = f"{wanted}_{number}"
            self._ids[names] = found
        return self._ids[names]


def _text(name: str) -> str:
    return '"' + name.replace('"', "#quot;") + '"'
