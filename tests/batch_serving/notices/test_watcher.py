"""The watcher and a real metadata database: which failures it finds, what it requests, what it survives."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stores import together

from batch_serving.notices import claims, watcher
from batch_serving.notices.deadlines import RunToLookAt
from batch_serving.notices.import_errors import ImportErrors
from batch_serving.notices.requests import MARK
from batch_serving.notices.watcher import Failure, Watcher

TASKS = ("a", "b", "c")
OUTPUTS = ("models/digits", "weather")


def new_database() -> Any:
    """The watcher's own connections. Imported late: Airflow takes its home when it is imported."""
    from batch_serving.notices.airflow_database import AirflowDatabase

    return AirflowDatabase()


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A metadata database without tables, in the place of the one that this process has had so far."""
    from airflow import settings

    def connect() -> None:
        settings.dispose_orm()
        settings.configure_vars()
        settings.configure_orm()

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("metadata")
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{folder}/airflow.db")
        connect()
        yield
        settings.dispose_orm()
    connect()


@pytest.fixture(scope="module")
def metadata(empty_database: None) -> None:
    """A metadata database with one DAG, as the DAG processor stores it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference
    from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    alerts = [
        DeadlineAlert(
            DeadlineReference.DAGRUN_QUEUED_AT,
            timedelta(hours=2),
            AsyncCallback(watcher.STALE_CALLBACK, {"interval": 7200.0, "output": output}),
        )
        for output in OUTPUTS
    ]
    with DAG("watched", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), deadline=alerts) as dag:
        for name in TASKS:
            EmptyOperator(task_id=name)
    dag.relative_fileloc = "load_all.py"
    stored = LazyDeserializedDAG(data=DagSerialization.to_dict(dag), last_loaded=datetime.now(UTC))
    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
        session.commit()
        update_dag_parsing_results_in_db("dags-folder", None, [stored], {}, 0.1, set(), session)


@pytest.fixture
def run(metadata: None, output: Path) -> Iterator[str]:
    """A run of the DAG, whose tasks have not started; its run_id."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.dagrun import DagRun
    from airflow.models.db_callback_request import DbCallbackRequest
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import delete

    run_id = f"manual__{time.monotonic_ns()}"
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag("watched", session=session)
        dag.create_dagrun(
            run_id=run_id,
            logical_date=None,
            run_after=datetime.now(UTC),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state="running",
            session=session,
        )
    yield run_id
    with create_session() as session:
        for model in (DbCallbackRequest, ParseImportError, DagRun):
            session.execute(delete(model))


def set_state(run_id: str, name: str, state: str, ago_s: float = 0.0) -> Failure:
    """Give a task a state that it has had for so long; return what the watcher knows it by."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = select(TaskInstance).where(TaskInstance.run_id == run_id, TaskInstance.task_id == name)
        found = session.scalars(query).one()
        found.state, found.try_number = state, 1
        found.end_date = datetime.now(UTC) - timedelta(seconds=ago_s)
        return Failure(str(found.id), 1)


def requests() -> list[Any]:
    """Return the requests that wait for the DAG processor."""
    from airflow.models.db_callback_request import DbCallbackRequest
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = [one.get_callback_request() for one in session.scalars(select(DbCallbackRequest))]
    return sorted(found, key=lambda one: one.ti.task_id)


