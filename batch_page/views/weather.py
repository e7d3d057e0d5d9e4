"""Weather: Seoul's districts as a map of tiles, and the last and next hours of one of them."""

from __future__ import annotations

import contextlib
import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from markupsafe import Markup

from batch_page.access import asked
from batch_page.asked import ZONE, Asked
from batch_page.charts import Mark, Series, lines
from batch_page.districts import tile_of
from batch_page.pipelines import weather_dags, weather_districts
from batch_page.queries import UnavailableError
from batch_page.rendering import rendered
from batch_page.view import QUERIES, REMEMBERED, State, Tile, View
from batch_serving.shared.files import read_with_tag
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.reading import files_in, identity_of
from batch_serving.weather.districts import DistrictsError, read_districts
from batch_serving.weather.hours_ahead import rows_ahead

if TYPE_CHECKING:
    from upath import UPath

SAMPLE = "sample"  # the source of made-up rows
STALE_AFTER = timedelta(hours=3)
AN_HOUR = timedelta(hours=1)
BEFORE, AFTER = 48 * AN_HOUR, 12 * AN_HOUR
STEPS = 7  # colours of the map
MEASURES = {
    # The value in the address: its column, its name, its unit.
    "temperature": ("temperature_c", "Temperature", "°C"),
    "rain": ("rain_1h_max_mm", "Rain in an hour", "mm"),
    "wind": ("wind_speed_mps", "Wind", "m/s"),
}
MOST_MISSING = 60

Row = dict[str, str]


@dataclass(frozen=True)
class Square:
    """A district on the map."""

    name: str
    shown_name: str
    column: int
    row: int
    value: str
    step: int | None  # which colour, None without a value
    tooltip: str
    href: str
    is_chosen: bool


def may_see(asking: Asked) -> bool:
    """Whether the user may see the weather: a DAG that collects it may be read, or none does and all may."""
    dags = weather_dags()
    return asking.may_read_one_of(dags) if dags else True


def latest() -> list[Row]:
    """Return the newest hour of each district."""
    path = output_path("weather", "latest.csv")
    return REMEMBERED.get(("weather", str(path)), identity_of(path), lambda: _rows(path))


def _rows(path: UPath) -> list[Row]:
    data, _ = read_with_tag(path)
    return list(csv.DictReader(io.StringIO((data or b"").decode("utf-8-sig", "replace"), newline="")))


def hours_of(district: str, now: datetime) -> list[Row]:
    """Return a district's rows from 48 hours ago to 12 hours ahead, oldest first."""
    start, end = now - BEFORE, now + AFTER
    months = sorted({f"{moment.astimezone(ZONE):%Y-%m}" for moment in (start, now, end)})
    found: list[Row] = []
    for month in months:
        path = output_path("weather", safe_name(district), f"{month}.csv")
        found += REMEMBERED.get(("weather", str(path)), identity_of(path), partial(_rows, path))
    return [row for row in found if start <= _moment(row["forecast_at"]) <= end]


def hours_after(row: Row) -> list[Row]:
    """Return the next hours of a district: those after its newest row that KMA has forecast with it."""
    key = ("ahead", row["district_en"])
    made = REMEMBERED.get(key, tuple(row.values()), lambda: rows_ahead(row, weather_districts()))
    return [one._asdict() for one in made]


def missing_hours() -> list[Row]:
    """Return the hours that districts lack, of the last two months, newest first."""
    found: list[Row] = []
    for path in files_in(output_path("weather", "missing"), ".csv")[-2:]:
        found += REMEMBERED.get(("missing", str(path)), identity_of(path), partial(_rows, path))
    return sorted(found, key=lambda row: row.get("forecast_at", ""), reverse=True)[:MOST_MISSING]


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=ZONE)
    return found if found.tzinfo else found.replace(tzinfo=ZONE)


def page(asking: Annotated[Asked, Depends(asked)]) -> str:
    """Return the map: ``?show=`` one of MEASURES, and the hours of ``?district=``."""
    if not may_see(asking):
        raise HTTPException(403, "you may not read the DAG that collects the weather")
    measure = asking.query.get("show", "temperature")
    measure = measure if measure in MEASURES else "temperature"
    values: dict[str, Any] = {
        "current": VIEW, "problem": "", "measure": measure, "measures": MEASURES, "squares": [], "legend": [],
    }  # fmt: skip
    try:
        rows = QUERIES.answer("weather", latest)
        chosen = asking.query.get("district") or (rows[0]["district_en"] if rows else "")
        squares, legend = _squares(asking, rows, measure, chosen)
        values |= {
            "squares": squares,
            "legend": legend,
            "hour": max((row["forecast_at"] for row in rows), default=""),
            "is_sample": any(row.get("source") == SAMPLE for row in rows),
            "missing": QUERIES.answer("missing", missing_hours),
            "absent": _absent(rows),
            "chosen": next((row for row in rows if row["district_en"] == chosen), None),
            "columns": 1 + max((one.column for one in squares), default=0),
            "lines": 1 + max((one.row for one in squares), default=0),
        }
        if values["chosen"]:
            values |= _about(asking, values["chosen"], measure)
    except UnavailableError as error:
        values["problem"] = str(error)
    return rendered("weather.html", asking, **values)


