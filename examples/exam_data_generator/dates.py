"""The range of dates that a run fills."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from batch_serving.shared.airflow import database_engine
from batch_serving.shared.dates import add_months, last_day_of_month, months_between, parse_date, today_in
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.sql_tables import create_if_missing

if TYPE_CHECKING:
    import sqlalchemy as sa

log = logging.getLogger(__name__)

DAYS = "exam_data_generator_days"
RUNS = "exam_data_generator_runs"
DAY_ZERO = date(2000, 1, 1)  # what the SQL counts days from


def date_params(
    *,
    connection: str,
    run_id: str,
    first_start: str,
    first_end: str,
    start_date: str = "",
    end_date: str = "",
    most_years: int = 10,
) -> dict[str, Any]:
    """Return the range that this run fills: ``start_date`` to ``end_date``, or what comes next.

    Both dates are included. Without them it is the month after the last day that the feature store has (or
    the rest of a month that it has in part), and ``first_start`` to ``first_end`` if it has none. A run that
    is cleared keeps its range. Returns start, end, the number of days and of months, and the number of the
    first day. Raises ValueError for a range that is not one, or is longer than ``most_years``.
    """
    engine = database_engine(connection)
    try:
        start, end = _range_of_run(engine, run_id) or _chosen(
            engine, (start_date, end_date), (first_start, first_end)
        )
        check_range(start, end, most_years)
        _keep(engine, run_id, start, end)
    finally:
        engine.dispose()
    if end > today_in("Asia/Seoul"):
        log.warning("%s is in the future: the exams until then are made up ahead of time", end)
    return {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "days": (end - start).days + 1,
        "months": len(months_between(start, end)),
        "first_number": (start - DAY_ZERO).days,
    }


def check_range(start: date, end: date, most_years: int) -> None:
    """Raise InvalidValueError for a range that ends before it starts, is too early or too long."""
    if end < start:
        raise InvalidValueError(f"end_date {end} is before start_date {start}", "exchange them")
    if start < DAY_ZERO:
        raise InvalidValueError(f"start_date {start} is before {DAY_ZERO}", "start later")
    if end >= add_months(start, 12 * most_years):
        raise InvalidValueError(
            f"{start} to {end} is more than {most_years} years", "fill it in parts, or raise most_years"
        )


def _chosen(engine: sa.Engine, given: tuple[str, str], first: tuple[str, str]) -> tuple[date, date]:
    """Return the range of the trigger form, or the next one."""
    if any(given):
        for name, text in zip(("start_date", "end_date"), given, strict=True):
            if not text:
                raise InvalidValueError(f"{name} is empty", "give both dates, or none for the next month")
        return parse_date(given[0], "start_date"), parse_date(given[1], "end_date")
    last = _last_day(engine)
    if last is None:
        return parse_date(first[0], "first_start"), parse_date(first[1], "first_end")
    next_day = last + timedelta(days=1)
    return next_day, last_day_of_month(next_day)


def _last_day(engine: sa.Engine) -> date | None:
    """Return the last day that the feature store has."""
    import sqlalchemy as sa

    if not sa.inspect(engine).has_table(DAYS):
        return None
    days = sa.table(DAYS, sa.column("exam_day", sa.Date))
    with engine.connect() as connection:
        found: date | None = connection.scalar(sa.select(sa.func.max(days.c.exam_day)))
    return found


def _runs() -> sa.Table:
    """Return the table of what each run fills: a cleared run would otherwise take the next month."""
    import sqlalchemy as sa

    return sa.Table(
        RUNS,
        sa.MetaData(),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("start_date", sa.Date, nullable=False),
        sa.Column("end_date", sa.Date, nullable=False),
    )


def _range_of_run(engine: sa.Engine, run_id: str) -> tuple[date, date] | None:
    import sqlalchemy as sa

    runs = _runs()
    create_if_missing(runs, engine)
    query = sa.select(runs.c.start_date, runs.c.end_date).where(runs.c.run_id == run_id)
    with engine.connect() as connection:
        found = connection.execute(query).one_or_none()
    return None if found is None else (found[0], found[1])


def _keep(engine: sa.Engine, run_id: str, start: date, end: date) -> None:
    runs = _runs()
    with engine.begin() as transaction:
        transaction.execute(runs.delete().where(runs.c.run_id == run_id))
        transaction.execute(runs.insert(), [{"run_id": run_id, "start_date": start, "end_date": end}])
