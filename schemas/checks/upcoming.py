"""What is good to know of a file that is right: when it runs next, and what it needs to exist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.catalog.cron import next_runs
from schemas.catalog.existing import Existing, existing
from schemas.catalog.lookup import facts_of_task
from schemas.checks.examples import EMPTY
from schemas.checks.rendered import with_contents
from schemas.checks.template_members import taken_by
from schemas.documents.arguments import PARTS, arguments_of, given_to
from schemas.documents.graph import graphs_of
from schemas.documents.reading import Document
from schemas.documents.texts import is_template, parse_template, texts, undeclared_names
from schemas.problems import INFORMATION, KeyPath, Problem, Rule

if TYPE_CHECKING:
    import jinja2.nodes

NEXT_RUNS = Rule(
    "DAG301",
    "the next runs",
    why="`check --information` says when a DAG runs next, in its own time zone.",
    bad="schedule: '0 0 6 * *'",
    good="schedule: '0 6 * * *'",
    severity=INFORMATION,
)
POOL = Rule(
    "DAG302",
    "a pool that must exist",
    why="A task whose pool does not exist never starts. `check --information` lists the pools.",
    bad=f"{EMPTY}\npool: gpus",
    good=f"{EMPTY}\npool: default_pool",
    severity=INFORMATION,
    scope="task",
)
CONNECTION = Rule(
    "DAG303",
    "a connection that must exist",
    why="A task whose connection does not exist fails. `check --information` lists the connections.",
    bad=(
        "on_failure_callback: {callback: callables.notifications.notify_failure, connection: slack_webhook}"
    ),
    good="on_failure_callback: {callback: callables.notifications.notify_failure}",
    severity=INFORMATION,
)
Needed = tuple[KeyPath, str, str, str]
CONNECTION_KEYS = ("conn_id", "connection", "database")


def check_upcoming(document: Document, now: datetime, told: set[str]) -> Iterator[Problem]:
    """Yield the next runs of each DAG, and the pools and connections that its file needs and lacks.

    Each once: ``told`` has those that are reported already, and gets the new ones.
    """
    if not document.is_defaults:
        yield from _next_runs(document, now)
    there: Existing | None = None
    for path, kind, name, of in _needed(document):
        key = f"{kind} {name}"
        if key in told:
            continue
        there = there or existing()
        told.add(key)
        if kind == "pool" and name not in there.pools:
            hint = f"create it: airflow pools set {name} SLOTS DESCRIPTION"
            yield document.problem(POOL, path, f"needs pool {name!r}", hint)
        elif kind == "connection" and name.lower() not in there.connections:
            hint = f"set AIRFLOW_CONN_{name.upper()} in the environment, or use a secrets backend"
            if there.elsewhere:
                hint = "the secrets backend may have it: it is not asked here"
            yield document.problem(CONNECTION, path, f"needs connection {name!r}{of}", hint)


def _needed(document: Document) -> Iterator[Needed]:
    """Yield (path, pool or connection, name, what has it as its default) of each that the document needs."""
    for path, text in texts(document.data, ()):
        if is_template(text) or not text:
            continue  # known when the task runs
        key = str(path[-1])
        if key == "pool":
            yield path, "pool", text, ""
        elif key in CONNECTION_KEYS or key.endswith("_conn_id"):
            yield path, "connection", text, ""
    yield from _mapped(document)
    yield from _in_templates(document)
    yield from _by_default(document)


def _mapped(document: Document) -> Iterator[Needed]:
    for one in arguments_of(document):
        if one.place == "expand" and _takes_connection(one.key) and isinstance(one.value, str):
            yield one.path, "connection", one.value, ""


def _takes_connection(key: str) -> bool:
    return key == "conn_id" or key.endswith("_conn_id")


def _in_templates(document: Document) -> Iterator[Needed]:
    for found in with_contents(document):
        tree = parse_template(found.text)
        if tree is not None and found.rendered is not False and "conn" in undeclared_names(found.text):
            for name in sorted(_connections(tree)):
                yield found.path, "connection", name, ""


def _by_default(document: Document) -> Iterator[Needed]:
    for graph in graphs_of(document):
        for task_id, task in graph.tasks.items():
            parts = [task[part] for part in PARTS if isinstance(task.get(part), dict)]
            given = {*given_to(document, graph, task_id)}.union(*parts)
            for name, kind in facts_of_task(task).get("properties", {}).items():
                if _takes_connection(name) and isinstance(kind.get("default"), str) and name not in given:
                    of = f", the {name} that {str(task.get('operator')).rpartition('.')[2]} has by default"
                    yield graph.paths[task_id], "connection", kind["default"], of


def _connections(tree: jinja2.nodes.Template) -> set[str]:
    """Return the connections that a template takes: ``conn.NAME`` or ``conn['NAME']``."""
    from jinja2 import nodes

    taken = [taken_by(node) for node in tree.find_all((nodes.Getattr, nodes.Getitem))]
    return {
        one[1]
        for one in taken
        if one and isinstance(one[0], nodes.Name) and one[0].name == "conn" and one[1] != "get"
    }


def _next_runs(document: Document, now: datetime) -> Iterator[Problem]:
    for dag_id in document.dags:
        if runs := next_runs(document.config_of(dag_id), now):
            shown = ", ".join(f"{run:%Y-%m-%d %H:%M}" for run in runs)
            message = f"{dag_id} runs next at {shown} ({runs[0].tzinfo})"
            yield document.problem(NEXT_RUNS, (dag_id, "schedule"), message)