def _squares(
    asking: Asked, rows: list[Row], measure: str, chosen: str
) -> tuple[list[Square], list[tuple[int, str]]]:
    column, _, unit = MEASURES[measure]
    values = {row["district_en"]: _number(row.get(column)) for row in rows}
    known = [value for value in values.values() if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    width = (high - low) / STEPS or 1.0
    squares = []
    for number, row in enumerate(rows):
        name = row["district_en"]
        place, line = tile_of(name, number)
        value = values[name]
        shown = "–" if value is None else f"{value:g}"
        korean = asking.language == "ko"
        shown_name = row["district"] if korean else name.removesuffix("-gu")
        facts = f"{row['district']} {name}: {shown} {unit}, {asking.text(row.get('sky', '') or '–')}"
        squares.append(
            Square(
                name=name,
                shown_name=shown_name,
                column=place,
                row=line,
                value=shown,
                step=None if value is None else min(STEPS - 1, int((value - low) / width)),
                tooltip=facts,
                href=asking.url("weather", show=measure, district=name),
                is_chosen=name == chosen,
            )
        )
    legend = [(step, f"{low + step * width:.1f}") for step in range(STEPS)] if known and high > low else []
    return sorted(squares, key=lambda one: (one.row, one.column)), legend


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _absent(rows: list[Row]) -> list[str]:
    """Return the districts of the list that have no row at all, or none of the newest hour."""
    newest = max((row["forecast_at"] for row in rows), default="")
    there = {row["district_en"] for row in rows if row["forecast_at"] == newest}
    names = QUERIES.answer("districts", _expected)
    return [name for name in names if name not in there]


def _expected() -> list[str]:
    """Return the districts whose weather the DAGs collect; none of a list that cannot be read."""
    found: dict[str, None] = {}
    for location in weather_districts():
        with contextlib.suppress(DistrictsError, FileNotFoundError):
            found |= dict.fromkeys(one.name_en for one in read_districts(location))
    return list(found)


def _about(asking: Asked, newest: Row, measure: str) -> dict[str, Any]:
    district = newest["district_en"]
    known = QUERIES.answer(("hours", district), lambda: hours_of(district, asking.now))
    ahead = QUERIES.answer(("ahead", district), lambda: hours_after(newest))
    rows = {row["forecast_at"]: row for row in [*ahead, *known]}
    by_hour = {_moment(text).astimezone(ZONE): rows[text] for text in sorted(rows)}
    now = asking.now.astimezone(ZONE).replace(minute=0, second=0, microsecond=0)
    count = int((max([*by_hour, now]) - now + BEFORE) / AN_HOUR)
    hours = [now - BEFORE + step * AN_HOUR for step in range(count + 1)]
    return {
        "hours": list(reversed(by_hour.values())),
        "gaps": [hour for hour in hours if by_hour and hour not in by_hour and hour > min(by_hour)],
        "chart": _hour_chart(asking, measure, [(hour, by_hour.get(hour)) for hour in hours])
        if rows
        else None,
    }


def _hour_chart(asking: Asked, measure: str, hours: list[tuple[datetime, Row | None]]) -> Markup:
    column, title, unit = MEASURES[measure]
    marks = []
    for place, (hour, row) in enumerate(hours):
        value = _number(row.get(column)) if row else None
        tooltip = f"{hour:%m-%d %H:%M}: {asking.text(title)} {value} {unit}"
        if row and row.get("source") == SAMPLE:
            tooltip += f", {asking.text('made up')}"
        marks.append(Mark(place, value, tooltip))
    names = [f"{hour:%d. %H}" for hour, _ in hours]
    series = Series(f"{asking.text(title)} ({unit})", marks)
    return lines(asking.text("The last and next hours"), names, [series])


def tiles(asking: Asked) -> list[Tile]:
    """Return a tile: how old the weather is, and which districts are missing."""
    href = asking.url("weather")
    title = asking.text("Weather")
    if not may_see(asking):
        return []
    try:
        rows = QUERIES.answer("weather", latest)
        if not rows:
            advice = asking.text("There is no weather yet: trigger collect_weather.")
            return [Tile(title, asking.text("none yet"), "", href, State.EMPTY, advice)]
        absent = _absent(rows)
    except UnavailableError as error:
        return [Tile(title, "?", "", href, State.WRONG, str(error))]
    collected = max(_moment(row["collected_at"]) for row in rows)
    there = asking.text(
        "{count} districts",
        count=len(rows) - len([n for n in absent if n in {r["district_en"] for r in rows}]),
    )
    detail = f"{there} · {asking.text('collected')} {asking.age(collected)}"
    state, advice = State.FINE, ""
    if absent:
        state = State.NOTICE
        advice = asking.text(
            "The newest hour lacks {districts}: see the log of collect.", districts=", ".join(absent[:5])
        )
    if asking.now - collected > STALE_AFTER:
        state = State.WRONG
        advice = asking.text("The weather is old: see whether collect_weather is paused or fails.")
    elif any(row.get("source") == SAMPLE for row in rows):
        state = State.NOTICE
        detail += f" · {asking.text('MADE UP')}"
        advice = asking.text(
            "The weather is made up, for no key is set: see docs/weather.md for a key of KMA."
        )
    hour = asking.moment(max(row["forecast_at"] for row in rows))
    return [Tile(title, hour, detail, href, state, advice)]


def _add_routes(router: APIRouter) -> None:
    router.add_api_route("/weather", page, methods=["GET"])


VIEW = View("weather", "Weather", _add_routes, tiles)
