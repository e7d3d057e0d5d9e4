"""Sensors: how long they wait, and how long their tasks may run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from schemas.catalog.lookup import facts_of_task
from schemas.documents.arguments import defaults_of, given_to
from schemas.documents.graph import Graph, graphs_of
from schemas.documents.reading import Document
from schemas.problems import WARNING, Problem, Rule

_SENSOR = "operator: airflow.providers.standard.sensors.filesystem.FileSensor"
_FILE = f"{_SENSOR}\nfilepath: data/digits.csv\ntimeout: 3600"
ENDS_BEFORE = Rule(
    "DAG146",
    "a sensor that may wait longer than its task may run",
    why="A sensor that occupies its worker counts as running while it waits: execution_timeout ends it.",
    bad=f"{_FILE}\nexecution_timeout: {{__type__: datetime.timedelta, minutes: 15}}",
    good=f"{_FILE}\nexecution_timeout: {{__type__: datetime.timedelta, minutes: 61}}",
    severity=WARNING,
    scope="task",
)


def check_timeouts(document: Document) -> Iterator[Problem]:
    """No sensor in poke mode is given more time than its task."""
    for graph in graphs_of(document):
        for task_id, task in graph.tasks.items():
            given, partial = given_to(document, graph, task_id), task.get("partial")
            given = {**given, **partial} if isinstance(partial, dict) else given
            waits, runs = seconds_of(given.get("timeout")), seconds_of(given.get("execution_timeout"))
            occupies = given.get("mode", "poke") == "poke" and given.get("deferrable") is not True
            if not facts_of_task(task).get("x-sensor") or waits is None or runs is None or not occupies:
                continue
            if waits > runs:
                path, where = graph.paths[task_id], _place(document, graph, task_id)
                message = (
                    f"waits up to {waits:g} s, but execution_timeout ends the task after {runs:g} s ({where})"
                )
                hint = "write mode: reschedule, or give it a longer execution_timeout"
                own = "timeout" in task
                at = (*path, "timeout") if own else path
                yield document.problem(ENDS_BEFORE, at, message, hint, key=not own)


def _place(document: Document, graph: Graph, task_id: str) -> str:
    """Return where a task's execution_timeout comes from."""
    keys, path = document.positions.keys, graph.paths[task_id]
    places = [(*path, "execution_timeout"), (*path, "partial", "execution_timeout")]
    places += [
        (*place, "execution_timeout")
        for place, given in defaults_of(document, graph, task_id)
        if "execution_timeout" in given
    ]
    found = next((keys[place] for place in places if place in keys), None)
    return f"line {found.line}" if found else "from defaults.yml"


def seconds_of(value: Any) -> float | None:
    """Return a duration of YAML in seconds: a number, or a timedelta that is given by ``__type__``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, dict) and value.get("__type__") == "datetime.timedelta":
        parts = {key: part for key, part in value.items() if not key.startswith("__")}
        try:
            return timedelta(**parts).total_seconds()
        except TypeError:
            return None
    return None
