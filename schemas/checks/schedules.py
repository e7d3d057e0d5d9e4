"""Schedules, assets, dates and time zones, without importing Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import available_timezones

from batch_serving.shared.suggestions import suggest
from schemas.catalog.cron import has_a_run
from schemas.checks.kinds import shown
from schemas.documents.reading import Document
from schemas.documents.tasks import configs_of, tasks_of
from schemas.documents.texts import is_template, mappings, texts
from schemas.problems import INFORMATION, WARNING, Fix, KeyPath, Problem, Rule, fix_of

ZONE_IS_UTC = Rule(
    "DAG305",
    "schedules that are in UTC because nothing says otherwise",
    why="A DAG without a timezone runs by UTC, which is nine hours behind Seoul. Said once for a folder.",
    bad="schedule: '0 6 * * *'",
    good="schedule: '0 6 * * *'\ntimezone: Asia/Seoul",
    severity=INFORMATION,
)

NOT_A_SCHEDULE = Rule(
    "DAG103",
    "a schedule that is neither a preset nor a cron expression",
    why="Airflow would blame the loader, and every DAG with it.",
    bad="schedule: '0 25 * * *'",
    good="schedule: '0 5 * * *'",
)
WRONG_DATE = Rule(
    "DAG109",
    "a date or time zone that is not one, or that does not apply",
    why="The DAG would run at other times than it seems, or never.",
    bad="timezone: Asia/Soul",
    good="timezone: Asia/Seoul",
)
MOVING_DATE = Rule(
    "DAG113",
    "a start date that moves",
    why="A date relative to today changes the DAG every day.",
    bad="start_date: 2 days",
    good="start_date: 2026-01-01",
    severity=WARNING,
)
CRON_WITH_SECONDS = Rule(
    "DAG124",
    "a cron expression with a field for seconds",
    why="Airflow reads the sixth field as seconds: the DAG would run far more often than it seems.",
    bad="schedule: '0 */5 * * * *'",
    good="schedule: '*/5 * * * *'",
)
NEVER_RUNS = Rule(
    "DAG125",
    "a cron expression that never runs",
    why="It names a day that no month has.",
    bad="schedule: '0 0 30 2 *'",
    good="schedule: '0 0 28 2 *'",
)
CRON_WITHOUT_ZONE = Rule(
    "DAG126",
    "a cron timetable without a timezone",
    why="Airflow's cron timetables need the time zone by name.",
    bad="schedule: {__type__: airflow.timetables.trigger.CronTriggerTimetable, cron: '0 5 * * *'}",
    good=(
        "schedule: {__type__: airflow.timetables.trigger.CronTriggerTimetable, cron: '0 5 * * *', "
        "timezone: Asia/Seoul}"
    ),
)
SCHEDULE_IN_A_LIST = Rule(
    "DAG127",
    "a schedule in a list of assets",
    why="A list is of assets: Airflow would wait for an asset of that name for ever.",
    bad="schedule: ['0 5 * * *']",
    good="schedule: '0 5 * * *'",
)
NOT_AN_ASSET = Rule(
    "DAG128",
    "an asset that Airflow cannot store",
    why="Airflow takes ASCII characters without blanks in an asset's name and URI.",
    bad="schedule: ['s3://bucket/a file']",
    good="schedule: ['s3://bucket/a%20file']",
)
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
DATE_HINT = "write a date, such as 2026-01-01"


def check_schedule(document: Document) -> Iterator[Problem]:
    """A schedule given as text is a preset or a cron expression; so is what a cron timetable is given."""
    for path, config in configs_of(document):
        schedule, at = config.get("schedule"), (*path, "schedule")
        if isinstance(schedule, str) and schedule.strip().lower() != "none":
            yield from _check_cron(document, at, schedule)
        for where, timetable in mappings(schedule, at):
            if "Cron" in str(timetable.get("__type__")):
                yield from _check_timetable(document, where, timetable)
                yield from _check_zone(document, (*where, "timezone"), timetable.get("timezone"))


def _check_timetable(document: Document, path: KeyPath, schedule: dict[str, Any]) -> Iterator[Problem]:
    given = schedule.get("__args__")
    positional = given if isinstance(given, list) else []
    several = "Multiple" in str(schedule.get("__type__"))
    crons: list[tuple[KeyPath, Any]] = [
        ((*path, "__args__", index), text)
        for index, text in enumerate(positional if several else positional[:1])
    ]
    crons += [((*path, key), schedule[key]) for key in ("cron", "expression") if key in schedule]
    for where, text in crons:
        if isinstance(text, str):
            yield from _check_cron(document, where, text)
    has_zone = "timezone" in schedule or (len(positional) > 1 and not several)
    if not has_zone and not any(suggest(str(key), ["timezone"]) for key in schedule):
        hint = "add timezone: Asia/Seoul, or UTC, beside it"
        yield document.problem(CRON_WITHOUT_ZONE, path, "a cron timetable needs a timezone", hint, key=True)


def _check_cron(document: Document, path: KeyPath, text: str) -> Iterator[Problem]:
    from croniter import croniter

    if text in PRESETS:
        return
    if text.startswith("@") or not croniter.is_valid(text):
        found = suggest(text, (*PRESETS, "none")) or suggest(f"@{text}", PRESETS)
        message = f"schedule {text!r} is neither a preset nor a cron expression"
        fix = Fix(text, found.name) if found and found.certain and text.startswith("@") else None
        hint = found.hint if found else "write five fields, such as '*/5 * * * *', or '@hourly'"
        if not found and f"@{text}" in PRESETS:
            hint = f"did you mean '@{text}'?"
        yield document.problem(NOT_A_SCHEDULE, path, message, hint, fix=fix)
    elif len(text.split()) > 5:
        message = f"schedule {text!r} has {len(text.split())} fields: the sixth counts seconds"
        hint = f"write five fields, such as {' '.join(text.split()[1:6])!r}"
        yield document.problem(CRON_WITH_SECONDS, path, message, hint)
    elif not has_a_run(text):
        message = f"schedule {text!r} names a day that no month has: it would never run"
        yield document.problem(NEVER_RUNS, path, message, "correct the day or the month")


def check_assets(document: Document) -> Iterator[Problem]:
    """What stands for an asset is a URI or a name that Airflow can store, and no schedule."""
    from croniter import croniter

    for path, text in texts(document.data, ()):
        inner = _inside_assets(document, path)
        if not inner or (is_template(text) and "schedule" not in path):
            continue  # of a task's template, which stays as it is, rendered.py says so
        if len(inner) == 1 and isinstance(inner[0], int) and (text in PRESETS or croniter.is_valid(text)):
            message = f"a list is of assets, and {text!r} is a schedule"
            hint = "write the schedule alone; for two of them, airflow.sdk.MultipleCronTriggerTimetable"
            yield document.problem(SCHEDULE_IN_A_LIST, path, message, hint)
        elif not text.isascii() or re.search(r"\s", text.strip()) or not text.strip():
            listed = isinstance(inner[-1], int) and "__args__" not in inner
            if listed or inner[-1] in ("uri", "name"):
                message = f"asset {text!r} must be ASCII characters without blanks"
                yield document.problem(
                    NOT_AN_ASSET, path, message, "percent-encode it, or choose another name"
                )


def _inside_assets(document: Document, path: KeyPath) -> KeyPath:
    """Return the part of a path that is inside a place for assets, empty if it is in none."""
    places = (index for index, key in enumerate(path) if key in ("schedule", "outlets", "inlets"))
    place = next(places, None)
    inner = path[place + 1 :] if place is not None else ()
    if not inner or inner[-1] in ("__type__", "group") or "extra" in inner or document.is_free(path):
        return ()
    return inner


def check_defaults(documents: list[Document]) -> Iterator[Problem]:
    """Say once of a folder without any defaults file that its schedules are in UTC."""
    dags = [(document, dag_id) for document in documents for dag_id in document.dags]
    if not dags or any(document.is_defaults or document.shared for document in documents):
        return
    without = [
        (document, dag_id) for document, dag_id in dags if not document.config_of(dag_id).get("timezone")
    ]
    if without:
        document, dag_id = without[0]
        message = "there is no defaults.yml and no timezone: schedules are in UTC"
        hint = "write timezone: Asia/Seoul, or put it into a defaults.yml for all files of the folder"
        yield document.problem(ZONE_IS_UTC, (dag_id,), message, hint, key=True)


def check_dates(document: Document) -> Iterator[Problem]:
    """Start and end are dates, fixed ones, of DAGs; and time zones exist."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            for key in sorted({"start_date", "end_date"} & {*task}):
                message, hint = f"{key} of a task is not read as a date", f"move {key} to the DAG"
                yield document.problem(WRONG_DATE, (*paths[task_id], key), message, hint, key=True)
    for path, config in configs_of(document):
        for where, found in ((path, config), ((*path, "default_args"), config.get("default_args"))):
            if isinstance(found, dict):
                yield from _check_zone(document, (*where, "timezone"), found.get("timezone"))
                for key in ("start_date", "end_date"):
                    yield from _check_date(document, (*where, key), found.get(key))


