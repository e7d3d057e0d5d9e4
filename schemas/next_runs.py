"""When a schedule given as text runs next, without Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

NEXT_RUNS = 3
QUARTERLY = "0 0 1 */3 *"  # Airflow's preset that croniter does not know


def next_runs(config: dict[str, Any], now: datetime) -> list[datetime]:
    """Return the next three runs of a DAG after ``now``, in its own time zone, between its start and its end.

    ``config`` has all defaults in it. Empty for a schedule that is no cron expression, nor stands for one.
    """
    return list(_runs(config, now))


def has_a_run(cron: str) -> bool:
    """Tell whether a valid cron expression names any time at all; the 30th of February is none."""
    from croniter import CroniterBadDateError, croniter

    try:
        croniter(cron, datetime(2000, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        return False
    return True


def _runs(config: dict[str, Any], now: datetime) -> Iterator[datetime]:
    from croniter import croniter

    schedule = QUARTERLY if config.get("schedule") == "@quarterly" else config.get("schedule")
    if not isinstance(schedule, str) or not croniter.is_valid(schedule) or not has_a_run(schedule):
        return
    zone = ZoneInfo(config.get("timezone") or "UTC")
    start, end = (_moment(config.get(key), zone) for key in ("start_date", "end_date"))
    after = max(now, start - timedelta(seconds=1)) if start else now  # a run at the very start counts
    runs = croniter(schedule, after.astimezone(zone))
    for _ in range(NEXT_RUNS):
        run = runs.get_next(datetime).astimezone(zone)
        if end and run > end:
            return
        yield run


def _moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """Return a date of the YAML as a time in the DAG's zone; None if it is none, or relative."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    return value.replace(tzinfo=zone) if isinstance(value, datetime) else None
