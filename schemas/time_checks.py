"""Schedules, dates and time zones, without importing Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import available_timezones

from schemas.diagnostics import WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.next_runs import has_a_run
from schemas.operators import did_you_mean
from schemas.path_checks import is_free
from schemas.tasks import tasks_of
from schemas.text_checks import texts

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
ZONES = {"KST": "Asia/Seoul", "JST": "Asia/Tokyo", "IST": "Asia/Kolkata", "PST": "America/Los_Angeles"}
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
    """A schedule given as text is a preset or a cron expression; so is what a cron timetable is given."""
    for path, config in configs_of(document):
        schedule = config.get("schedule")
        at = (*path, "schedule")
        if isinstance(schedule, str) and schedule.strip().lower() != "none":
            yield from _check_cron(document, at, schedule)
        elif isinstance(schedule, dict) and "Cron" in str(schedule.get("__type__")):
            given = schedule.get("__args__")
            texts = [((*at, "__args__", 0), text) for text in given[:1]] if isinstance(given, list) else []
            texts += [((*at, key), schedule[key]) for key in ("cron", "expression") if key in schedule]
            for where, text in texts:
                if isinstance(text, str):
                    yield from _check_cron(document, where, text)
            if "timezone" not in schedule and len(given if isinstance(given, list) else ()) < 2:
                message, hint = (
                    "a cron timetable needs a timezone",
                    "add timezone: Asia/Seoul, or UTC, beside it",
                )
                yield document.problem("DAG103", at, message, hint, key=True)


def _check_cron(document: Document, path: KeyPath, text: str) -> Iterator[Diagnostic]:
    from croniter import croniter

    if text in PRESETS:
        return
    if text.startswith("@") or not croniter.is_valid(text):
        message = f"schedule {text!r} is neither a preset nor a cron expression"
        hint = did_you_mean(text, PRESETS) or "five fields, such as '*/5 * * * *', or '@hourly'"
        yield document.problem("DAG103", path, message, hint)
    elif len(text.split()) > 5:
        message = f"schedule {text!r} has {len(text.split())} fields: the sixth counts seconds"
        hint = f"write five: {' '.join(text.split()[1:6])!r}, say"
        yield document.problem("DAG103", path, message, hint)
    elif not has_a_run(text):
        message = f"schedule {text!r} names a day that no month has: it would never run"
        yield document.problem("DAG103", path, message, "correct the day or the month")


def check_assets(document: Document) -> Iterator[Diagnostic]:
    """What stands for an asset is a URI or a name that Airflow can store, and no schedule."""
    from croniter import croniter

    for path, text in texts(document.data, ()):
        place = next(
            (index for index, key in enumerate(path) if key in ("schedule", "outlets", "inlets")), None
        )
        inner = path[place + 1 :] if place is not None else ()
        if not inner or inner[-1] in ("__type__", "group") or "extra" in inner or is_free(document, path):
            continue
        if len(inner) == 1 and isinstance(inner[0], int) and (text in PRESETS or croniter.is_valid(text)):
            message = f"a list is of assets, and {text!r} is a schedule"
            hint = "write the schedule alone; for two of them, airflow.sdk.MultipleCronTriggerTimetable"
            yield document.problem("DAG103", path, message, hint)
        elif not text.isascii() or re.search(r"\s", text.strip()) or not text.strip():
            listed = isinstance(inner[-1], int) and "__args__" not in inner
            if listed or inner[-1] in ("uri", "name"):
                message = f"asset {text!r} is not made of ASCII characters without blanks"
                yield document.problem(
                    "DAG103", path, message, "Airflow stores no other; it may be percent-encoded"
                )


def check_dates(document: Document) -> Iterator[Diagnostic]:
    """Start and end are dates, fixed ones, of DAGs; and time zones exist."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            for key in {"start_date", "end_date"} & {*task}:
                message = f"{key} of a task is not read as a date"
                yield document.problem(
                    "DAG109", (*paths[task_id], key), message, "give it to the DAG", key=True
                )
    for path, config in configs_of(document):
        for where, found in ((path, config), ((*path, "default_args"), config.get("default_args"))):
            if isinstance(found, dict):
                yield from _check_dates(document, where, found)


def _check_dates(document: Document, path: KeyPath, config: dict[str, Any]) -> Iterator[Diagnostic]:
    zone = config.get("timezone")
    if isinstance(zone, str) and zone not in available_timezones():
        known = ZONES.get(zone)
        hint = f"did you mean {known!r}?" if known else did_you_mean(zone, available_timezones())
        hint = hint or "a name such as Asia/Seoul or UTC"
        yield document.problem("DAG109", (*path, "timezone"), f"there is no time zone {zone!r}", hint)
    for key in ("start_date", "end_date"):
        value = config.get(key)
        if isinstance(value, str) and RELATIVE.fullmatch(value.strip()):
            message = f"{key} {value!r} moves every day: runs come and go"
            hint = "write a date, such as 2026-01-01"
            yield document.problem("DAG113", (*path, key), message, hint, severity=WARNING)
        elif value is not None and _moment(value) is None:
            hint = "write a date, such as 2026-01-01"
            yield document.problem("DAG109", (*path, key), f"{key} {value!r} is not a date", hint)
        elif (isinstance(value, datetime) and value.tzinfo) or (
            isinstance(value, str) and OFFSET.search(value)
        ):
            message = f"{key} {value!s} has an offset, which dag-factory drops"
            yield document.problem(
                "DAG109", (*path, key), message, "write the local time, and timezone beside it"
            )


def check_span(document: Document) -> Iterator[Diagnostic]:
    """A DAG starts before it ends, and its time zone applies to its start, wherever they are written."""
    whole = {dag_id: ((dag_id,), document.config_of(dag_id)) for dag_id in document.dags}
    places: Iterable[tuple[KeyPath, dict]] = [((), document.data)] if document.is_defaults else whole.values()
    for path, config in places:
        arguments = config.get("default_args")
        if config.get("timezone") and isinstance(arguments, dict) and "start_date" in arguments:
            message = "timezone does not apply to a start_date in default_args"
            hint = "move start_date to the DAG, beside timezone"
            at = _where(document, path, ("timezone",), ("default_args", "start_date"))
            yield document.problem("DAG109", at, message, hint)
        whole_args = arguments if isinstance(arguments, dict) else {}
        start = _moment(config.get("start_date"))
        end = _moment(config.get("end_date") or whole_args.get("end_date"))
        if start and end and start > end:
            times = f"start_date {start:%Y-%m-%d %H:%M} is after end_date {end:%Y-%m-%d %H:%M}"
            at = _where(document, path, ("start_date",), ("end_date",), ("default_args", "end_date"))
            yield document.problem("DAG109", at, f"{times}: it would never run")


def _where(document: Document, dag: KeyPath, *inner: KeyPath) -> KeyPath:
    """Return the first of these places that the file has: in the DAG, or else in its ``default``."""
    found = [(*top, *path) for top in (dag, ("default",)) for path in inner]
    return next((path for path in found if path in document.values), dag)


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