def _check_zone(document: Document, path: KeyPath, zone: Any) -> Iterator[Problem]:
    if not isinstance(zone, str) or zone in available_timezones():
        return
    fix = None
    if zone in ZONES:
        hint, fix = f"did you mean {ZONES[zone]!r}?", Fix(zone, ZONES[zone])
    elif found := suggest(zone, sorted(available_timezones())):
        hint, fix = found.hint, fix_of(zone, found)
    else:
        hint = "write a name such as Asia/Seoul or UTC"
    yield document.problem(WRONG_DATE, path, f"time zone {zone!r} does not exist", hint, fix=fix)


def _check_date(document: Document, path: KeyPath, value: Any) -> Iterator[Problem]:
    key = path[-1]
    if isinstance(value, str) and RELATIVE.fullmatch(value.strip()):
        message = f"{key} {value!r} moves every day: runs come and go"
        yield document.problem(MOVING_DATE, path, message, DATE_HINT)
    elif value is not None and _moment(value) is None:
        yield document.problem(WRONG_DATE, path, f"{key} must be a date, got {shown(value)}", DATE_HINT)
    elif _has_offset(value):
        message = f"{key} {value!s} has an offset, which dag-factory drops"
        hint = "write the local time, and timezone beside it"
        yield document.problem(WRONG_DATE, path, message, hint)


