"""From forecast items to rows, and from rows to one CSV per district and month, the newest row winning."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from callables._csv import csv_bytes
from callables._files import is_local, output_path, project_path, write_atomic

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from upath import UPath

# Values stay text as they came; an empty cell is a value that the service did not give.
COLUMNS = (
    "forecast_at",  # the hour that is forecast, ISO 8601 with +09:00
    "district",
    "district_en",
    "code",  # of the administrative district, 10 digits
    "temperature_c",
    "sky_code",
    "sky",
    "precipitation_code",
    "precipitation",
    "rain_1h_text",  # as KMA wrote it
    "rain_1h_min_mm",
    "rain_1h_max_mm",  # empty: no upper end
    "humidity_percent",
    "wind_east_mps",
    "wind_north_mps",
    "wind_direction_deg",
    "wind_speed_mps",
    "lightning_ka_per_km2",
    "nx",
    "ny",
    "base_at",  # when the forecast was made
    "collected_at",
    "source",  # kma or sample
    "run_id",
)
CATEGORIES = {
    "T1H": "temperature_c",
    "SKY": "sky_code",
    "PTY": "precipitation_code",
    "RN1": "rain_1h_text",
    "REH": "humidity_percent",
    "UUU": "wind_east_mps",
    "VVV": "wind_north_mps",
    "VEC": "wind_direction_deg",
    "WSD": "wind_speed_mps",
    "LGT": "lightning_ka_per_km2",
}
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
NO_RAIN = ("강수없음", "-", "", "0", "none", "null")
MISSING_FROM = 900.0  # KMA marks a missing value by a number ≥ 900 or ≤ −900
ENCODING = "utf-8-sig"  # Excel reads Korean only with the mark
LOCK_TIMEOUT_S = 60


@dataclass(frozen=True)
class District:
    """One line of the districts file."""

    name_ko: str
    name_en: str
    code: str
    cell: tuple[int, int]


def read_districts(location: str) -> list[District]:
    """Read a districts CSV: name_ko, name_en, code, nx, ny. Raises FileNotFoundError or ValueError."""
    path = project_path(location)
    if not path.exists():
        raise FileNotFoundError(
            f"districts file {location!r} does not exist; correct `districts` in the YAML"
        )
    reader = csv.DictReader(io.StringIO(path.read_text(encoding=ENCODING)))
    needed = {"name_ko", "name_en", "code", "nx", "ny"}
    if missing := needed - set(reader.fieldnames or ()):
        raise ValueError(f"districts file {location!r} lacks the columns {', '.join(sorted(missing))}")
    try:
        districts = [
            District(line["name_ko"], line["name_en"], line["code"], (int(line["nx"]), int(line["ny"])))
            for line in reader
        ]
    except ValueError as error:
        raise ValueError(
            f"districts file {location!r} line {reader.line_num}: nx and ny are whole numbers"
        ) from error
    for name in ("name_en", "code"):
        seen = [getattr(district, name) for district in districts]
        if twice := sorted({value for value in seen if seen.count(value) > 1}):
            raise ValueError(
                f"districts file {location!r} has the {name} {', '.join(twice)} twice; each names a "
                "folder or a row of its own, so write Busan-Jung-gu for the second Jung-gu, say"
            )
    return districts


def forecast_values(items: list[dict], hour: datetime) -> dict[str, str]:
    """Return the values for one hour (KST) by column; empty where there is no such hour in ``items``."""
    wanted = (f"{hour:%Y%m%d}", f"{hour:%H%M}")
    found = {
        CATEGORIES[item["category"]]: item.get("fcstValue")
        for item in items
        if item.get("category") in CATEGORIES
        and (str(item.get("fcstDate")), str(item.get("fcstTime")).zfill(4)) == wanted
    }
    if not found:
        return {}
    values = {name: _text(value) for name, value in found.items()}
    low, high = _rain(found.get("rain_1h_text", MISSING_FROM))
    return {
        **values,
        "sky": SKY.get(values.get("sky_code", ""), ""),
        "precipitation": PRECIPITATION.get(values.get("precipitation_code", ""), ""),
        "rain_1h_min_mm": low,
        "rain_1h_max_mm": high,
    }


def _text(value: object) -> str:
    text = "" if value is None else str(value).strip()
    try:
        return "" if abs(float(text)) >= MISSING_FROM else text
    except ValueError:
        return text


def _rain(value: object) -> tuple[str, str]:
    """Return the rainfall of an RN1 value as it came; an empty one means none, a missing one is unknown."""
    text = _text(value)
    return ("", "") if text == "" and value not in (None, "") else rain_mm(text)


def rain_mm(text: str) -> tuple[str, str]:
    """Return the (lowest, highest) rainfall in mm that a text of KMA's means; empty where it sets none.

    ``1mm 미만`` is 0 to 1, ``30.0~50.0mm`` is 30 to 50, ``50.0mm 이상`` has no upper end.
    """
    if text.strip().lower() in NO_RAIN:
        return "0", "0"
    numbers = re.findall(r"\d+(?:\.\d+)?", text)
    match numbers, "미만" in text, "이상" in text:
        case [high], True, False:
            return "0", high
        case [low], False, True:
            return low, ""
        case [value], False, False:
            return value, value
        case [low, high], False, False:
            return low, high
    return "", ""


def upsert(rows: Iterable[dict[str, str]]) -> list[str]:
    """Merge rows into ``output/weather/<district>/<YYYY-MM>.csv`` and ``latest.csv``; return the files.

    For a district and hour the row of the newest base wins, then the one collected last, in whatever order
    rows come. Each file is replaced as a whole, under a lock.
    """
    folder = output_path("weather")
    months: dict[UPath, list[dict[str, str]]] = {}
    newest: list[dict[str, str]] = []
    for row in rows:
        path = folder / row["district_en"] / f"{row['forecast_at'][:7]}.csv"
        months.setdefault(path, []).append(row)
        newest.append(row)
    with _locked(folder):
        for path, fresh in months.items():
            _replace(path, _merge([*_read(path), *fresh], ("forecast_at",)))
        latest = folder / "latest.csv"
        hours = sorted([*_read(latest), *newest], key=lambda row: row["forecast_at"])
        last = {row["code"]: row["forecast_at"] for row in hours}
        current = [row for row in hours if row["forecast_at"] == last[row["code"]]]
        _replace(latest, _merge(current, ("code",)))
    return [*map(str, months), str(latest)]


def _merge(rows: list[dict[str, str]], key: tuple[str, ...]) -> list[dict[str, str]]:
    by_age = sorted(rows, key=lambda row: (row["base_at"], row["collected_at"]))
    merged = {tuple(row[name] for name in key): row for row in by_age}
    return [merged[found] for found in sorted(merged)]


def _read(path: UPath) -> list[dict[str, str]]:
    if not path.exists():
        return []
    return list(csv.DictReader(io.StringIO(path.read_text(encoding=ENCODING))))


def _replace(path: UPath, rows: list[dict[str, str]]) -> None:
    lines = ([row.get(name, "") for name in COLUMNS] for row in rows)
    data = csv_bytes(COLUMNS, lines, encoding=ENCODING)
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def _locked(folder: UPath) -> AbstractContextManager:
    from contextlib import nullcontext

    if not is_local(folder):
        return nullcontext()
    from filelock import FileLock

    Path(str(folder)).mkdir(parents=True, exist_ok=True)
    return FileLock(str(folder / ".lock"), timeout=LOCK_TIMEOUT_S)
