"""The weather's two tasks as Airflow runs them, and what they leave in the output folder."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pytest_httpserver import HTTPServer
from servers import Kma

from callables import weather

DISTRICTS = "data/seoul_districts.csv"
RUN = {
    "run_id": "scheduled__2026-01-01T01:00:00+00:00",
    "run_after": "2026-01-01T01:00:00+00:00",  # 10:00 KST
    "now": "2026-01-01T01:00:07+00:00",
    "seconds_between_calls": 0,
}
START = datetime.fromisoformat("2026-01-02T00:00:00+09:00")
RETRIES = 3  # as in collect_weather.yaml


def shorten_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set waits that suit a server on this machine."""
    monkeypatch.setattr("batch_serving.weather.kma.BACKOFF_S", 0.001)
    monkeypatch.setattr("batch_serving.weather.http.TIMEOUT_S", (1, 0.5))
    monkeypatch.setattr("batch_serving.weather.http.RESPONSE_TIMEOUT_S", 1)


def start_kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Kma:
    """Serve forecasts, and name the service in the connection ``kma_api``."""
    service = Kma(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", service.connection)
    return service


def kst(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+09:00")


def hour_run(hour: int) -> dict[str, str]:
    """Return the run of an hour of 1 January, KST, which starts when it is due."""
    at = f"2026-01-01T{hour:02}:00:00+09:00"
    return {"run_id": f"run {hour}", "run_after": at, "now": at}


def collect(**run: Any) -> dict[str, Any]:
    return weather.collect(**{"districts": DISTRICTS, **RUN, **run})


def preprocess(**run: Any) -> dict[str, Any]:
    known = ("districts", "run_id", "run_after", "keep_raw_days", "database")
    given = {"districts": DISTRICTS, **RUN, **run}
    return weather.preprocess(**{name: given[name] for name in known if name in given})


def collect_and_preprocess(**run: Any) -> dict[str, Any]:
    collect(**run)
    return preprocess(**run)


def run_with_retries(kma: Kma, at: datetime, **run: Any) -> list[str]:
    """Run both tasks as Airflow does, with retries; return the state in which each ended."""
    given = {"run_id": f"run {at:%d %H}", "run_after": at.isoformat(), **run}
    return [_collect_with_retries(kma, at, given), _preprocess(given)]


def _collect_with_retries(kma: Kma, at: datetime, run: dict[str, Any]) -> str:
    kma.now = at + timedelta(seconds=3)
    for number in range(1 + RETRIES):
        try:
            collect(run_id=run["run_id"], run_after=run["run_after"], now=kma.now.isoformat())
            return "success"
        except AirflowFailException:
            return "failed"
        except RuntimeError:
            kma.now += timedelta(minutes=2**number)
    return "failed"


def _preprocess(run: dict[str, Any]) -> str:
    try:
        preprocess(**run)
        return "success"
    except AirflowSkipException:
        return "skipped"
    except AirflowFailException:
        return "failed"


def write_districts(path: Path, *lines: str) -> str:
    """Write a districts file with these lines and return its location."""
    path.write_text("\n".join(["name_ko,name_en,code,nx,ny,lat,lon", *lines, ""]), encoding="utf-8")
    return str(path)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def hours_of(output: Path, district: str) -> list[str]:
    """Return the day and hour of each row of a district in January."""
    rows = rows_of(output / "weather" / district / "2026-01.csv")
    return [row["forecast_at"][8:13].replace("T", " ") for row in rows]


def missing_hours(output: Path) -> list[str]:
    """Return the day and hour of each hour in January that a district lacks."""
    path = output / "weather" / "missing" / "2026-01.csv"
    rows = rows_of(path) if path.exists() else []
    return sorted({row["forecast_at"][8:13].replace("T", " ") for row in rows})


def unfinished_hours(output: Path) -> list[str]:
    """Return the hour of each file in ``unfinished/``."""
    return sorted(path.name[:13] for path in (output / "weather" / "unfinished").glob("*"))
