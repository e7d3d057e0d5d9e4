"""Districts: where each lies in KMA's grid."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass

from callables._files import project_path

NAME = re.compile(r"[^\W_][\w .()'-]{0,99}")
RESERVED = ("raw", "unfinished", "missing", "quarantine", "latest.csv")  # names beside the districts' folders
# KMA's grid: Lambert conformal conic, from the guide of dataset 15084084.
EARTH_RADIUS_KM = 6371.00877
CELL_KM = 5.0
PARALLELS_DEG = (30.0, 60.0)
ORIGIN_DEG = (38.0, 126.0)  # latitude, longitude
ORIGIN_CELL = (43, 136)
COLUMNS, ROWS = 149, 253


@dataclass(frozen=True)
class District:
    """One line of the districts file."""

    name_ko: str
    name_en: str
    code: str
    cell: tuple[int, int]


def cell_of(latitude: float, longitude: float) -> tuple[int, int]:
    """Return KMA's grid cell (nx, ny) of a place in degrees; ValueError outside the grid.

    Snyder, Map Projections: A Working Manual (1987), p. 106, on a sphere; rounded half up, as KMA does.
    """
    if not (30 <= latitude <= 45 and 120 <= longitude <= 135):
        hint = "; are they swapped?" if 30 <= longitude <= 45 else ""
        raise ValueError(f"latitude {latitude}, longitude {longitude} is outside KMA's grid{hint}")
    first, second, origin, at = (math.radians(value) for value in (*PARALLELS_DEG, ORIGIN_DEG[0], latitude))

    def stretch(angle: float) -> float:
        return math.tan(math.pi / 4 + angle / 2)

    n = math.log(math.cos(first) / math.cos(second)) / math.log(stretch(second) / stretch(first))
    scale = EARTH_RADIUS_KM / CELL_KM * math.cos(first) * stretch(first) ** n / n
    radius, radius_at_origin = scale / stretch(at) ** n, scale / stretch(origin) ** n
    turn = n * math.radians(longitude - ORIGIN_DEG[1])
    nx = math.floor(radius * math.sin(turn) + ORIGIN_CELL[0] + 0.5)
    ny = math.floor(radius_at_origin - radius * math.cos(turn) + ORIGIN_CELL[1] + 0.5)
    if not (1 <= nx <= COLUMNS and 1 <= ny <= ROWS):
        raise ValueError(f"latitude {latitude}, longitude {longitude} is outside KMA's grid")
    return nx, ny


def read_districts(location: str) -> list[District]:
    """Read a districts CSV: name_ko, name_en, code, and nx and ny or lat and lon (degrees).

    Where a line has both, its cell wins: KMA's published table differs from the formula for some places.
    Raises FileNotFoundError, or ValueError that names the line.
    """
    path = project_path(location)
    if not path.exists():
        raise FileNotFoundError(
            f"districts file {location!r} does not exist; correct `districts` in the YAML"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"districts file {location!r} is not UTF-8; save it as 'CSV UTF-8', as Excel calls it"
        ) from error
    reader = csv.DictReader(io.StringIO(text))
    given = set(reader.fieldnames or ())
    missing = {"name_ko", "name_en", "code"} - given
    if not {"nx", "ny"} <= given and not {"lat", "lon"} <= given:
        missing |= {"nx", "ny"} - given
    if missing:
        raise ValueError(f"districts file {location!r} lacks the columns {', '.join(sorted(missing))}")
    districts = []
    for line in reader:
        if not any((value or "").strip() for value in line.values() if not isinstance(value, list)):
            continue  # Excel leaves such lines behind
        try:
            districts.append(_district(line))
        except ValueError as error:
            raise ValueError(f"districts file {location!r} line {reader.line_num}: {error}") from None
    if not districts:
        raise ValueError(f"districts file {location!r} has no district")
    for name in ("name_en", "code"):
        # Without regard to case and leading zeros: disks and spreadsheets have none.
        seen = [getattr(district, name).lower().lstrip("0") for district in districts]
        if twice := sorted({value for value in seen if seen.count(value) > 1}):
            raise ValueError(
                f"districts file {location!r} has the {name} {', '.join(twice)} twice; each names a "
                "folder or a row of its own, so write Busan-Jung-gu for the second Jung-gu, say"
            )
    return districts


def _district(line: dict[str, str]) -> District:
    name, code = (line.get("name_en") or "").strip(), (line.get("code") or "").strip()
    if not NAME.fullmatch(name) or name.lower() in RESERVED:
        raise ValueError(f"name_en {name!r} cannot be a folder's name")
    if not (code.isascii() and code.isdigit() and len(code) <= 10):
        raise ValueError(f"code {code!r} is not a number of at most 10 digits")
    if not (line.get("name_ko") or "").strip():
        raise ValueError("name_ko is empty")
    return District(line["name_ko"].strip(), name, code, _cell(line))


def _cell(line: dict[str, str]) -> tuple[int, int]:
    nx, ny, latitude, longitude = ((line.get(key) or "").strip() for key in ("nx", "ny", "lat", "lon"))
    if nx or ny:
        if not (nx.isdecimal() and ny.isdecimal()):
            raise ValueError("nx and ny are whole numbers")
        if not (1 <= int(nx) <= COLUMNS and 1 <= int(ny) <= ROWS):
            raise ValueError(f"nx {nx}, ny {ny} is outside KMA's grid of {COLUMNS} × {ROWS} cells")
        return int(nx), int(ny)
    try:
        return cell_of(float(latitude), float(longitude))
    except ValueError as error:
        given = "neither nx and ny nor lat and lon are there" if not latitude or not longitude else str(error)
        raise ValueError(given) from None
