"""The next runs against those of a real DAG, which Airflow's scheduler would read from its database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.catalog.cron import next_runs

ZONES = ["UTC", "Asia/Seoul", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago"]
# Days around which clocks change in one of these zones, and others.
DAYS = ["2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01", "2027-03-14", "2027-06-15"]
CRONS = st.sampled_from(
    ["@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", "*/5 * * * *", "*/30 * * * *"]
) | st.builds(
    "{} {} {} * {}".format,
    st.sampled_from(["0", "15", "30", "59", "*/20", "0,30"]),
    st.sampled_from(["*", "0", "1", "2", "3", "1-3", "*/6", "23"]),
    st.sampled_from(["*", "1", "29", "31"]),
    st.sampled_from(["*", "0", "1-5"]),
)


def of_airflow(schedule: Any, zone: str, start: datetime, end: datetime | None, now: datetime) -> list[str]:
    """The first three runs of a DAG after ``now``, in UTC."""
    import pendulum
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DAG("a", schedule=schedule, start_date=start.astimezone(pendulum.timezone(zone)))
    scheduled = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    runs = scheduled.iter_dagrun_infos_between(start, end or now + timedelta(days=4 * 366))
    later = (run.run_after for run in runs if run.run_after > now)
    return [run.astimezone(UTC).isoformat() for run in islice(later, 3)]


@settings(deadline=None, max_examples=300, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    cron=CRONS,
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(DAYS),
    minutes=st.integers(-1500, 1500),
    start=st.sampled_from([-20, 0, 1, 60, 3000]),
    end=st.sampled_from([None, None, 90, 3 * 1440]),
)
def test_the_next_runs_are_airflow_s(
    cron: str, zone: str, day: str, minutes: int, start: int, end: int | None
) -> None:
    now = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes, seconds=17)
    begin = (now + timedelta(minutes=start)).astimezone(ZoneInfo(zone))
    last = None if end is None else (begin + timedelta(minutes=end)).astimezone(ZoneInfo(zone))
    times = {"start_date": begin.replace(tzinfo=None), "end_date": last and last.replace(tzinfo=None)}
    # As YAML says them: without an offset, so that the hour that comes twice is its first one.
    begin, last = (value and value.replace(tzinfo=ZoneInfo(zone), fold=0) for value in (begin, last))
    found = next_runs({"schedule": cron, "timezone": zone, **times}, now)
    assert [run.astimezone(UTC).isoformat() for run in found] == of_airflow(cron, zone, begin, last, now)


@pytest.mark.parametrize(
    ("cron", "zone", "now", "expected"),
    [
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", ["11-01 01:30", "11-02 01:30", "11-03 01:30"]),
        ("30 2 * * *", "America/New_York", "2027-03-13T12:00", ["03-14 03:30", "03-15 02:30", "03-16 02:30"]),
        ("30 1 * * *", "Europe/London", "2026-03-28T12:00", ["03-29 02:30", "03-30 01:30", "03-31 01:30"]),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-02T00:00",
            ["10-03 02:15", "10-04 02:45", "10-05 02:15"],
        ),
        ("0 * * * *", "America/New_York", "2026-11-01T05:30", ["11-01 01:00", "11-01 02:00", "11-01 03:00"]),
        ("30 6 * * *", "Asia/Seoul", "2026-11-01T00:00", ["11-02 06:30", "11-03 06:30", "11-04 06:30"]),
    ],
)
def test_where_the_clocks_change(cron: str, zone: str, now: str, expected: list[str]) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = next_runs({"schedule": cron, "timezone": zone, "start_date": "2026-01-01"}, moment)
    assert [f"{run:%m-%d %H:%M}" for run in found] == expected


NOW = datetime(2026, 11, 26, 12, 10, tzinfo=UTC)
HOURS = {"__type__": "datetime.timedelta", "hours": 5}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"start_date": "2026-11-26", "catchup": True}, ["26 15:00", "26 20:00", "27 01:00"]),
        ({"start_date": "2026-11-26 12:10", "catchup": True}, ["26 12:10", "26 17:10", "26 22:10"]),
        ({"start_date": "2026-11-27"}, ["27 00:00", "27 05:00", "27 10:00"]),
        ({"start_date": "2026-11-27", "end_date": "2026-11-27 06:00"}, ["27 00:00", "27 05:00"]),
        ({"start_date": "2026-11-26"}, []),  # begins when it is unpaused
        ({"catchup": True}, []),
    ],
)
def test_a_time_between_runs_counts_from_the_start(config: dict[str, Any], expected: list[str]) -> None:
    found = next_runs({"schedule": HOURS, **config}, NOW)
    assert [f"{run:%d %H:%M}" for run in found] == expected


@pytest.mark.parametrize("schedule", [None, "@once", "@continuous", "0 0 30 2 *", "nonsense", ["a://b"], {}])
def test_a_schedule_without_times_has_no_next_runs(schedule: Any) -> None:
    assert next_runs({"schedule": schedule}, NOW) == []


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", 5, "/etc"])
def test_a_time_zone_that_is_not_one_is_left_to_its_own_check(zone: Any) -> None:
    assert len(next_runs({"schedule": "@daily", "timezone": zone}, NOW)) == (0 if zone else 3)
