"""The example ``exam_data_generator``: its dates, and its SQL in MariaDB and PostgreSQL."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from example_runs import on_postgres

from batch_serving.shared.errors import InvalidValueError
from examples.exam_data_generator.dates import DAYS, check_range, date_params

if TYPE_CHECKING:
    from conftest import Gallery

FIRST = {"first_start": "2023-06-01", "first_end": "2025-12-31"}
TASKS = dict.fromkeys(("date_params", "create_tables", "create_exam_data"), "success")
EXAMS = "SELECT * FROM exam_data_generator_exams ORDER BY student_id, exam_day"
COUNT = "SELECT COUNT(*), MIN(exam_day), MAX(exam_day) FROM exam_data_generator_exams"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    """An empty SQLite as the feature store."""
    path = tmp_path / "store.db"
    connection = {"conn_type": "sqlite", "host": str(path)}
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", json.dumps(connection))
    return sa.create_engine(f"sqlite:///{path}")


def range_of(run_id: str, **given: str) -> tuple[str, str]:
    found = date_params(connection="feature_store", run_id=run_id, **{**FIRST, **given})
    return found["start"], found["end"]


def fill(store: sa.Engine, *days: date) -> None:
    table = sa.Table(DAYS, sa.MetaData(), sa.Column("exam_day", sa.Date, primary_key=True))
    table.create(store, checkfirst=True)
    with store.begin() as connection:
        connection.execute(table.insert(), [{"exam_day": day} for day in days])


def test_an_empty_store_gets_the_first_range_and_then_the_next_month(store: sa.Engine) -> None:
    assert range_of("one") == ("2023-06-01", "2025-12-31")
    fill(store, date(2025, 12, 31))
    assert range_of("two") == ("2026-01-01", "2026-01-31")
    fill(store, date(2026, 1, 30))
    assert range_of("three") == ("2026-01-31", "2026-01-31")  # the rest of a month


def test_a_run_that_is_cleared_keeps_its_range(store: sa.Engine) -> None:
    fill(store, date(2024, 1, 31))
    assert range_of("one") == ("2024-02-01", "2024-02-29")
    fill(store, date(2024, 2, 29))
    assert range_of("one") == ("2024-02-01", "2024-02-29")
    assert range_of("two") == ("2024-03-01", "2024-03-31")


def test_the_dates_of_the_form_are_taken(store: sa.Engine) -> None:
    found: dict[str, Any] = date_params(
        connection="feature_store", run_id="one", start_date="2025-01-15", end_date="2025-03-01", **FIRST
    )
    assert found == {
        "start": "2025-01-15",
        "end": "2025-03-01",
        "days": 46,
        "months": 3,
        "first_number": (date(2025, 1, 15) - date(2000, 1, 1)).days,
    }


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("2025-03-01", "2025-02-01", "end_date 2025-02-01 is before start_date 2025-03-01"),
        ("2025-03-01", "", "end_date is empty"),
        ("", "2025-03-01", "start_date is empty"),
        ("2025-02-30", "2025-03-01", "start_date is '2025-02-30', which is not a date"),
        ("1999-12-31", "2000-01-31", "start_date 1999-12-31 is before 2000-01-01"),
        ("2010-01-01", "2020-01-01", "2010-01-01 to 2020-01-01 is more than 10 years"),
    ],
)
def test_a_range_that_is_none_is_refused(store: sa.Engine, start: str, end: str, problem: str) -> None:
    with pytest.raises(InvalidValueError, match=problem):
        range_of("one", start_date=start, end_date=end)


def test_ten_years_are_not_too_many() -> None:
    check_range(date(2010, 1, 1), date(2019, 12, 31), 10)


@pytest.mark.slow
@pytest.mark.needs("mariadb")
def test_it_fills_month_by_month_and_is_safe_to_repeat(gallery: Gallery) -> None:
    run = gallery.run("exam_data_generator")
    assert gallery.tasks(run) == TASKS
    ((rows, first, last),) = gallery.rows(COUNT)
    assert (first, last) == (date(2023, 6, 1), date(2025, 12, 31))
    assert rows == 20 * 945  # each of 200 students every tenth day
    everything = gallery.rows(EXAMS)

    run = gallery.run("exam_data_generator")
    assert gallery.xcom(run, "date_params")["start"] == "2026-01-01"
    with_january = gallery.rows(EXAMS)
    assert [row for row in with_january if row[1] < date(2026, 1, 1)] == everything
    assert gallery.clear(run)["state"] == "success"
    assert gallery.rows(EXAMS) == with_january

    dates = {"start_date": "2025-01-01", "end_date": "2025-03-31"}
    assert gallery.tasks(gallery.run("exam_data_generator", dates)) == TASKS
    assert gallery.rows(EXAMS) == with_january

    run = gallery.run("exam_data_generator", {"start_date": "2025-02-01", "end_date": "2025-01-01"})
    assert gallery.tasks(run)["date_params"] == "failed"
    assert "end_date 2025-01-01 is before start_date 2025-02-01" in gallery.log(run, "date_params")
    assert gallery.rows(EXAMS) == with_january
    passed = [row[-1] for row in with_january]
    assert 0.3 < sum(passed) / len(passed) < 0.9
    assert {row[2] for row in with_january} == {"mathematics", "statistics", "databases", "programming"}


@pytest.mark.slow
@pytest.mark.extra("sql")
@pytest.mark.needs("postgres")
def test_the_same_sql_gives_the_same_rows_in_postgresql(tmp_path: Path) -> None:
    with on_postgres(tmp_path, "exam_data_generator") as store:
        dates = {"start_date": "2024-02-01", "end_date": "2024-02-29"}
        for _ in range(2):
            assert store.run("exam_data_generator", dates) == TASKS, store.project.output[-6000:]
            assert store.execute(COUNT) == [(580, date(2024, 2, 1), date(2024, 2, 29))]
