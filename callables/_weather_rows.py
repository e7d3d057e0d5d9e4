"""From the weather service's answers to rows, each value checked against ``data/weather.schema.json``."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from callables import _kma
from callables._districts import District
from callables._files import PROJECT_ROOT
from callables._weather_raw import Raw

log = logging.getLogger(__name__)

Row = dict[str, str]  # as in the CSV: an empty text is a value that is not there

NO_RAIN = ("강수없음", "-", "", "0", "none", "null")
NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
RAIN = ("rain_1h_min_mm", "rain_1h_max_mm")
RAIN_TEXT = re.compile(
    r"(?P<low>[0-9]+(\.[0-9]+)?)\s*(mm)?(\s*[~∼]\s*(?P<high>[0-9]+(\.[0-9]+)?)\s*(mm)?)?\s*(?P<limit>미만|이상)?"
)
MISSING_FROM = 900.0  # KMA marks a missing value by a number ≥ 900 or ≤ −900
WORDS = {
    "sky": ("sky_code", {"1": "clear", "3": "mostly cloudy", "4": "overcast"}),
    "precipitation": (
        "precipitation_code",
        {
            "0": "none",
            "1": "rain",
            "2": "rain and snow",
            "3": "snow",
            "5": "drizzle",
            "6": "drizzle and flurries",
            "7": "flurries",
        },
    ),
}
QUARANTINE_COLUMNS = (
    *("forecast_at", "district", "district_en", "code", "column", "value", "reason"),
    *("base_at", "collected_at", "source", "run_id"),
)
MISSING_COLUMNS = ("forecast_at", "district", "district_en", "code", "reason", "noted_at", "run_id")


@dataclass
class Found:
    """What raw files say: rows, values that are not fit to be in them, and districts that have no row."""

    rows: list[Row] = field(default_factory=list)
    quarantine: list[Row] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)

    def __add__(self, other: Found) -> Found:
        """Return what both say."""
        return Found(self.rows + other.rows, self.quarantine + other.quarantine, self.missing + other.missing)


@cache
def schema() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each column, in the order of the CSV."""
    text = (PROJECT_ROOT / "data" / "weather.schema.json").read_text(encoding="utf-8")
    return json.loads(text)["properties"]


@cache
def columns() -> tuple[str, ...]:
    """Return the columns of the CSV, in order."""
    return tuple(schema())


@cache
def _categories() -> dict[str, str]:
    return {kind["category"]: name for name, kind in schema().items() if "category" in kind}


def read_rows(raws: Iterable[Raw], districts: Iterable[District]) -> Found:
    """Return what the raw files of one run say of ``districts``; the same files always say the same."""
    by_cell = {raw.cell: raw for raw in raws}
    read: dict[tuple[int, int], tuple[Row, list[tuple[str, str, str]]] | None] = {}  # districts share cells
    found = Found()
    for district in districts:
        raw = by_cell.get(district.cell)
        if raw is None:
            continue
        if raw.gone:
            found.missing.append(
                missing_row(district, raw.hour, reason=raw.gone, noted_at=raw.collected_at, run_id=raw.run_id)
            )
            continue
        place = _place(district, raw.hour)
        told = {name: getattr(raw, name) for name in ("base_at", "collected_at", "source", "run_id")}
        cell = {"nx": str(raw.cell[0]), "ny": str(raw.cell[1])}
        if raw.cell not in read:
            values = values_of(raw)
            read[raw.cell] = None if values is None else fit(values)
        fitted = read[raw.cell]
        if fitted is None:
            continue
        values, unfit = fitted
        found.rows.append({**place, **values, **cell, **told})
        found.quarantine += [
            {**place, "column": name, "value": _printable(value), "reason": reason, **told}
            for name, value, reason in unfit
        ]
    return found


def missing_row(district: District, hour: str, **told: str) -> Row:
    """Return what ``missing/`` says of a district and an hour (ISO 8601): reason, noted_at, run_id."""
    return {**_place(district, hour), **told}


def _place(district: District, hour: str) -> Row:
    return {
        "forecast_at": hour,
        "district": district.name_ko,
        "district_en": district.name_en,
        "code": district.code,
    }


