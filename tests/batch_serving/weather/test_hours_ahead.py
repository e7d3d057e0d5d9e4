"""The hours after the one that is kept, read from the answers that are kept as they came."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from servers import Kma
from weather_pipeline import DISTRICTS, collect_and_preprocess, rows_of

from batch_serving.weather.hours_ahead import rows_ahead


def test_the_hours_after_a_row_are_those_of_the_same_answer(kma: Kma, output: Path) -> None:
    collect_and_preprocess()
    newest = rows_of(output / "weather" / "latest.csv")[0]
    ahead = rows_ahead(newest, ["data/other.csv", DISTRICTS])
    assert [row.forecast_at[:16] for row in ahead] == [f"2026-01-01T{hour}:00" for hour in range(12, 16)]
    temperature = int(newest["temperature_c"])  # in the test's answers each hour is a degree warmer
    assert [row.temperature_c for row in ahead] == [str(temperature + hour) for hour in range(1, 5)]
    assert {(row.district_en, row.source, row.run_id) for row in ahead} == {
        (newest["district_en"], newest["source"], newest["run_id"])
    }


@pytest.mark.parametrize(
    "content", [b"", b"torn", gzip.compress(b"{}", mtime=0), None], ids=["empty", "torn", "other", "gone"]
)
def test_an_answer_that_cannot_be_read_has_no_hours(kma: Kma, output: Path, content: bytes | None) -> None:
    collect_and_preprocess()
    newest = rows_of(output / "weather" / "latest.csv")[0]
    for path in (output / "weather" / "raw").rglob("*.json.gz"):
        path.unlink() if content is None else path.write_bytes(content)
    assert rows_ahead(newest, [DISTRICTS]) == []


def test_a_row_that_is_not_one_has_no_hours(output: Path) -> None:
    row = {
        "forecast_at": "noon",
        "nx": "",
        "ny": "",
        "district": "",
        "district_en": "",
        "code": "",
        "run_id": "",
    }
    assert rows_ahead(row, [DISTRICTS]) == []
