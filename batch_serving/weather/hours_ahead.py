"""The hours after the one that a run collects: KMA forecasts six with each answer, and the files keep one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from batch_serving.weather.districts import Cell, District
from batch_serving.weather.kma_errors import KmaError
from batch_serving.weather.raw_answers import UNREADABLE, RawAnswer, path_of, read
from batch_serving.weather.rows import WeatherRow, read_rows
from batch_serving.weather.runs import run_folder_of
from batch_serving.weather.values import items_of


def rows_ahead(row: Mapping[str, str], districts: Iterable[str]) -> list[WeatherRow]:
    """Return the hours after that of a district's row, from the raw answer that the row was made of.

    ``districts`` are the files that the row can be from. Nothing once that answer has been deleted, or if it
    cannot be read.
    """
    try:
        hour, cell = datetime.fromisoformat(row["forecast_at"]), Cell(int(row["nx"]), int(row["ny"]))
    except ValueError:  # an edited file
        return []
    district = District(row["district"], row["district_en"], row["code"], cell)
    for location in districts:
        raw = read(path_of(run_folder_of(location, hour, row["run_id"]), cell))
        if raw is not None and not raw.gone:
            later = (replace(raw, hour=each.isoformat()) for each in _hours_after(raw, hour))
            return [made for each in later for made in read_rows([each], [district]).rows]
    return []


def _hours_after(raw: RawAnswer, hour: datetime) -> list[datetime]:
    """Return the hours that an answer forecasts after one, none if it cannot be read."""
    try:
        texts = {f"{item.date}{item.time}" for item in items_of(raw)}
        hours = {datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=hour.tzinfo) for text in texts}
    except (KmaError, *UNREADABLE):  # a corrupt disk, or an edited file
        return []
    return sorted(each for each in hours if each > hour)