def _printable(text: str) -> str:
    """Return a text with what cannot be printed, or written as UTF-8, escaped: it must not tear the CSV."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def values_of(raw: Raw) -> Row | None:
    """Return what KMA said of the hour, by column; None where the raw answer cannot be read (any more)."""
    try:
        return values_at(items_of(raw), datetime.fromisoformat(raw.hour))
    except Exception as error:  # torn by a disk, edited, or kept by a version that read it otherwise
        log.warning(
            "the raw answer for cell %s at %s cannot be read: %s", raw.cell, raw.hour, type(error).__name__
        )
        return None


def items_of(raw: Raw) -> list[dict]:
    """Return the items of an answer that was kept: it was a forecast when it came."""
    return _kma.read_answer(200, raw.answer, datetime.fromisoformat(raw.base_at), raw.cell)


def values_at(items: Iterable[dict], hour: datetime) -> Row:
    """Return what KMA says of one hour (KST), as it wrote it, by column; empty where it says nothing."""
    wanted = (f"{hour:%Y%m%d}", f"{hour:%H%M}")
    return {
        _categories()[item["category"]]: _text(item.get("fcstValue"), item["category"])
        for item in items
        if item.get("category") in _categories()
        and (str(item.get("fcstDate")), str(item.get("fcstTime")).zfill(4)) == wanted
    }


def _text(value: object, category: str) -> str:
    """Return a value as text; a number that marks a missing value is none. No rainfall may be null."""
    if value is None:
        return "null" if category == "RN1" else ""
    text = str(value).strip()
    return "" if NUMBER.fullmatch(text) and abs(float(text)) >= MISSING_FROM else text


def fit(given: Row) -> tuple[Row, list[tuple[str, str, str]]]:
    """Return the values that may be written, and (column, value, reason) of those that may not.

    ``given`` has KMA's columns; words and numbers that follow from them are added.
    """
    unfit = []
    values = dict(given)
    for name, value in given.items():
        if reason := problem(name, value):
            unfit.append((name, value, reason))
            values[name] = ""
    for name in values:
        values[name] = _whole(values[name]) if _is_whole(name) else values[name]
    for name, (code, words) in WORDS.items():
        values[name] = words.get(values.get(code, ""), "")
    values["rain_1h_min_mm"], values["rain_1h_max_mm"] = "", ""
    if "rain_1h_text" in values and (text := values["rain_1h_text"]) != "":
        amount = rain_mm(text)
        reasons = [problem(name, mm) for name, mm in zip(RAIN, amount or (), strict=False)]
        if amount is None or any(reasons):
            reason = next(filter(None, reasons), "not one of KMA's ways to write rainfall")
            unfit.append(("rain_1h_text", text, reason))
            values["rain_1h_text"] = ""
        else:
            values["rain_1h_min_mm"], values["rain_1h_max_mm"] = amount
    return values, unfit


def problem(name: str, text: str) -> str:
    """Return why a text does not fit its column, or an empty text."""
    if text == "":
        return ""
    if not text.isprintable():
        return "has a character that cannot be printed"
    try:
        value = typed(name, text)
    except ValueError:
        return f"not a {'whole number' if _is_whole(name) else 'number'}"
    error = next(_validator(name).iter_errors(value), None)
    if error is None:
        return ""
    limits = {
        "minimum": "less than",
        "maximum": "more than",
        "enum": "not one of",
        "maxLength": "longer than",
    }
    return f"{limits.get(str(error.validator), error.message)} {error.validator_value}"


def typed(name: str, text: str) -> str | int | float | None:
    """Return a text of the CSV as the value that its column has; ValueError if it is none."""
    if text == "":
        return None
    number = _is_whole(name) or "number" in schema()[name].get("type", ())
    if number and not NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    if _is_whole(name):
        return int(_whole(text))
    return float(text) if number else text


def _is_whole(name: str) -> bool:
    kind = schema()[name]
    return kind.get("type") == "integer" or any(isinstance(value, int) for value in kind.get("enum", ()))


def _whole(text: str) -> str:
    """Return ``4.0`` as ``4``."""
    return re.sub(r"\.0+$", "", text)


@cache
def _validator(name: str) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(schema()[name])


def rain_mm(text: str) -> tuple[str, str] | None:
    """Return the (lowest, highest) rainfall in mm that a text of KMA's means; None if it is none of them.

    ``1mm 미만`` is 0 to 1, ``30.0~50.0mm`` is 30 to 50; ``50.0mm 이상`` has an empty second: no upper end.
    """
    if text.strip().lower() in NO_RAIN:
        return "0", "0"
    match = RAIN_TEXT.fullmatch(text.strip())
    if match is None:
        return None
    low, high, limit = match["low"], match["high"], match["limit"]
    if high is not None:
        return (low, high) if limit is None and float(low) <= float(high) else None
    return {"미만": ("0", low), "이상": (low, ""), None: (low, low)}[limit]
