"""Rows that are pictures: the digits of the dataset that a pipeline predicts, as the page draws them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from math import isqrt

from batch_page.pipelines import pipelines
from batch_page.queries import UnavailableError
from batch_page.view import QUERIES, REMEMBERED
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import identity_of, read_whole

MOST_BYTES = 20_000_000
MOST_SIDE = 32
PIXEL = "pixel"


@dataclass(frozen=True)
class Picture:
    """A square of so many pixels a side, and those that are not blank: place, and how dark (0 to 1)."""

    side: int
    pixels: list[tuple[int, int, str]]


def picture_of(model: str, row_id: str) -> Picture | None:
    """Return the picture of a row, if the rows that this model predicts are pictures."""
    dataset = next((one.names_rows for one in pipelines() if model in one.models and one.names_rows), "")
    if not dataset:
        return None
    try:
        pixels = QUERIES.answer(("pictures", dataset), lambda: _pictures(dataset)).get(row_id)
    except (UnavailableError, FileNotFoundError):
        return None
    return _squares(pixels) if pixels else None


def _pictures(dataset: str) -> dict[str, list[float]]:
    path = project_path(dataset)
    return REMEMBERED.get(("pictures", dataset), identity_of(path), lambda: _read(read_whole(path)))


def _read(data: bytes) -> dict[str, list[float]]:
    """Return the pixels of each row by its id: columns that are called pixel…, a square number of them."""
    if len(data) > MOST_BYTES:
        return {}
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline=""))
    header = next(rows, [])
    places = [place for place, name in enumerate(header) if name.startswith(PIXEL)]
    side = isqrt(len(places))
    if not 4 <= side <= MOST_SIDE or side * side != len(places) or "row_id" not in header:
        return {}
    own = header.index("row_id")
    found = {}
    for row in rows:
        try:
            found[row[own]] = [float(row[place]) for place in places]
        except (IndexError, ValueError):
            continue
    return found


def _squares(pixels: list[float]) -> Picture:
    side, most = isqrt(len(pixels)), max(pixels) or 1
    found = [
        (place % side, place // side, f"{value / most:.2f}")
        for place, value in enumerate(pixels)
        if value > 0
    ]
    return Picture(side, found)
