"""Months and days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from batch_serving.shared.dates import (
    add_months,
    first_day_of_month,
    last_day_of_month,
    months_between,
    parse_date,
    today_in,
)
from batch_serving.shared.errors import InvalidValueError


@pytest.mark.parametrize(
    ("day", "last"),
    [("2024-02-10", 29), ("2023-02-01", 28), ("2100-02-03", 28), ("2026-04-30", 30), ("2026-12-31", 31)],
)
def test_a_month_has_a_first_and_a_last_day(day: str, last: int) -> None:
    found = date.fromisoformat(day)
    assert first_day_of_month(found).day == 1
    assert last_day_of_month(found).day == last
    assert (last_day_of_month(found) + timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2024-01-31", 1, "2024-02-29"),
        ("2025-12-15", 1, "2026-01-15"),
        ("2026-01-15", -1, "2025-12-15"),
        ("2026-03-31", -13, "2025-02-28"),
        ("2026-03-31", 0, "2026-03-31"),
    ],
)
def test_months_are_added_across_years_and_short_months(day: str, months: int, expected: str) -> None:
    assert add_months(date.fromisoformat(day), months).isoformat() == expected


def test_months_between_are_those_of_both_ends_and_all_in_between() -> None:
    months = months_between(date(2023, 6, 30), date(2025, 12, 1))
    assert len(months) == 31
    assert (months[0], months[7], months[-1]) == (date(2023, 6, 1), date(2024, 1, 1), date(2025, 12, 1))
    assert months_between(date(2026, 5, 1), date(2026, 5, 31)) == [date(2026, 5, 1)]
    assert months_between(date(2026, 5, 1), date(2026, 4, 30)) == []


def test_today_in_seoul_is_nine_hours_ahead() -> None:
    assert today_in(now=datetime(2026, 1, 31, 14, 59, tzinfo=UTC)) == date(2026, 1, 31)
    assert today_in(now=datetime(2026, 1, 31, 15, 0, tzinfo=UTC)) == date(2026, 2, 1)
    with pytest.raises(InvalidValueError, match="no offset"):
        today_in(now=datetime(2026, 1, 31, 15, 0))  # noqa: DTZ001


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "31.12.2026", "2026-13-01"])
def test_what_is_not_a_date_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidValueError, match=f"start_date is '{text}', which is not a date"):
        parse_date(text, "start_date")
