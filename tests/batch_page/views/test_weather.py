"""The weather: 25 districts on the map, the hours of one, and what is missing or made up."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asking import asking, forbidden_in, text_of
from fastapi import HTTPException
from months_of_output import write_weather
from running_airflow import ROOT
from weather_pipeline import collect_and_preprocess

from batch_page.districts import TILES
from batch_page.pipelines import weather_districts
from batch_page.view import State
from batch_page.views import weather


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_each_district_has_a_tile_of_its_own() -> None:
    with (ROOT / "data" / "seoul_districts.csv").open(encoding="utf-8-sig", newline="") as file:
        districts = {row["name_en"]: row for row in csv.DictReader(file)}
    assert TILES.keys() == districts.keys()
    assert len(set(TILES.values())) == 25
    for first, second in (("Gangseo-gu", "Gangdong-gu"), ("Mapo-gu", "Gwangjin-gu")):  # west to east
        assert TILES[first][0] < TILES[second][0]
        assert float(districts[first]["lon"]) < float(districts[second]["lon"])
    for first, second in (("Dobong-gu", "Seocho-gu"), ("Jongno-gu", "Gwanak-gu")):  # north to south
        assert TILES[first][1] < TILES[second][1]


def test_the_map_has_the_value_of_each_district(output: Path) -> None:
    write_weather(output, 3, datetime.now(UTC))
    for measure, column in (
        ("temperature", "temperature_c"),
        ("rain", "rain_1h_max_mm"),
        ("wind", "wind_speed_mps"),
    ):
        page = weather.page(asking("/weather", show=measure))
        for row in rows(output / "weather" / "latest.csv"):
            assert f"{row['district']} {row['district_en']}: {float(row[column]):g} " in page
        assert forbidden_in(page) == []


def test_a_district_has_its_last_48_hours(output: Path) -> None:
    now = datetime.now(UTC)
    write_weather(output, 5, now)
    text = text_of(weather.page(asking("/weather", district="Mapo-gu")))
    assert "마포구 Mapo-gu" in text
    found = weather.hours_of("Mapo-gu", now)
    assert len(found) == 48
    written = [row for path in (output / "weather" / "Mapo-gu").glob("*.csv") for row in rows(path)]
    assert found == sorted(written, key=lambda row: row["forecast_at"])[-48:]


def test_the_next_hours_of_a_district_follow_its_newest(output: Path) -> None:
    now = datetime.now(UTC)
    run = {"run_id": "scheduled", "run_after": now.isoformat(), "now": now.isoformat()}
    collect_and_preprocess(**run)
    newest = datetime.fromisoformat(rows(output / "weather" / "latest.csv")[0]["forecast_at"])
    page = text_of(weather.page(asking("/weather", district="Mapo-gu")))
    for hours in range(1, 5):
        assert f"{newest + timedelta(hours=hours):%Y-%m-%d %H:%M}" in page


def test_hours_that_are_missing_are_listed(output: Path) -> None:
    now = datetime.now(UTC)
    write_weather(output, 3, now)
    for path in (output / "weather" / "Mapo-gu").glob("*.csv"):
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        path.write_text("".join([*lines[:-12], *lines[-10:]]), encoding="utf-8-sig")
    gone = now - timedelta(hours=10)
    page = weather.page(asking("/weather", district="Mapo-gu"))
    part = text_of(page).partition("Hours that are missing")[2]
    assert f"{gone.astimezone(weather.ZONE):%Y-%m-%d %H}:00" in part


def test_made_up_weather_cannot_be_missed(output: Path) -> None:
    write_weather(output, 1, datetime.now(UTC), source="sample")
    page = weather.page(asking("/weather"))
    assert "MADE UP The weather is made up" in text_of(page)
    assert 'class="map sample"' in page
    (tile,) = weather.tiles(asking())
    assert "MADE UP" in tile.detail
    assert tile.state is State.NOTICE


def test_a_district_that_lacks_the_newest_hour_is_named(output: Path) -> None:
    write_weather(output, 1, datetime.now(UTC))
    path = output / "weather" / "latest.csv"
    lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "Mapo-gu" not in line), encoding="utf-8-sig")
    (tile,) = weather.tiles(asking())
    assert (tile.state, "The newest hour lacks Mapo-gu" in tile.advice) == (State.NOTICE, True)


def test_the_districts_that_are_expected_are_those_of_the_yaml() -> None:
    assert weather_districts() == ["data/seoul_districts.csv"]
    assert len(weather._expected()) == 25


def test_old_weather_is_wrong_and_says_where_to_look(output: Path) -> None:
    write_weather(output, 1, datetime.now(UTC) - timedelta(hours=5))
    (tile,) = weather.tiles(asking())
    assert (tile.state, "collect_weather" in tile.advice) == (State.WRONG, True)


def test_a_district_is_text(output: Path) -> None:
    write_weather(output, 1, datetime.now(UTC))
    path = output / "weather" / "latest.csv"
    evil = "<script>alert(1)</script>"
    path.write_text(
        path.read_text(encoding="utf-8-sig").replace("Mapo-gu", evil).replace("마포구", evil),
        encoding="utf-8-sig",
    )
    page = weather.page(asking("/weather", district=evil))
    assert evil not in page
    assert forbidden_in(page) == []


def test_without_weather_the_page_says_what_to_do(output: Path) -> None:
    assert "There is no weather yet: trigger collect_weather." in text_of(weather.page(asking("/weather")))


def test_weather_is_shown_to_those_who_may_read_the_dag_that_collects_it(output: Path) -> None:
    write_weather(output, 1, datetime.now(UTC))
    assert weather.tiles(asking(readable={"predict"})) == []
    with pytest.raises(HTTPException) as refused:
        weather.page(asking("/weather", readable={"predict"}))
    assert refused.value.status_code == 403
