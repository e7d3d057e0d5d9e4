"""What the watcher asks of Airflow's database: failed tasks, why they failed, import errors; and callbacks.

All of it runs in the watcher's thread of the scheduler, with connections of its own: short queries, and one
insert for a request. The names that are imported here are Airflow's own, of 3.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow import settings
from airflow.api_fastapi.execution_api.datamodels import taskinstance as datamodels
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.callbacks.database_callback_sink import DatabaseCallbackSink
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.deadline_alert import DeadlineAlert
from airflow.models.errors import ParseImportError
from airflow.models.log import Log
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.log.log_reader import TaskLogReader
from airflow.utils.orm_event_handlers import setup_event_handlers
from airflow.utils.state import TaskInstanceState
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from batch_serving.notices import reasons
from batch_serving.notices.deadlines import Deadline, RunToLookAt
from batch_serving.notices.requests import limits, marked
from batch_serving.notices.watcher import Failure

if TYPE_CHECKING:
    import sqlalchemy

EVENTS = (
    "heartbeat timeout",
    "stuck in queued tries exceeded",
    "state mismatch",
)  # in the order of precision
MOST_FAILURES = 1000  # of one look
LOG_MESSAGES = 100_000  # of which the last ones are searched
LAST_MESSAGES = 50


class AirflowDatabase:
    """The metadata database of the Airflow whose settings this process has."""

    def __init__(self) -> None:
        """Connect to nothing yet: each session opens a connection and closes it."""
        self._engine: sqlalchemy.Engine = settings.create_metadata_engine(
            conf.get("database", "sql_alchemy_conn"),
            engine_args={"poolclass": NullPool},
            connect_args=settings._get_connect_args("sync"),
        )
        setup_event_handlers(self._engine)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self._engine) as session:
            yield session

    def failed_since(self, moment: float) -> list[Failure]:
        """Return the tasks that failed at ``moment`` (seconds since 1970) or later, the newest first."""
        ended = func.coalesce(TaskInstance.end_date, TaskInstance.updated_at)
        query = (
            select(TaskInstance.id, TaskInstance.try_number)
            .where(TaskInstance.state == TaskInstanceState.FAILED)
            .where(ended >= datetime.fromtimestamp(moment, UTC))
            .order_by(ended.desc())
            .limit(MOST_FAILURES)
        )
        with self._session() as session:
            return [Failure(str(found), number) for found, number in session.execute(query)]

    def request_callback(self, failure: Failure) -> None:
        """Let the DAG processor run the callbacks of a failed task; nothing if it is not failed any more."""
        with self._session() as session:
            instance = _failed(session, failure)
            request = _request(instance, marked(_reason(session, instance))) if instance else None
            if request is not None:
                DatabaseCallbackSink().send(request, session=session)
                session.commit()

    def described(self, failure: Failure) -> str:
        """Return which task it is, and why it failed; an empty text if it is not failed any more."""
        with self._session() as session:
            instance = _failed(session, failure)
            if instance is None:
                return ""
            name = f"*{instance.dag_id}.{instance.task_id}* failed"
            which = f"run `{instance.run_id}`, try {instance.try_number}"
            return f"{name}, {which}: {_reason(session, instance) or reasons.UNKNOWN}"

    def import_errors(self) -> dict[str, str]:
        """Return the import errors that the UI shows: text by file name."""
        query = select(ParseImportError.filename, ParseImportError.stacktrace)
        with self._session() as session:
            return {str(name): text or "" for name, text in session.execute(query)}

    def deadlines(self, callback: str) -> list[Deadline]:
        """Return the deadlines with this callback of the DAGs that are not paused, as they are now."""
        newest = (
            select(SerializedDagModel.dag_id, func.max(SerializedDagModel.created_at).label("created_at"))
            .group_by(SerializedDagModel.dag_id)
            .subquery()
        )
        query = (
            select(SerializedDagModel.dag_id, DeadlineAlert.callback_def, DeadlineAlert.created_at)
            .join(SerializedDagModel, SerializedDagModel.id == DeadlineAlert.serialized_dag_id)
            .join(DagModel, DagModel.dag_id == SerializedDagModel.dag_id)
            .join(
                newest,
                (newest.c.dag_id == SerializedDagModel.dag_id)
                & (newest.c.created_at == SerializedDagModel.created_at),
            )
            .where(DagModel.is_paused.is_(False), DagModel.is_stale.is_(False))
        )
        with self._session() as session:
            return [
                Deadline(_last_run(session, dag_id, written_at), given["__data__"]["kwargs"])
                for dag_id, given, written_at in session.execute(query).all()
                if given["__data__"]["path"] == callback
            ]


def _last_run(session: Session, dag_id: str, written_at: datetime) -> RunToLookAt:
    """Return the last run of a DAG; its output is expected since its first one, with this deadline."""
    of_dag = select(DagRun.run_id, DagRun.state, DagRun.queued_at).where(DagRun.dag_id == dag_id)
    last = session.execute(of_dag.order_by(DagRun.id.desc()).limit(1)).first()
    first = session.execute(of_dag.where(DagRun.queued_at.is_not(None)).order_by(DagRun.id).limit(1)).first()
    if last is None:
        return RunToLookAt(dag_id)
    state = str(getattr(last.state, "value", last.state))
    expected_since = max(first.queued_at, written_at) if first else None
    return RunToLookAt(dag_id, last.run_id, state, expected_since=expected_since)


def _failed(session: Session, failure: Failure) -> Any | None:
    """Return the task instance; None if it is not failed any more, since it was cleared."""
    found = session.get(TaskInstance, UUID(failure.instance_id))
    return found if found is not None and found.state == TaskInstanceState.FAILED else None


def _reason(session: Session, instance: Any) -> str:
    return _reason_in_events(session, instance) or _reason_in_log(instance)


def _request(instance: Any, message: str) -> TaskCallbackRequest | None:
    """Return a request such as Airflow makes for a task that was killed; None if its DAG is gone."""
    version, run, model = instance.dag_version, instance.dag_run, instance.dag_model
    if version is None or model is None:
        return None
    return TaskCallbackRequest(
        filepath=model.relative_fileloc or "",
        bundle_name=version.bundle_name,
        bundle_version=version.bundle_version if run.bundle_version is not None else None,
        ti=instance,
        msg=message,
        task_callback_type=TaskInstanceState.FAILED,
        context_from_server=datamodels.TIRunContext(
            dag_run=datamodels.DagRun.model_validate(run, from_attributes=True),
            max_tries=instance.max_tries,
            variables=[],
            connections=[],
            xcom_keys_to_clear=[],
        ),
    )


def _reason_in_events(session: Session, instance: Any) -> str:
    """Return why Airflow failed a task, from its audit log; empty if Airflow did not."""
    query = select(Log.event, Log.extra).where(
        Log.dag_id == instance.dag_id,
        Log.task_id == instance.task_id,
        Log.run_id == instance.run_id,
        Log.map_index == instance.map_index,
        Log.try_number == instance.try_number,
        Log.event.in_(EVENTS),
    )
    found = {event: extra or "" for event, extra in session.execute(query)}
    texts = [found[event] for event in EVENTS if event in found]
    return reasons.in_words(texts[0], limits()) if texts else ""


def _reason_in_log(instance: Any) -> str:
    """Return how a task's process ended, from the end of its log; empty if that does not say."""
    try:
        messages, _ = TaskLogReader().read_log_chunks(instance, instance.try_number, {})
        return reasons.in_log(deque(islice(messages, LOG_MESSAGES), LAST_MESSAGES))
    except Exception:  # without the log the message is still sent
        return ""
