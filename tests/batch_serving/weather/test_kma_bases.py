"""Which forecast a run needs."""

from __future__ import annotations

from datetime import datetime

import pytest
from weather_pipeline import kst

from batch_serving.weather import kma_bases


@pytest.mark.parametrize(
    ("now", "base", "hour"),
    [
        ("2026-01-01T10:00:05", "2026-01-01T09:30:00", "2026-01-01T11:00:00"),
        ("2026-01-01T10:44:59", "2026-01-01T09:30:00", "2026-01-01T11:00:00"),
        ("2026-01-01T10:45:00", "2026-01-01T10:30:00", "2026-01-01T11:00:00"),
        ("2026-01-01T00:10:00", "2025-12-31T23:30:00", "2026-01-01T01:00:00"),  # a new year
        ("2026-02-28T23:50:00", "2026-02-28T23:30:00", "2026-03-01T00:00:00"),  # a new month
    ],
)
def test_base_and_target_hour(now: str, base: str, hour: str) -> None:
    assert kma_bases.newest_base(kst(now)) == kst(base)
    assert kma_bases.target_hour(kst(now)) == kst(hour)


def test_a_time_in_utc_is_converted_to_korean_time() -> None:
    assert kma_bases.newest_base(datetime.fromisoformat("2025-12-31T15:10:00+00:00")) == kst(
        "2025-12-31T23:30:00"
    )
