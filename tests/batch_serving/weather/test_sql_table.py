"""The weather's table in real databases: the same rows as in the CSVs, in whatever order they come."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException
from weather_pipeline import DISTRICTS, rows_of

from batch_serving.shared.airflow import database_engine
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather import sql_table
from batch_serving.weather.columns import ColumnType, columns
from batch_serving.weather.rows import WeatherRow
from callables import weather

pytestmark = pytest.mark.slow

NAME = "AIRFLOW_CONN_WEATHER_DB"
PASSWORD = "not/in?any=message"


@pytest.fixture
def engine(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The database, without the table."""
    monkeypatch.setenv(NAME, server)
    found = database_engine("weather_db")
    sql_table.weather_table().drop(found, checkfirst=True)
    yield found
    found.dispose()


def run(hour: int, **more: Any) -> dict[str, Any]:
    at = f"2026-01-01T{hour:02}:00:00+09:00"
    own = {"districts": DISTRICTS, "run_id": f"run {hour}", "run_after": at}
    weather.collect(**own, now=at)
    return weather.preprocess(**own, database="weather_db", **more)


def table_of(engine: sa.Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        query = sa.text("SELECT * FROM weather ORDER BY code, forecast_at")
        return [dict(row._mapping) for row in connection.execute(query)]


def csv_rows(output: Path) -> list[dict[str, Any]]:
    rows = []
    for path in (output / "weather").glob("*-gu/*.csv"):
        rows += [{name: columns()[name].parse(text) for name, text in row.items()} for row in rows_of(path)]
    return sorted(rows, key=lambda row: (row["code"], row["forecast_at"]))


def as_csv(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table as the CSV has it: a time with its offset."""
    moments = {
        name: datetime.fromisoformat(str(value)).isoformat() + "+09:00"
        for name, value in row.items()
        if columns()[name].type is ColumnType.TIME
    }
    return {**row, **moments}


def test_the_table_has_what_the_csvs_have(engine: sa.Engine, output: Path) -> None:
    for hour in (9, 10):
        run(hour)
    stored = table_of(engine)
    assert len(stored) == 50
    assert [as_csv(row) for row in stored] == csv_rows(output)
    assert {row["district"] for row in stored} >= {"종로구", "강남구"}
    run(9)
    assert table_of(engine) == stored


def rows_at(base: str, collected: str, temperature: str, source: str = "kma") -> list[WeatherRow]:
    row = dict.fromkeys(WeatherRow._fields, "")
    times = {"forecast_at": "2026-01-01T11:00:00+09:00", "base_at": base, "collected_at": collected}
    place = {"district": "종로구", "district_en": "Jongno-gu", "code": "1111000000", "nx": "60", "ny": "127"}
    values = {"temperature_c": temperature, "source": source, "run_id": temperature}
    return [WeatherRow(**{**row, **times, **place, **values})]


@pytest.mark.parametrize("seed", range(5))
def test_the_newest_row_wins_in_whatever_order_they_come(engine: sa.Engine, seed: int) -> None:
    day = "2026-01-01T"
    batches = [
        rows_at(f"{day}08:30:00+09:00", f"{day}11:09:00+09:00", "1"),
        rows_at(f"{day}09:30:00+09:00", f"{day}10:00:00+09:00", "2"),
        rows_at(f"{day}09:30:00+09:00", f"{day}10:05:00+09:00", "3"),
    ] * 2
    batches += [rows_at(f"{day}10:30:00+09:00", f"{day}10:50:00+09:00", "9", source="sample")]
    random.Random(seed).shuffle(batches)
    for batch in batches:
        sql_table.upsert(batch, engine)
    (stored,) = table_of(engine)
    assert (stored["temperature_c"], stored["run_id"]) == (3, "3")
    assert as_csv(stored)["collected_at"] == f"{day}10:05:00+09:00"


def test_concurrent_writers_lose_nothing(engine: sa.Engine, output: Path) -> None:
    hours = range(4, 8)
    at = {hour: f"2026-01-01T{hour:02}:00:00+09:00" for hour in hours}
    runs = [{"districts": DISTRICTS, "run_id": f"run {hour}", "run_after": at[hour]} for hour in hours]
    for own in runs:
        weather.collect(**own, now=own["run_after"])
    code = (
        "import json, sys; from callables import weather;"
        "weather.preprocess(**json.loads(sys.argv[1]), database='weather_db')"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, json.dumps(own)], cwd=PROJECT_ROOT, env={**os.environ})
        for own in runs
    ]
    assert [writer.wait() for writer in writers] == [0] * len(runs)
    assert [as_csv(row) for row in table_of(engine)] == csv_rows(output)


def test_an_unreachable_database_fails_the_task_and_the_csvs_are_written(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = f'"host": "127.0.0.1", "port": 9, "schema": "x", "login": "weather", "password": "{PASSWORD}"'
    for kind in ("postgres", "mysql"):
        monkeypatch.setenv(NAME, f'{{"conn_type": "{kind}", {fields}}}')
        with pytest.raises(sa.exc.OperationalError) as error:
            run(9)
        assert PASSWORD not in str(error.value)
    assert len(csv_rows(output)) == 25


def test_a_connection_that_cannot_be_used_is_reported_with_what_to_do(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        AirflowFailException, match="there is no connection 'weather_db'; make it: AIRFLOW_CONN_WEATHER_DB"
    ):
        run(9)
    monkeypatch.setenv(NAME, '{"conn_type": "http", "host": "127.0.0.1"}')
    with pytest.raises(
        AirflowFailException, match="is of type 'http'; it must be one of postgres, mysql, sqlite"
    ):
        run(9)
