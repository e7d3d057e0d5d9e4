"""Mistakes in ``deadline``: each is found, once and at its place; and what Airflow gets of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.definitions.callback import AsyncCallback, SyncCallback
from airflow.sdk.definitions.deadline import DeadlineReference

from schemas.building import build_dags
from schemas.documents.reading import read_document
from schemas.reports.formats import as_text
from schemas.validation import check_paths

TASKS = "  tasks:\n    a: {operator: airflow.providers.standard.operators.empty.EmptyOperator}\n"
GOOD = {"callback": "callables.deadlines.notify_stale", "interval": "60", "output": "weather"}


def written(folder: Path, deadline: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(
        f"mine:\n  schedule: none\n  timezone: UTC\n  deadline: {deadline}\n{TASKS}", encoding="utf-8"
    )
    return path


def flow(**given: str | None) -> str:
    found = {name: value for name, value in {**GOOD, **given}.items() if value is not None}
    return "{" + ", ".join(f"{name}: {value}" for name, value in found.items()) + "}"


@pytest.mark.parametrize(
    ("deadline", "code", "message"),
    [
        (flow(interval=None), "DAG102", "notify_stale() needs 'interval'"),
        (flow(interval="-5"), "DAG003", "interval must be 1 or more, got -5"),
        (
            flow(interval="3 hours"),
            "DAG003",
            "interval must be a number of seconds or a timedelta, got '3 hours'",
        ),
        (flow(callback="callables.deadlines.notify_stal"), "DAG101", "did you mean 'notify_stale'?"),
        (flow(callback="callables.models.prune"), "DAG120", "prune() does not take the context"),
        (flow(output="wether"), "DAG116", "output 'wether' is not known\n  hint: did you mean 'weather'?"),
        (flow(output="predictions"), "DAG116", "names no model\n  hint: write predictions/<name>"),
        (flow(output=None), "DAG102", "notify_stale() needs 'output'"),
        (flow(output=None, outptu="weather"), "DAG102", "did you mean 'output'?"),
        (flow(callback=None, calback=GOOD["callback"]), "DAG002", "did you mean 'callback'?"),
        (flow(output="'{{ dag.dag_id }}'"), "DAG142", "notify_stale() does not render output"),
        (
            "callables.deadlines.notify_stale",
            "DAG003",
            "deadline must be a mapping with callback and interval",
        ),
        (f"[{flow()}, {flow(output='wether')}]", "DAG116", "output 'wether' is not known"),
    ],
)
def test_a_mistake_is_one_problem(tmp_path: Path, deadline: str, code: str, message: str) -> None:
    problems = check_paths([written(tmp_path, deadline)])
    assert [problem.code for problem in problems] == [code]
    assert message in as_text(problems)


@pytest.mark.parametrize("interval", ["90", "{__type__: datetime.timedelta, seconds: 90}"])
def test_airflow_gets_an_alert(tmp_path: Path, interval: str) -> None:
    path = written(tmp_path, flow(interval=interval))
    assert check_paths([path]) == []
    (dag,) = build_dags(read_document(path), [], store=False)
    (alert,) = dag.deadline
    assert alert.reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert alert.interval == 90.0
    assert type(alert.callback) is AsyncCallback  # in the triggerer, whatever the executor
    assert alert.callback.path == "callables.deadlines.notify_stale"
    assert alert.callback.kwargs == {"interval": 90.0, "output": "weather"}


def test_several_deadlines_and_a_function_that_is_not_asynchronous(tmp_path: Path) -> None:
    plain = "{callback: callables.notifications.notify_failure, interval: 5}"
    path = written(tmp_path, f"[{flow()}, {plain}]")
    (dag,) = build_dags(read_document(path), [], store=False)
    assert [type(one.callback) for one in dag.deadline] == [AsyncCallback, SyncCallback]


def test_of_two_levels_one_deadline_counts_as_a_whole(tmp_path: Path) -> None:
    path = written(tmp_path, flow(output="predictions/digits"))
    text = path.read_text(encoding="utf-8")
    path.write_text(f"default:\n  deadline: {flow(connection='other')}\n{text}", encoding="utf-8")
    (dag,) = build_dags(read_document(path), [], store=False)
    (alert,) = dag.deadline
    assert alert.callback.kwargs == {"interval": 60.0, "output": "predictions/digits"}
