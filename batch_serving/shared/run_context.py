"""What a task knows of its run: the run_id and the time, both as text from a template."""

from __future__ import annotations

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

from batch_serving.shared.errors import InvalidValueError


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


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidValueError(
            f"timezone is {name!r}, which is not a known time zone", "use a name such as Asia/Seoul"
        ) from None