def _has_offset(value: Any) -> bool:
    if isinstance(value, datetime):
        return value.tzinfo is not None
    return isinstance(value, str) and OFFSET.search(value) is not None


def check_span(document: Document) -> Iterator[Problem]:
    """A DAG starts before it ends, and its time zone applies to its start, wherever they are written."""
    whole = {dag_id: ((dag_id,), document.config_of(dag_id)) for dag_id in document.dags}
    places: Iterable[tuple[KeyPath, dict[str, Any]]] = whole.values()
    if document.is_defaults:
        places = [((), document.data)]
    for path, config in places:
        arguments = config.get("default_args")
        arguments = arguments if isinstance(arguments, dict) else {}
        if config.get("timezone") and "start_date" in arguments:
            message = "timezone does not apply to a start_date in default_args"
            hint = "move start_date to the DAG, beside timezone"
            at = _where(document, path, ("timezone",), ("default_args", "start_date"))
            yield document.problem(WRONG_DATE, at, message, hint)
        start = _moment(config.get("start_date"))
        end = _moment(config.get("end_date") or arguments.get("end_date"))
        if start and end and start > end:
            times = f"start_date {start:%Y-%m-%d %H:%M} is after end_date {end:%Y-%m-%d %H:%M}"
            at = _where(document, path, ("start_date",), ("end_date",), ("default_args", "end_date"))
            hint = "correct one of the two"
            yield document.problem(WRONG_DATE, at, f"{times}: the DAG would never run", hint)


def _where(document: Document, dag: KeyPath, *inner: KeyPath) -> KeyPath:
    """Return the first of these places that the file has: in the DAG, or else in its ``default``."""
    found = [(*top, *path) for top in (dag, ("default",)) for path in inner]
    return next((path for path in found if path in document.positions.values), dag)


def _moment(value: Any) -> datetime | None:
    """Return a date as written, offset left out, or None if it is not one."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, int | float):
        return None
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - compared with its like only
    try:
        return datetime.fromisoformat(str(value).strip()).replace(tzinfo=None)
    except ValueError:
        return None
