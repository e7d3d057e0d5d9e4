"""What is good to know of a file that is right: when it runs next, and what it needs to exist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from schemas.catalog.cron import next_runs
from schemas.catalog.existing import Existing, existing
from schemas.catalog.lookup import facts_of_task
from schemas.checks.examples import EMPTY
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.documents.texts import is_template, texts
from schemas.problems import INFORMATION, KeyPath, Problem, Rule

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


def _needed(document: Document) -> Iterator[tuple[KeyPath, str, str, str]]:
    """Yield (path, pool or connection, name, what has it as its default) of each that the document needs."""
    for path, text in texts(document.data, ()):
        if is_template(text) or not text:
            continue  # known when the task runs
        key = str(path[-1])
        if key == "pool":
            yield path, "pool", text, ""
        elif key in CONNECTION_KEYS or key.endswith("_conn_id"):
            yield path, "connection", text, ""
    for dag_id, tasks, paths in tasks_of(document):
        defaults = document.default_args_of(dag_id)
        for task_id, task in tasks.items():
            for name, kind in facts_of_task(task).get("properties", {}).items():
                is_connection = name == "conn_id" or name.endswith("_conn_id")
                if is_connection and isinstance(kind.get("default"), str) and name not in {*task, *defaults}:
                    of = f", the {name} that {str(task.get('operator')).rpartition('.')[2]} has by default"
                    yield paths[task_id], "connection", kind["default"], of


def _next_runs(document: Document, now: datetime) -> Iterator[Problem]:
    for dag_id in document.dags:
        if runs := next_runs(document.config_of(dag_id), now):
            shown = ", ".join(f"{run:%Y-%m-%d %H:%M}" for run in runs)
            message = f"{dag_id} runs next at {shown} ({runs[0].tzinfo})"
            yield document.problem(NEXT_RUNS, (dag_id, "schedule"), message)
