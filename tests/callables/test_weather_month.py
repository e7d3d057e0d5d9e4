"""A month of hourly runs against a service that fails every fifth time, and kills at any moment."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from kills import Forks
from kma_faults import SLOW, FaultPlan
from pytest_httpserver import HTTPServer
from servers import Kma
from trees import tree

from callables import _weather_csv, _weather_raw, _weather_rows, weather
from callables._districts import read_districts

pytestmark = pytest.mark.slow

DISTRICTS = "data/seoul_districts.csv"
START = datetime.fromisoformat("2026-02-15T00:00:00+09:00")
HOURS = 30 * 24
TRIES = 4  # the first, and the three retries of collect_weather.yaml
SEED = 20260215


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def lost_bases() -> set[str]:
    """Bases that the service never has, each with the one before it: their hours cannot be had."""
    draw = random.Random(SEED)
    found = set()
    for hour in draw.sample(range(2, HOURS), 3):
        base = START + timedelta(hours=hour, minutes=-30)
        found |= {f"{moment:%Y%m%d%H%M}" for moment in (base, base - timedelta(hours=1))}
    return found


def one_run(kma: Kma, run_after: datetime) -> int:
    """Do what Airflow does for one run, and nobody beside it; return the number of tries of collect."""
    kma.now = run_after + timedelta(seconds=3)
    run = {
        "districts": DISTRICTS,
        "run_id": f"scheduled__{run_after:%Y-%m-%dT%H}",
        "run_after": run_after.isoformat(),
    }
    for number in range(TRIES):
        try:
            weather.collect(**run, now=kma.now.isoformat(), seconds_between_calls=0)
            break
        except RuntimeError:
            kma.now += timedelta(minutes=2**number)
    # With trigger_rule all_done: also where collect has failed. Then it fails, and the next run goes on.
    with contextlib.suppress(AirflowFailException, AirflowSkipException):
        weather.preprocess(**run)
    return number + 1


@pytest.fixture
def kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kma]:
    service = Kma(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", service.connection)
    monkeypatch.setattr("callables._kma.BACKOFF_S", 0.0005)
    monkeypatch.setattr("callables._http.TIMEOUT_S", (1, 0.3))
    # A month has some 100,000 fsyncs; what a power cut loses is not what this is about.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    yield service


def test_a_month_under_faults_has_every_hour_that_the_service_ever_had(
    kma: Kma, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = FaultPlan(share=0.2, seed=SEED, without=SLOW)
    kma.fault, kma.lost = plan, lost_bases()
    tries = [one_run(kma, START + timedelta(hours=hour)) for hour in range(HOURS)]
    after = HOURS
    while _weather_raw.unfinished(DISTRICTS):  # the month's last hours: the runs that follow end them
        one_run(kma, START + timedelta(hours=after))
        after += 1
    kma.fault = lambda asked, request: None

    wanted = {
        (district.code, (START + timedelta(hours=hour + 1)).isoformat())
        for district in read_districts(DISTRICTS)
        for hour in range(after)
    }
    files = list((output / "weather").glob("*-gu/*.csv"))
    rows = [row for path in files for row in rows_of(path)]
    written = {(row["code"], row["forecast_at"]) for row in rows}
    missing = [row for path in (output / "weather" / "missing").glob("*.csv") for row in rows_of(path)]
    noted = {(row["code"], row["forecast_at"]) for row in missing}
    with capsys.disabled():
        print(
            f"\n  {HOURS} runs and {after - HOURS} more, {sum(tries)} tries, {tries.count(TRIES)} runs to the last, "
            f"{len(kma.requests)} calls, "
            f"{sum(plan.dealt.values())} faults of {len(plan.dealt)} kinds: {len(rows)} rows in {len(files)} files, "
            f"{len(rows) - len(written)} duplicates, {len(noted)} hours noted as missing, "
            f"{len(wanted - written - noted)} lost"
        )
    assert len(rows) == len(written)
    assert written | noted == wanted
    assert written & noted == set()
    # What is missing is what nobody could have: hours whose bases the service has lost.
    hours_lost = {hour for _, hour in noted}
    assert len(hours_lost) <= 3
    assert all(not _weather_rows.problem(name, text) for row in rows for name, text in row.items())
    assert not list(output.rglob("*.tmp"))

    before = tree(output)
    for path in (output / "weather").rglob("*.csv"):
        path.unlink()
    weather.rebuild(districts=DISTRICTS)
    assert tree(output) == before


KILLS = 100


def test_preprocess_killed_at_any_moment_loses_nothing(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader looks all the while; then one clean run each, and all is as if nothing had been killed."""
    runs = []
    for hour in range(8):
        at = (START + timedelta(hours=hour)).isoformat()
        runs.append({"districts": DISTRICTS, "run_id": f"run {hour}", "run_after": at})
        weather.collect(**runs[-1], now=at)
    setup = (
        "import json\nfrom callables import weather, _weather_csv\nimport filelock, upath, jsonschema\n"
        "def run(line): weather.preprocess(**json.loads(line))\n"
    )
    draw = random.Random(SEED)
    torn, killed, seen = 0, 0, 0
    known: dict[Path, int] = {}
    with Forks(setup) as forks:
        whole = forks.run(json.dumps(runs[0])) + forks.run(json.dumps(runs[1]))
        while killed < KILLS:
            killed += forks.kill(json.dumps(draw.choice(runs)), draw.uniform(0, whole))
            for path in (output / "weather").rglob("*.csv"):
                rows = rows_of(path)
                seen += 1
                fits = all(None not in row and None not in row.values() for row in rows)
                torn += not fits or len(rows) < known.get(path, 0)
                known[path] = len(rows)
        for run in runs:
            forks.run(json.dumps(run))
    with capsys.disabled():
        print(
            f"\n  {killed} kills within {whole * 1000:.0f} ms, {seen} files read meanwhile: {torn} torn or shorter"
        )
    assert torn == 0
    assert not list(output.rglob("*.tmp"))
    after = tree(output)
    for path in (output / "weather").rglob("*.csv"):
        path.unlink()
    found = _weather_rows.Found()
    for run in runs:
        raws = _weather_raw.read_run(_weather_raw.Run(**run).folder)
        found += _weather_rows.read_rows(raws, read_districts(DISTRICTS))
    _weather_csv.upsert(found)
    assert tree(output) == after