@dataclass
class Sent:
    """What the watcher sends itself."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> str:
        self.texts.append(text)
        return "sent"


def watcher_of(database: Any, sent: Sent) -> Watcher:
    return Watcher(database, ImportErrors(sent, sent), sent, 10.0)


def test_the_callback_of_a_failure_without_a_claim_is_requested_once_at_the_second_look(run: str) -> None:
    sent = Sent()
    watching = watcher_of(new_database(), sent)
    watching.look()  # failures from before the first look ever are not announced
    killed, told = set_state(run, "a", "failed"), set_state(run, "b", "failed")
    set_state(run, "c", "up_for_retry")
    claim = claims.claim(claims.of_task(told.instance_id, told.try_number, "slack_webhook"))
    assert claim is not None
    claim.close("sent")
    watching.look()
    assert requests() == []
    watching.look()
    watching.look()
    (request,) = requests()
    assert str(request.ti.id) == killed.instance_id
    assert (request.filepath, request.bundle_name) == ("load_all.py", "dags-folder")
    assert request.msg.startswith(MARK)
    assert request.is_failure_callback
    assert request.context_from_server.dag_run.run_id == run
    assert sent.texts == []


def test_a_skip_a_success_and_what_failed_of_another_task_are_left_alone(run: str) -> None:
    watching = watcher_of(new_database(), Sent())
    watching.look()
    for name, state in zip(TASKS, ("skipped", "success", "upstream_failed"), strict=True):
        set_state(run, name, state)
    for _ in range(3):
        watching.look()
    assert requests() == []


def test_old_failures_and_those_from_before_the_first_look_are_left_alone(run: str) -> None:
    set_state(run, "a", "failed", ago_s=60)
    claims.watched_since(time.time() - 30)
    set_state(run, "b", "failed", ago_s=20)
    set_state(run, "c", "failed", ago_s=watcher.WINDOW_S + 60)
    watching = watcher_of(new_database(), Sent())
    for _ in range(3):
        watching.look()
    assert [request.ti.task_id for request in requests()] == ["b"]


def test_the_reason_is_that_of_airflows_audit_log(run: str) -> None:
    from airflow.models.log import Log
    from airflow.utils.session import create_session

    failure = set_state(run, "a", "failed")
    with create_session() as session:
        for event, text in (
            ("state mismatch", "Executor X reported that the task instance T finished with state failed"),
            ("heartbeat timeout", "Task did not emit heartbeat within time limit (300 seconds)"),
        ):
            log = Log(event=event, extra=text)
            log.dag_id, log.task_id, log.run_id, log.map_index, log.try_number = "watched", "a", run, -1, 1
            session.add(log)
    database = new_database()
    database.request_callback(failure)
    (request,) = requests()
    assert request.msg == f"{MARK}heartbeat lost: its worker has not answered for 300 s"
    assert database.described(failure) == (
        f"*watched.a* failed, run `{run}`, try 1: heartbeat lost: its worker has not answered for 300 s"
    )


def test_a_task_that_was_cleared_meanwhile_is_left_alone(run: str) -> None:
    failure = set_state(run, "a", "failed")
    set_state(run, "a", "queued")
    database = new_database()
    database.request_callback(failure)
    assert requests() == []
    assert database.described(failure) == ""


def test_a_claim_whose_sender_died_is_requested_again(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = watcher_of(new_database(), Sent())
    watching.look()
    failure = set_state(run, "a", "failed")
    assert claims.claim(claims.of_task(failure.instance_id, 1, "slack_webhook")) is not None
    watching.look()
    watching.look()
    assert requests() == []
    monkeypatch.setattr(claims, "ABANDONED_AFTER_S", 0.0)
    watching.look()
    watching.look()
    assert len(requests()) == 1


def test_if_no_request_is_answered_one_of_two_watchers_announces_it(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "AGAIN_AFTER_S", 0.0)
    sent = Sent()
    watching = [watcher_of(new_database(), sent) for _ in range(2)]
    together([one.look for one in watching])
    set_state(run, "a", "failed")
    for _ in range(watcher.MOST_REQUESTS + 4):
        together([one.look for one in watching])
    assert len(requests()) == 2 * watcher.MOST_REQUESTS
    (text,) = sent.texts
    assert text.startswith(f"*watched.a* failed, run `{run}`, try 1: ")
    assert text.endswith("is its file loaded, and does the DAG processor run?")


def test_import_errors_are_read(run: str) -> None:
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session

    with create_session() as session:
        session.add(
            ParseImportError(filename="a.yaml", bundle_name="dags-folder", stacktrace="a.yaml:1:1: wrong")
        )
    sent = Sent()
    watching = watcher_of(new_database(), sent)
    for _ in range(3):
        watching.look()
    assert sent.texts == ["a.yaml has an error, and its DAGs are not loaded:\na.yaml:1:1: wrong"]


def test_what_goes_wrong_is_survived_and_logged_once(
    run: str, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=watcher.log.name)
    database = new_database()
    watching = watcher_of(database, Sent())
    watching.look()
    set_state(run, "a", "failed")
    engine = database._engine
    import sqlalchemy

    database._engine = sqlalchemy.create_engine("sqlite:////nowhere/airflow.db")
    for _ in range(3):
        watching.look()
    database._engine = engine
    for _ in range(3):
        watching.look()
    texts = [record.getMessage() for record in caplog.records if record.name == watcher.log.name]
    assert len(texts) == 2
    assert "OperationalError" in texts[0]
    assert texts[1] == "failures are watched again"
    assert len(requests()) == 1


def test_one_failure_that_cannot_be_looked_up_does_not_hide_the_others(run: str) -> None:
    from batch_serving.notices.airflow_database import AirflowDatabase

    class Broken(AirflowDatabase):
        def request_callback(self, failure: Failure) -> None:
            if failure == first:
                raise ValueError("it is not readable")
            super().request_callback(failure)

    watching = watcher_of(Broken(), Sent())
    watching.look()
    first = set_state(run, "a", "failed")
    set_state(run, "b", "failed")
    for _ in range(3):
        watching.look()
    assert [request.ti.task_id for request in requests()] == ["b"]


def pause(paused: bool) -> None:
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagModel).values(is_paused=paused))


def test_each_deadline_is_looked_at_with_the_last_run(run: str) -> None:
    seen: list[tuple[RunToLookAt, dict[str, Any]]] = []

    def look() -> None:
        Watcher(
            new_database(),
            ImportErrors(Sent(), Sent()),
            Sent(),
            10.0,
            lambda at, **given: seen.append((at, given)),
        ).look()

    pause(True)
    look()
    assert seen == []
    pause(False)
    look()
    found = sorted((given for _, given in seen), key=lambda given: str(given["output"]))
    assert found == [{"interval": 7200.0, "output": output} for output in OUTPUTS]
    for at, _ in seen:
        assert (at.dag_id, at.run_id, at.state, at.is_late) == ("watched", run, "running", False)


def test_an_output_is_expected_since_the_first_run_with_its_deadline(run: str) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.deadline_alert import DeadlineAlert
    from airflow.utils.session import create_session
    from sqlalchemy import update

    def expected_since() -> set[datetime | None]:
        return {one.run.expected_since for one in new_database().deadlines(watcher.STALE_CALLBACK)}

    def set_times(written_at: datetime, queued_at: datetime | None) -> None:
        with create_session() as session:
            session.execute(update(DeadlineAlert).values(created_at=written_at))
            session.execute(update(DagRun).values(queued_at=queued_at))

    pause(False)
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    set_times(first, None)
    assert expected_since() == {None}
    set_times(first, second)
    assert expected_since() == {second}
    set_times(second, first)
    assert expected_since() == {second}


def test_one_deadline_that_cannot_be_looked_at_does_not_hide_the_others(
    run: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def report(_: RunToLookAt, *, interval: float, output: str) -> None:
        if output == OUTPUTS[0]:
            raise ValueError("it is not readable")
        seen.append(output)

    pause(False)
    Watcher(new_database(), ImportErrors(Sent(), Sent()), Sent(), 10.0, report).look()
    assert seen == [OUTPUTS[1]]
    assert "ValueError: it is not readable (1 deadline)" in caplog.text
