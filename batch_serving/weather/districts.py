"""The districts file: which district is in which cell of KMA's grid."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import read_whole

FOLDER_NAME = re.compile(r"[^\W_][\w .()'-]{0,99}")
RESERVED = ("raw", "unfinished", "missing", "quarantine", "latest.csv")  # names beside the districts' folders

# KMA's grid, a Lambert conformal conic projection, from the guide of dataset 15084084.
EARTH_RADIUS_KM = 6371.00877
CELL_KM = 5.0
PARALLELS_DEG = (30.0, 60.0)
ORIGIN_LATITUDE_DEG, ORIGIN_LONGITUDE_DEG = 38.0, 126.0
ORIGIN_NX, ORIGIN_NY = 43, 136
COLUMNS, ROWS = 149, 253


class DistrictsError(ValueError):
    """The districts file cannot be used; the text says why and what to do."""


class Cell(NamedTuple):
    """A cell of KMA's grid: ``nx`` counts from the west, ``ny`` from the south."""

    nx: int
    ny: int


@dataclass(frozen=True)
class District:
    """One line of the districts file."""

    name_ko: str
    name_en: str
    code: str
    cell: Cell


def cells_of(districts: list[District]) -> list[Cell]:
    """Return the grid cells of districts, each once, sorted: several districts share one."""
    return sorted({district.cell for district in districts})


def cell_of(latitude: float, longitude: float) -> Cell:
    """Return KMA's grid cell of a place in degrees; ValueError outside the grid.

    Snyder, Map Projections: A Working Manual (1987), p. 106, on a sphere; rounded half up, as KMA does.
    """
    outside = f"latitude {latitude}, longitude {longitude} is outside KMA's grid"
    if not (30 <= latitude <= 45 and 120 <= longitude <= 135):
        raise ValueError(f"{outside}; are they swapped?" if 30 <= longitude <= 45 else outside)

    def stretch(angle: float) -> float:
        return math.tan(math.pi / 4 + angle / 2)

    first, second = (math.radians(parallel) for parallel in PARALLELS_DEG)
    n = math.log(math.cos(first) / math.cos(second)) / math.log(stretch(second) / stretch(first))
    scale = EARTH_RADIUS_KM / CELL_KM * math.cos(first) * stretch(first) ** n / n
    radius = scale / stretch(math.radians(latitude)) ** n
    radius_at_origin = scale / stretch(math.radians(ORIGIN_LATITUDE_DEG)) ** n
    turn = n * math.radians(longitude - ORIGIN_LONGITUDE_DEG)
    nx = math.floor(radius * math.sin(turn) + ORIGIN_NX + 0.5)
    ny = math.floor(radius_at_origin - radius * math.cos(turn) + ORIGIN_NY + 0.5)
    if not (1 <= nx <= COLUMNS and 1 <= ny <= ROWS):
        raise ValueError(outside)
    return Cell(nx, ny)


def read_districts(location: str) -> list[District]:
    """Read a districts CSV: name_ko, name_en, code, and nx and ny or lat and lon (degrees).

    If a line has both, its cell is used: KMA's published table differs from the formula for some places.
    Raises DistrictsError, with the line number for a line.
    """
    reader = csv.DictReader(io.StringIO(_read_text(location)))
    _check_header(reader.fieldnames or (), location)
    districts = []
    for line in reader:
        if not _has_text(line):
            continue  # Excel leaves empty lines at the end
        try:
            districts.append(_parse_line(line))
        except ValueError as error:
            raise DistrictsError(f"districts file {location!r} line {reader.line_num}: {error}") from None
    if not districts:
        raise DistrictsError(f"districts file {location!r} has no districts; add at least one line")
    _check_unique("name_en", [district.name_en for district in districts], location)
    _check_unique("code", [district.code for district in districts], location)
    return districts


def _read_text(location: str) -> str:
    try:
        return read_whole(project_path(location)).decode("utf-8-sig")
    except FileNotFoundError:
        raise DistrictsError(f"districts file {location!r} does not exist; correct `districts`") from None
    except IsADirectoryError:
        raise DistrictsError(f"districts file {location!r} is a folder; name a file in it") from None
    except UnicodeDecodeError as error:
        raise DistrictsError(
            f"districts file {location!r} is not UTF-8; save it from Excel as 'CSV UTF-8'"
        ) from error


def _check_header(header: Sequence[str], location: str) -> None:
    missing = {"name_ko", "name_en", "code"} - {*header}
    if not {"nx", "ny"} <= {*header} and not {"lat", "lon"} <= {*header}:
        missing |= {"nx", "ny"} - {*header}
    if missing:
        names = ", ".join(sorted(missing))
        raise DistrictsError(f"districts file {location!r} lacks the columns {names}; add them")


def _check_unique(column: str, values: list[str], location: str) -> None:
    """Raise DistrictsError for a value that occurs twice; case and leading zeros do not count.

    Some disks ignore case, and spreadsheets drop leading zeros.
    """
    compared = [value.lower().lstrip("0") for value in values]
    twice = sorted({value for value in compared if compared.count(value) > 1})
    if twice:
        raise DistrictsError(
            f"districts file {location!r} has the {column} {', '.join(twice)} twice; each must be unique, "
            "for example Busan-Jung-gu for the second Jung-gu"
        )


def _has_text(line: dict[str, str]) -> bool:
    # What exceeds the header is a list.
    return any(value.strip() for value in line.values() if isinstance(value, str))


def _parse_line(line: dict[str, str]) -> District:
    def text(column: str) -> str:
        return (line.get(column) or "").strip()

    name_ko, name_en, code = text("name_ko"), text("name_en"), text("code")
    if not FOLDER_NAME.fullmatch(name_en) or name_en.lower() in RESERVED:
        raise ValueError(f"name_en {name_en!r} cannot be a folder name")
    if not (code.isascii() and code.isdigit() and len(code) <= 10):
        raise ValueError(f"code {code!r} is not a number of at most 10 digits")
    if not name_ko:
        raise ValueError("name_ko is empty")
    nx, ny = text("nx"), text("ny")
    cell = _parse_cell(nx, ny) if nx or ny else _cell_of_place(text("lat"), text("lon"))
    return District(name_ko, name_en, code, cell)


def _parse_cell(nx: str, ny: str) -> Cell:
    if not (nx.isdecimal() and ny.isdecimal()):
        raise ValueError(f"nx and ny must be whole numbers, got {nx!r} and {ny!r}")
    if not (1 <= int(nx) <= COLUMNS and 1 <= int(ny) <= ROWS):
        raise ValueError(f"nx {nx}, ny {ny} is outside KMA's grid of {COLUMNS} × {ROWS} cells")
    return Cell(int(nx), int(ny))


def _cell_of_place(latitude: str, longitude: str) -> Cell:
    if not latitude or not longitude:
        raise ValueError("the cell is missing; write nx and ny, or lat and lon")
    try:
        place = float(latitude), float(longitude)
    except ValueError:
        raise ValueError(f"lat and lon must be numbers, got {latitude!r} and {longitude!r}") from None
    return cell_of(*place)
