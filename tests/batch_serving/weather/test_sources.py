"""Where forecasts come from: which base is requested, and how often."""

from __future__ import annotations

import time
from pathlib import Path

from kma_faults import FAULTS
from servers import Kma
from weather_pipeline import collect, collect_and_preprocess, rows_of
from werkzeug import Request, Response


def test_without_the_newest_base_the_one_before_is_used(kma: Kma, output: Path) -> None:
    kma.not_out = {"202601010930"}
    collect_and_preprocess()
    row = rows_of(output / "weather" / "latest.csv")[0]
    assert (row["base_at"], row["temperature_c"]) == ("2026-01-01T08:30:00+09:00", "10")


def test_there_is_a_pause_before_each_call(kma: Kma, output: Path) -> None:
    start = time.monotonic()
    collect(seconds_between_calls=0.05)
    assert time.monotonic() - start >= 14 * 0.05


def test_a_base_without_data_is_requested_once_more(kma: Kma, output: Path) -> None:
    asked_before: set[str] = set()

    def once(asked: dict[str, str], request: Request) -> Response | None:
        first = asked["nx"] + asked["ny"] not in asked_before
        asked_before.add(asked["nx"] + asked["ny"])
        return FAULTS["empty items"](asked, request) if first else None

    kma.fault = once
    collect_and_preprocess()
    assert {row["base_at"] for row in rows_of(output / "weather" / "latest.csv")} == {
        "2026-01-01T09:30:00+09:00"
    }


def test_a_late_run_uses_a_later_base_if_kma_lost_its_own(kma: Kma, output: Path) -> None:
    kma.lost = {"202601010930", "202601010830"}
    collect_and_preprocess(now="2026-01-01T11:10:00+09:00")
    row = rows_of(output / "weather" / "latest.csv")[0]
    assert (row["base_at"], row["forecast_at"]) == ("2026-01-01T10:30:00+09:00", "2026-01-01T11:00:00+09:00")
