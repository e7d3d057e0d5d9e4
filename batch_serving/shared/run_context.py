"""What a task knows of its run: the run_id and the time, both as text from a template."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from batch_serving.shared.errors import InvalidValueError

# What Airflow calls a run of a backfill: by its due time, which may have the offset of --from-date.
_OF_BACKFILL = re.compile(r"\bbackfill__(?P<due>\d{4}-\d\d-\d\dT\d\d:\d\d:[\d.]+[+-]\d\d:\d\d)")


def run_name(run_id: str) -> str:
    """Return the name that a run's work has: a run of a backfill has that of the scheduled run it fills in.

    So both draw the same rows, have the same seed and write the same file. Other runs keep their run_id.
    """
    return _OF_BACKFILL.sub(lambda found: f"scheduled__{_in_utc(found['due'])}", run_id)


def _in_utc(due: str) -> str:
    return datetime.fromisoformat(due).astimezone(UTC).isoformat()


def seed_of(run_id: str) -> int:
    """Return the run's random seed, 0 ≤ seed < 2³²: a second try gets the same one."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big")


def parse_flag(value: bool | str, name: str) -> bool:
    """Return a flag that a template may have rendered as text (``True``)."""
    known = {"true": True, "false": False, "": False}
    if isinstance(value, bool):
        return value
    if value.strip().lower() not in known:
        raise InvalidValueError(f"{name} is {value!r}", "it must be true or false")
    return known[value.strip().lower()]


def parse_time(text: str) -> datetime:
    """Return an ISO 8601 time, which must have an offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidValueError(
            f"time {text!r} is not ISO 8601 with an offset", "write it as 2026-01-01T09:00:00+09:00"
        )
    return moment


def is_time(text: str) -> bool:
    """Return whether ``parse_time`` takes a text."""
    try:
        parse_time(text)
    except InvalidValueError:
        return False
    return True


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidValueError(
            f"timezone is {name!r}, which is not a known time zone", "use a name such as Asia/Seoul"
        ) from None
