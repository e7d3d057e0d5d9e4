"""Schedules, dates and time zones, without importing Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import available_timezones

from schemas.diagnostics import WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import did_you_mean

PRESETS = (
    "@once",
    "@continuous",
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@quarterly",
    "@yearly",
    "@annually",
)
# What dag-factory takes for a time before today's midnight.
RELATIVE = re.compile(r"\d+ (hour|minute|second|day)s?")
OFFSET = re.compile(r"[T ]\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})$")


def configs_of(document: Document) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield (path, mapping) of what has DAG keys: DAGs, ``default``, and a defaults file itself."""
    if document.is_defaults:
        yield (), document.data
        return
    for name, config in document.data.items():
        if isinstance(config, dict):
            yield (name,), config


def check_schedule(document: Document) -> Iterator[Diagnostic]:
    """A schedule given as text is a preset or a cron expression."""
    from croniter import croniter

    for path, config in configs_of(document):
        schedule = config.get("schedule")
        if not isinstance(schedule, str) or schedule.strip().lower() == "none" or schedule in PRESETS:
            continue
        if schedule.startswith("@") or not croniter.is_valid(schedule):
            message = f"schedule {schedule!r} is neither a preset nor a cron expression"
            hint = did_you_mean(schedule, PRESETS) or "five fields, such as '*/5 * * * *', or '@hourly'"
            yield document.problem("DAG103", (*path, "schedule"), message, hint)


def check_dates(document: Document) -> Iterator[Diagnostic]:
    """Start and end are dates in the right order, fixed ones, and time zones exist."""
    for path, config in configs_of(document):
        arguments = config.get("default_args")
        for where, found in ((path, config), ((*path, "default_args"), arguments)):
            if isinstance(found, dict):
                yield from _check_dates(document, where, found)
        if config.get("timezone") and isinstance(arguments, dict) and "start_date" in arguments:
            message = "timezone does not apply to a start_date in default_args"
            hint = "move start_date to the DAG, beside timezone"
            yield document.problem("DAG109", (*path, "timezone"), message, hint)


def _check_dates(document: Document, path: KeyPath, config: dict[str, Any]) -> Iterator[Diagnostic]:
    zone = config.get("timezone")
    if isinstance(zone, str) and zone not in available_timezones():
        hint = did_you_mean(zone, available_timezones()) or "a name such as Asia/Seoul or UTC"
        yield document.problem("DAG109", (*path, "timezone"), f"there is no time zone {zone!r}", hint)
    moments = {}
    for key in ("start_date", "end_date"):
        value = config.get(key)
        if value is None:
            continue
        moments[key] = _moment(value)
        if isinstance(value, str) and RELATIVE.fullmatch(value.strip()):
            message = f"{key} {value!r} moves every day: runs come and go"
            hint = "write a date, such as 2026-01-01"
            yield document.problem("DAG113", (*path, key), message, hint, severity=WARNING)
        elif moments[key] is None:
            hint = "write a date, such as 2026-01-01"
            yield document.problem("DAG109", (*path, key), f"{key} {value!r} is not a date", hint)
        elif (isinstance(value, datetime) and value.tzinfo) or (
            isinstance(value, str) and OFFSET.search(value)
        ):
            message = f"{key} {value!s} has an offset, which dag-factory drops"
            yield document.problem(
                "DAG109", (*path, key), message, "write the local time, and timezone beside it"
            )
    start, end = moments.get("start_date"), moments.get("end_date")
    if start and end and start > end:
        message = (
            f"start_date {start:%Y-%m-%d %H:%M} is after end_date {end:%Y-%m-%d %H:%M}: it would never run"
        )
        yield document.problem("DAG109", (*path, "start_date"), message)


def _moment(value: Any) -> datetime | None:
    """Return a date as written, offset left out, or None if it is none."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - compared with its like only
    try:
        return datetime.fromisoformat(str(value).strip()).replace(tzinfo=None)
    except ValueError:
        return None
