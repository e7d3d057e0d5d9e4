"""KMA's values for one hour."""

from __future__ import annotations

import json
from typing import Any

import pytest
from servers import kma_answer, kma_items
from weather_pipeline import kst

from batch_serving.weather.districts import Cell
from batch_serving.weather.kma_answers import read_items
from batch_serving.weather.values import check_values, values_at


def read(items: list[dict[str, Any]]) -> dict[str, str]:
    """Return the values at 11:00 of a forecast with these items."""
    found = read_items(200, json.dumps(kma_answer(items)), kst("2026-01-01T09:30:00"), Cell(60, 127))
    return values_at(found, kst("2026-01-01T11:00:00"))


@pytest.mark.parametrize("value", ["-998.9", "999", "absent"])
def test_missing_rainfall_is_not_zero(value: str) -> None:
    items = [
        item | {"fcstValue": value} if item["category"] == "RN1" else item
        for item in kma_items("202601010930", 60, 127)
    ]
    checked = check_values(read([item for item in items if item["fcstValue"] != "absent"]))
    assert checked.rejected == []
    assert (checked.values["rain_1h_min_mm"], checked.values["rain_1h_max_mm"]) == ("", "")


@pytest.mark.parametrize("value", ["900", "-999", "999.0"])
def test_a_value_that_marks_a_gap_is_empty(value: str) -> None:
    items = [
        item | {"fcstValue": value}
        for item in kma_items("202601010930", 60, 127)
        if item["category"] == "T1H"
    ]
    assert read(items)["temperature_c"] == ""
