"""KMA's values for one hour: taken from a raw answer, and checked column by column."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from batch_serving.weather.columns import NUMBER, columns
from batch_serving.weather.kma_answers import ForecastItem, read_items
from batch_serving.weather.rain import rainfall_mm
from batch_serving.weather.raw_answers import RawAnswer

log = logging.getLogger(__name__)

RAINFALL = "RN1"
MISSING_FROM = 900.0  # KMA marks a missing value by a number ≥ 900 or ≤ −900
SKY = {"1": "clear", "3": "mostly cloudy", "4": "overcast"}
PRECIPITATION = {
    "0": "none",
    "1": "rain",
    "2": "rain and snow",
    "3": "snow",
    "5": "drizzle",
    "6": "drizzle and flurries",
    "7": "flurries",
}


@dataclass(frozen=True)
class RejectedValue:
    """A value that does not fit its column, and why."""

    column: str
    value: str
    reason: str


@dataclass(frozen=True)
class CheckedValues:
    """The values of one hour by column, an empty text for a missing one; and the values that do not fit."""

    values: dict[str, str]
    rejected: list[RejectedValue]


def values_in(raw: RawAnswer) -> dict[str, str] | None:
    """Return KMA's values for the hour by column; None if the raw answer cannot be read."""
    try:
        return values_at(items_of(raw), datetime.fromisoformat(raw.hour))
    except Exception as error:  # a corrupt disk, an edited file, or one of a version that parsed differently
        log.warning(
            "the raw answer for cell %d,%d at %s cannot be read: %s",
            raw.cell.nx,
            raw.cell.ny,
            raw.hour,
            type(error).__name__,
        )
        return None


def items_of(raw: RawAnswer) -> list[ForecastItem]:
    """Return the items of a stored answer, which was a forecast when it came."""
    return read_items(200, raw.answer, datetime.fromisoformat(raw.base_at), raw.cell)


def values_at(items: Iterable[ForecastItem], hour: datetime) -> dict[str, str]:
    """Return KMA's values for one hour (KST) by column, unchecked; without columns that it did not send."""
    columns_by_category = {column.category: name for name, column in columns().items() if column.category}
    date, time = f"{hour:%Y%m%d}", f"{hour:%H%M}"
    return {
        columns_by_category[item.category]: _text_of(item)
        for item in items
        if item.category in columns_by_category and (item.date, item.time) == (date, time)
    }


def _text_of(item: ForecastItem) -> str:
    """Return a value as text, empty if it is missing; for rainfall null is a value and means none."""
    if item.value is None:
        return "null" if item.category == RAINFALL else ""
    text = str(item.value).strip()
    return "" if NUMBER.fullmatch(text) and abs(float(text)) >= MISSING_FROM else text


def check_values(given: dict[str, str]) -> CheckedValues:
    """Check KMA's values, and add the words and amounts that follow from them."""
    values = {name: "" for name, column in columns().items() if column.category}
    rejected = []
    for name, text in given.items():
        column = columns()[name]
        if reason := column.problem(text):
            rejected.append(RejectedValue(name, text, reason))
        else:
            values[name] = column.tidy(text)
    values["sky"] = SKY.get(values["sky_code"], "")
    values["precipitation"] = PRECIPITATION.get(values["precipitation_code"], "")
    rain = values["rain_1h_text"]
    if reason := _add_rainfall(values):
        rejected.append(RejectedValue("rain_1h_text", rain, reason))
        values["rain_1h_text"] = ""
    return CheckedValues(values, rejected)


def _add_rainfall(values: dict[str, str]) -> str:
    """Add the amounts that the rainfall text means; return why it cannot be used, or an empty text."""
    values["rain_1h_min_mm"], values["rain_1h_max_mm"] = "", ""
    if values["rain_1h_text"] == "":
        return ""
    amount = rainfall_mm(values["rain_1h_text"])
    if amount is None:
        return "not one of KMA's ways to write rainfall"
    least, most = amount
    reason = columns()["rain_1h_min_mm"].problem(least) or columns()["rain_1h_max_mm"].problem(most)
    if not reason:
        values["rain_1h_min_mm"], values["rain_1h_max_mm"] = least, most
    return reason
