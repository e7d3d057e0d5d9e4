"""Sensors: how long they wait, and how long their tasks may run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from schemas.catalog.lookup import facts_of_task
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.problems import WARNING, KeyPath, Problem, Rule

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
    for dag_id, tasks, paths in tasks_of(document):
        defaults = document.default_args_of(dag_id)
        for task_id, task in tasks.items():
            given = {**defaults, **task}
            waits = seconds_of(task.get("timeout"))
            runs = seconds_of(given.get("execution_timeout"))
            occupies = given.get("mode", "poke") == "poke" and given.get("deferrable") is not True
            if not facts_of_task(task).get("x-sensor") or waits is None or runs is None or not occupies:
                continue
            if waits > runs:
                where = _place(document, dag_id, paths[task_id])
                message = (
                    f"waits up to {waits:g} s, but execution_timeout ends the task after {runs:g} s ({where})"
                )
                hint = "write mode: reschedule, or give it a longer execution_timeout"
                yield document.problem(ENDS_BEFORE, (*paths[task_id], "timeout"), message, hint)


def _place(document: Document, dag_id: str, task: KeyPath) -> str:
    """Return where a task's execution_timeout comes from."""
    keys = document.positions.keys
    places = ((*task, "execution_timeout"), (dag_id, "default_args", "execution_timeout"))
    for path in (*places, ("default", "default_args", "execution_timeout")):
        if path in keys:
            return f"line {keys[path].line}"
    return "from defaults.yml"


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
