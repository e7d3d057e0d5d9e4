"""What a task knows of its run: the run_id and the time, both as text from a template."""

from __future__ import annotations

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo


def seed_of(run_id: str) -> int:
    """Return a random seed, 0 ≤ seed < 2³², that belongs to this run: a second try draws the same."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big")


def parse_flag(value: bool | str, name: str) -> bool:
    """Return a flag that a template may have rendered as text (``True``); ValueError for another text."""
    known = {"true": True, "false": False, "": False}
    if isinstance(value, bool):
        return value
    if value.strip().lower() not in known:
        raise ValueError(f"{name} is {value!r}; it must be true or false")
    return known[value.strip().lower()]


def parse_time(text: str) -> datetime:
    """Return an ISO 8601 time that has an offset; ValueError otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"time {text!r} is not ISO 8601 with an offset, such as 2026-01-01T09:00:00+09:00")
    return moment


def parse_zone(name: str) -> ZoneInfo:
    """Return a time zone; ValueError for a name that is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"timezone is {name!r}; it must be a name such as Asia/Seoul") from None
