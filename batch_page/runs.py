"""What Airflow knows of DAGs and runs, read from its database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.documents.documentation import file_in

if TYPE_CHECKING:
    from batch_page.asked import Asked


@dataclass(frozen=True)
class NextRun:
    """When a DAG runs next: at a time, or after what; paused DAGs do not run."""

    dag_id: str
    at: datetime | None
    schedule: str
    is_paused: bool


def next_runs(asking: Asked, dag_ids: Iterable[str] | None = None) -> list[NextRun]:
    """Return the DAGs that the user may read: those that run first, then the others, then paused ones."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    wanted = asking.readable if dag_ids is None else asking.readable.intersection(dag_ids)
    columns = (
        DagModel.dag_id, DagModel.next_dagrun_create_after, DagModel.timetable_summary, DagModel.is_paused,
    )  # fmt: skip
    with create_session(scoped=False) as session:
        rows = session.execute(
            select(*columns).where(DagModel.dag_id.in_(wanted), DagModel.is_stale.is_(False))
        ).all()
    found = [NextRun(dag_id, at, schedule or "", bool(paused)) for dag_id, at, schedule, paused in rows]
    return sorted(found, key=lambda run: (run.is_paused, run.at is None, run.at or asking.now, run.dag_id))


def import_errors() -> dict[str, str]:
    """Return the errors that Airflow shows of files, by name."""
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session(scoped=False) as session:
        rows = session.execute(select(ParseImportError.filename, ParseImportError.stacktrace)).all()
    return {str(name): str(text) for name, text in rows}


def loaded_text(dag_id: str) -> str | None:
    """Return the text of a DAG's file as Airflow runs it, without blanks around; None if it has no such DAG.

    It is in the DAG's documentation, to which the loader adds it.
    """
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        made = SerializedDagModel.get(dag_id, session=session)
        data = made.data if made is not None else None
    found = file_in(str((data or {}).get("dag", {}).get("doc_md") or ""))
    return None if found is None else found[1]
