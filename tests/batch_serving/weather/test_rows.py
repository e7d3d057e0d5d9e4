"""From raw answers to rows, and into quarantine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers import Kma, kma_answer, kma_items
from trees import tree
from weather_pipeline import collect_and_preprocess, rows_of
from werkzeug import Request, Response

from batch_serving.weather.columns import columns
from batch_serving.weather.rows import WeatherRow


def test_the_columns_are_those_of_the_schema() -> None:
    assert list(WeatherRow._fields) == list(columns())


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_missing_and_new_categories(kma: Kma, output: Path, change: str) -> None:
    def answer(asked: dict[str, str], _request: Request) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        if change == "missing":
            items = [item for item in items if item["category"] not in ("T1H", "RN1")]
        else:
            items += [{**item, "category": "NEW"} for item in items[:6]]
        return Response(json.dumps(kma_answer(items)))

    kma.fault = answer
    assert collect_and_preprocess()["quarantined"] == 0
    row = rows_of(output / "weather" / "latest.csv")[0]
    missing = change == "missing"
    assert (row["temperature_c"], row["rain_1h_min_mm"], row["humidity_percent"]) == (
        "" if missing else "9",
        "" if missing else "0",
        "60",
    )


@pytest.mark.parametrize(
    ("category", "value", "column", "reason"),
    [
        ("T1H", "warm", "temperature_c", "not a number"),
        ("T1H", "-75", "temperature_c", "less than -60"),
        ("REH", "250", "humidity_percent", "more than 100"),
        ("REH", "nan", "humidity_percent", "not a number"),
        ("SKY", "2", "sky_code", "not one of [1, 3, 4, None]"),
        ("PTY", "x", "precipitation_code", "not a whole number"),
        ("VEC", "361", "wind_direction_deg", "more than 360"),
        ("RN1", "a lot", "rain_1h_text", "not one of KMA's ways to write rainfall"),
        ("RN1", "x" * 40, "rain_1h_text", "longer than 30"),
        ("RN1", "700mm", "rain_1h_text", "more than 500"),
        ("T1H", "1_0", "temperature_c", "not a number"),
        ("T1H", "٧", "temperature_c", "not a number"),
        ("T1H", "Infinity", "temperature_c", "not a number"),
    ],
)
def test_a_value_that_does_not_fit_goes_into_quarantine_with_the_reason(
    kma: Kma, output: Path, category: str, value: str, column: str, reason: str
) -> None:
    def answer(asked: dict[str, str], _request: Request) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        changed = [item | {"fcstValue": value} if item["category"] == category else item for item in items]
        return Response(json.dumps(kma_answer(changed)))

    kma.fault = answer
    assert collect_and_preprocess()["quarantined"] == 25
    kept = rows_of(output / "weather" / "quarantine" / "2026-01.csv")
    assert {(row["column"], row["value"], row["reason"]) for row in kept} == {(column, value, reason)}
    for row in rows_of(output / "weather" / "latest.csv"):
        assert row[column] == ""
        others = {"temperature_c", "humidity_percent", "wind_speed_mps"} - {column}
        assert all(row[name] for name in others)
        assert all(not columns()[name].problem(text) for name, text in row.items())
    before = tree(output)
    collect_and_preprocess()
    assert tree(output) == before
