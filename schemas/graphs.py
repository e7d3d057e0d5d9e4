"""A DAG file as a Mermaid graph, drawn from the YAML alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.documents import Document
from schemas.graph_checks import branches
from schemas.tasks import groups_of, tasks_of, upstream_of


def mermaid(document: Document) -> str:
    """Return a Mermaid flowchart of all DAGs of a document; GitHub and most editors show it."""
    lines = ["flowchart LR"]
    for dag_id in document.dags:
        lines += [f"  subgraph {_node(dag_id)}[{_text(dag_id)}]", *_dag(document, dag_id), "  end"]
    return "\n".join(lines)


def _dag(document: Document, dag_id: str) -> Iterator[str]:
    tasks = next((found for name, found, _ in tasks_of(document) if name == dag_id), {})
    choosing = branches(tasks)
    grouped: set[str] = set()
    for group in groups_of(document, dag_id):
        members = [name for name, task in tasks.items() if task.get("task_group_name") == group]
        grouped.update(members)
        yield f"    subgraph {_node(dag_id, group)}[{_text(group)}]"
        yield from (f"      {_shape(dag_id, name, name in choosing)}" for name in members)
        yield "    end"
    yield from (f"    {_shape(dag_id, name, name in choosing)}" for name in tasks if name not in grouped)
    for name, upstream in upstream_of(document, dag_id, tasks).items():
        yield from (
            f"    {_node(dag_id, before)} --> {_node(dag_id, name)}" for before in tasks if before in upstream
        )


def _shape(dag_id: str, name: str, branch: bool) -> str:
    opening, closing = ("{", "}") if branch else ("[", "]")
    return f"{_node(dag_id, name)}{opening}{_text(name)}{closing}"


def _node(*names: str) -> str:
    return "__".join(re.sub(r"\W", "_", name) for name in names)


def _text(name: str) -> str:
    return '"' + name.replace('"', "#quot;") + '"'
