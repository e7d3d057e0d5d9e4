"""A month of hourly runs against a service that fails every fifth call, and kills at any moment."""

from __future__ import annotations

import contextlib
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
from thorough import tries
from trees import tree
from weather_pipeline import DISTRICTS, RETRIES, rows_of, start_kma

from batch_serving.weather import csv_files, raw_answers, unfinished
from batch_serving.weather.columns import columns
from batch_serving.weather.districts import read_districts
from batch_serving.weather.rows import Batch, read_rows
from batch_serving.weather.runs import Run
from callables import weather

pytestmark = pytest.mark.slow

START = datetime.fromisoformat("2026-02-15T00:00:00+09:00")
HOURS = tries(6, 30) * 24
TRIES = 1 + RETRIES
SEED = 20260215


def lost_bases() -> set[str]:
    """Return bases that the service never has, each with the one before: their hours have no forecast."""
    draw = random.Random(SEED)
    found = set()
    for hour in draw.sample(range(2, HOURS), 3):
        base = START + timedelta(hours=hour, minutes=-30)
        found |= {f"{moment:%Y%m%d%H%M}" for moment in (base, base - timedelta(hours=1))}
    return found


def one_run(kma: Kma, run_after: datetime) -> int:
    """Do what Airflow does for one run, alone; return the number of tries of collect."""
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
    # trigger_rule is none_skipped: it also runs, and fails, if collect has failed. The next run goes on.
    with contextlib.suppress(AirflowFailException, AirflowSkipException):
        weather.preprocess(**run)
    return number + 1


@pytest.fixture
def kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kma]:
    service = start_kma(httpserver, monkeypatch)
    monkeypatch.setattr("batch_serving.weather.kma.BACKOFF_S", 0.0005)
    monkeypatch.setattr("batch_serving.weather.http.TIMEOUT_S", (1, 0.3))
    # A month has about 100,000 fsyncs, and this test is not about power cuts.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    yield service


def test_a_month_under_faults_has_every_hour_that_the_service_ever_had(
    kma: Kma, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = FaultPlan(share=0.2, seed=SEED, without=SLOW)
    kma.fault, kma.lost = plan, lost_bases()
    tries = [one_run(kma, START + timedelta(hours=hour)) for hour in range(HOURS)]
    after = HOURS
    while unfinished.find_all(DISTRICTS):  # the next runs complete the last hours of the month
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
            f"{sum(plan.used.values())} faults of {len(plan.used)} kinds: {len(rows)} rows in {len(files)} files, "
            f"{len(rows) - len(written)} duplicates, {len(noted)} hours noted as missing, "
            f"{len(wanted - written - noted)} lost"
        )
    assert len(rows) == len(written)
    assert written | noted == wanted
    assert written & noted == set()
    # Only hours whose bases the service has lost are missing.
    hours_lost = {hour for _, hour in noted}
    assert len(hours_lost) <= 3
    assert all(not columns()[name].problem(text) for row in rows for name, text in row.items())
    assert not list(output.rglob("*.tmp"))

    before = tree(output)
    for path in (output / "weather").rglob("*.csv"):
        path.unlink()
    weather.rebuild(districts=DISTRICTS)
    assert tree(output) == before


KILLS = tries(30, 100)


def test_preprocess_killed_at_any_moment_loses_nothing(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader reads between the kills; after one clean run each, the files are as without any kill."""
    runs = []
    for hour in range(8):
        at = (START + timedelta(hours=hour)).isoformat()
        runs.append({"districts": DISTRICTS, "run_id": f"run {hour}", "run_after": at})
        weather.collect(**runs[-1], now=at)
    setup = (
        "import json\nfrom callables import weather\nimport filelock, upath, jsonschema\n"
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
            f"\n  {killed} kills within {whole * 1000:.0f} ms, {seen} files read between them: {torn} torn or shorter"
        )
    assert torn == 0
    assert not list(output.rglob("*.tmp"))
    after = tree(output)
    for path in (output / "weather").rglob("*.csv"):
        path.unlink()
    batch = Batch()
    for run in runs:
        batch += read_rows(raw_answers.read_run(Run(**run).folder), read_districts(DISTRICTS))
    csv_files.upsert(batch)
    assert tree(output) == after
