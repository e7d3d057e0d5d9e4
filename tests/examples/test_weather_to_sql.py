"""The example ``weather_to_sql``: its operator against a service of KMA's contract, and under a real scheduler."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException
from pytest_httpserver import HTTPServer
from servers import KEY, Kma
from weather_pipeline import shorten_waits, start_kma
from werkzeug import Request, Response

from examples.weather_to_sql.operators import WeatherToSqlOperator

if TYPE_CHECKING:
    from conftest import Gallery

TABLE = "weather_to_sql"
NOW = datetime(2026, 11, 12, 6, 0, 20, tzinfo=UTC)


@pytest.fixture
def kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Kma:
    shorten_waits(monkeypatch)
    return start_kma(httpserver, monkeypatch)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: Path) -> sa.Engine:
    """An empty SQLite as the feature store."""
    path = tmp_path / "store.db"
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return sa.create_engine(f"sqlite:///{path}")


def run(**arguments: Any) -> dict[str, Any]:
    """Execute the operator as a task that started at NOW."""
    operator = WeatherToSqlOperator(
        task_id="collect", conn_id="feature_store", table=TABLE, seconds_between_calls=0, **arguments
    )
    dag_run = SimpleNamespace(run_id="scheduled 1", run_after=NOW)
    return operator.execute({"ti": SimpleNamespace(start_date=NOW), "dag_run": dag_run})


def rows(store: sa.Engine, columns: str = "*") -> list[tuple[Any, ...]]:
    with store.connect() as connection:
        found = connection.execute(sa.text(f"SELECT {columns} FROM {TABLE} ORDER BY code"))
        return [tuple(row) for row in found]


def test_a_row_of_each_district_is_written_and_a_second_run_requests_nothing(
    store: sa.Engine, kma: Kma, output: Path
) -> None:
    found = run()
    assert found == {
        "hour": "2026-11-12T16:00:00+09:00",
        "source": "kma",
        "written": 25,
        "were_there": 0,
        "missing": 0,
    }
    written, requests = rows(store), len(kma.requests)
    assert len(written) == 25
    assert {row[0] for row in rows(store, "source")} == {"kma"}
    assert run()["were_there"] == 25
    assert (rows(store), len(kma.requests)) == (written, requests)
    assert not output.exists()  # no files beside the table


def test_without_a_key_the_weather_is_made_up_and_a_key_replaces_it(
    store: sa.Engine, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run()["source"] == "sample"
    assert {row[0] for row in rows(store, "source")} == {"sample"}
    shorten_waits(monkeypatch)
    start_kma(httpserver, monkeypatch)
    assert run()["written"] == 25
    assert {row[0] for row in rows(store, "source")} == {"kma"}
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    run()
    assert {row[0] for row in rows(store, "source")} == {"kma"}  # sample weather replaces none


def test_what_arrived_is_written_and_a_retry_requests_the_rest(store: sa.Engine, kma: Kma) -> None:
    def fail_one(asked: dict[str, str], _: Request) -> Response | None:
        return Response("busy", status=500) if (asked["nx"], asked["ny"]) == ("61", "126") else None

    kma.fault = fail_one
    with pytest.raises(RuntimeError, match=r"1 of \d+ cells have no forecast") as raised:
        run()
    assert "cell 61,126" in str(raised.value)
    assert 0 < len(rows(store)) < 25
    kma.fault, before = lambda *_: None, len(kma.requests)
    run()
    assert len(rows(store)) == 25
    assert {(one["nx"], one["ny"]) for one in kma.requests[before:]} == {("61", "126")}


def test_a_wrong_key_fails_for_good_and_shows_no_key(
    store: sa.Engine, kma: Kma, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = json.dumps({**json.loads(kma.connection), "password": "wrong-key"})
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", wrong)
    with pytest.raises(AirflowFailException, match="KMA 30") as raised:
        run()
    assert "wrong-key" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_districts_file_that_is_not_there_fails_for_good(store: sa.Engine) -> None:
    with pytest.raises(AirflowFailException, match=r"no_such\.csv"):
        run(districts="data/no_such.csv")


@pytest.mark.slow
@pytest.mark.needs("mariadb")
def test_under_the_scheduler_each_hour_has_25_rows(gallery: Gallery) -> None:
    run = gallery.run("weather_to_sql")
    assert gallery.tasks(run) == {"collect_into_table": "success", "check_columns": "success"}
    assert gallery.xcom(run, "collect_into_table")["source"] == "sample"
    written = gallery.rows(f"SELECT * FROM {TABLE} ORDER BY code, forecast_at")
    hours = gallery.rows(f"SELECT forecast_at, COUNT(*) FROM {TABLE} GROUP BY forecast_at")
    assert {count for _, count in hours} == {25}
    assert gallery.clear(run)["state"] == "success"
    assert gallery.rows(f"SELECT * FROM {TABLE} ORDER BY code, forecast_at") == written
