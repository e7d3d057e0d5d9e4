"""Dates of months and days, for task functions whose work belongs to a period."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.run_context import parse_zone


def parse_date(text: str, name: str) -> date:
    """Return the date of a text such as ``2026-01-31``; InvalidValueError, with ``name``, if it is none."""
    try:
        found = date.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidValueError(
            f"{name} is {text!r}, which is not a date ({error})", "write it as 2026-01-31"
        ) from None
    return found


def first_day_of_month(day: date) -> date:
    """Return the first day of the month of ``day``."""
    return day.replace(day=1)


def last_day_of_month(day: date) -> date:
    """Return the last day of the month of ``day``."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def add_months(day: date, months: int) -> date:
    """Return the same day ``months`` later, or that month's last day if it has fewer; may be negative."""
    number = day.year * 12 + day.month - 1 + months
    first = date(number // 12, number % 12 + 1, 1)
    return first.replace(day=min(day.day, last_day_of_month(first).day))


def months_between(start: date, end: date) -> list[date]:
    """Return the first day of each month from that of ``start`` to that of ``end``; none if end is before."""
    count = (end.year - start.year) * 12 + end.month - start.month + 1
    return [add_months(first_day_of_month(start), number) for number in range(count)]


def today_in(timezone: str = "Asia/Seoul", now: datetime | None = None) -> date:
    """Return the date in a time zone, at ``now`` (with an offset) or at present."""
    moment = datetime.now(UTC) if now is None else now
    if moment.tzinfo is None:
        raise InvalidValueError(f"time {moment} has no offset", "give it a time zone")
    return moment.astimezone(parse_zone(timezone)).date()
