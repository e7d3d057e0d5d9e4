"""When a schedule runs next: what Airflow's own timetables say, also where the clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from schemas.catalog.imports import resolve

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable

NEXT_RUNS = 3
PRESETS = {"@quarterly": "0 0 1 */3 *"}  # of Airflow's presets, the one that croniter does not know


def next_runs(config: dict[str, Any], now: datetime, count: int = NEXT_RUNS) -> list[datetime]:
    """Return the next runs of a DAG after ``now``, in its own time zone, between its start and its end.

    ``config`` has all defaults in it. Empty for a schedule that is not a cron expression, a preset for one or
    a time between runs; also for the latter if the first run depends on when the DAG is unpaused.
    """
    return list(islice(_runs(config, now), count))


def has_a_run(cron: str) -> bool:
    """Return whether a valid cron expression ever comes: the 30th of February does not."""
    from croniter import CroniterBadDateError, croniter

    try:
        croniter(cron, datetime(2000, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        return False
    return True


def _runs(config: dict[str, Any], now: datetime) -> Iterator[datetime]:
    try:
        zone = ZoneInfo(config.get("timezone") or "UTC")
    except (KeyError, ValueError, TypeError, OSError):
        return  # another check reports it
    start, end = (_moment(config.get(key), zone) for key in ("start_date", "end_date"))
    is_to_come = start is not None and start >= now
    schedule = config.get("schedule")
    delta = _delta(schedule)
    if delta is not None and not is_to_come and not (start and config.get("catchup")):
        return
    timetable = _timetable(schedule if delta is None else delta, str(zone))
    if timetable is None:
        return
    from airflow.timetables.base import DataInterval, TimeRestriction
    from pendulum import instance

    # With catchup, a timetable goes from run to run and does not look at the clock.
    limits = TimeRestriction(start and instance(start), end and instance(end), catchup=True)
    last = None
    if start and not is_to_come and delta is not None:
        last = DataInterval.exact(instance(start + (now - start) // delta * delta))
    elif not is_to_come:
        last = DataInterval.exact(instance(now))
    while True:
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)
        if info is None:
            return
        last = info.data_interval
        yield info.run_after.astimezone(zone)


def _delta(schedule: Any) -> timedelta | None:
    """Return the time between two runs, if a schedule is one: ``{__type__: datetime.timedelta, …}``."""
    if not isinstance(schedule, dict) or schedule.get("__type__") != "datetime.timedelta":
        return None
    try:
        found = timedelta(**{name: value for name, value in schedule.items() if name != "__type__"})
    except (TypeError, OverflowError):
        return None
    return found if found > timedelta(0) else None


def _timetable(schedule: Any, zone: str) -> Timetable | None:
    """Return what Airflow makes of a schedule with its present settings; None if that has no times."""
    from airflow.configuration import conf
    from airflow.timetables.interval import CronDataIntervalTimetable, DeltaDataIntervalTimetable
    from airflow.timetables.trigger import CronTriggerTimetable, DeltaTriggerTimetable
    from croniter import croniter

    # Airflow asks for this one setting in both cases.
    has_intervals = conf.getboolean("scheduler", "create_cron_data_intervals")
    if isinstance(schedule, timedelta):
        return (DeltaDataIntervalTimetable if has_intervals else DeltaTriggerTimetable)(schedule)
    if not isinstance(schedule, str):
        return _by_type(schedule)
    cron = PRESETS.get(schedule, schedule)
    if not croniter.is_valid(cron) or not has_a_run(cron):
        return None
    if has_intervals:
        return CronDataIntervalTimetable(schedule, zone)
    return CronTriggerTimetable(schedule, timezone=zone)


def _by_type(schedule: Any) -> Timetable | None:
    """Return the timetable that ``{__type__: …}`` makes; None for what is not one, or cannot be made."""
    from airflow.timetables.base import Timetable

    if not isinstance(schedule, dict) or not str(schedule.get("__type__")).startswith("airflow.timetables."):
        return None
    try:
        made = _made(schedule)
    except Exception:  # reported by the build
        return None
    made = getattr(made, "timetable", made)  # of one that assets start too
    return made if isinstance(made, Timetable) else None


def _made(value: Any) -> Any:
    """Return what dag-factory makes of a value with ``__type__``."""
    if isinstance(value, list):
        return [_made(item) for item in value]
    if not isinstance(value, dict) or "__type__" not in value:
        return value
    given = {key: _made(item) for key, item in value.items() if key not in ("__type__", "__args__")}
    return resolve(value["__type__"])(*_made(value.get("__args__", [])), **given)


def _moment(value: Any, zone: ZoneInfo) -> datetime | None:
    """Return a date of the YAML as a time in the DAG's zone; None if it is not a date, or relative."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    return value.replace(tzinfo=zone) if isinstance(value, datetime) else None
