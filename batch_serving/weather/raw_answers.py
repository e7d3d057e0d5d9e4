"""The raw answers: one file for each run and grid cell, from which everything else can be rebuilt.

``output/weather/raw/<districts file>/date=<day of the hour>/<hour>-<run>/<nx>-<ny>.json.gz``
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from batch_serving.shared.files import delete, to_json, write_atomic
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import files_in, folders_in, read_whole
from batch_serving.weather.districts import Cell
from batch_serving.weather.runs import raw_folder_of

if TYPE_CHECKING:
    from upath import UPath

DAY_FOLDER = re.compile(r"date=(\d{4}-\d\d-\d\d)")
UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, zlib.error)


@dataclass(frozen=True)
class RawAnswer:
    """The answer for one grid cell as it came; or, if ``gone`` says why, a note that none can come."""

    hour: str  # ISO 8601, KST; the hour that the run forecasts
    cell: Cell
    source: str  # kma or sample
    run_id: str
    collected_at: str  # ISO 8601, KST
    base_at: str = ""  # ISO 8601, KST
    answer: str = ""
    gone: str = ""


def path_of(folder: UPath, cell: Cell) -> UPath:
    """Return the file of one grid cell in the folder of a run."""
    return folder / f"{cell.nx}-{cell.ny}.json.gz"


def write(folder: UPath, raw: RawAnswer) -> None:
    """Store the answer for a cell; the same content gives the same bytes."""
    write_atomic(path_of(folder, raw.cell), gzip.compress(to_json(asdict(raw)), mtime=0))


def read(path: UPath) -> RawAnswer | None:
    """Return the answer in a file; None if there is no file, or if it is corrupt."""
    try:
        content = json.loads(gzip.decompress(read_whole(path)))
        raw = RawAnswer(**{**content, "cell": Cell(*content["cell"])})
        datetime.fromisoformat(raw.collected_at)
        return raw
    except UNREADABLE:
        return None  # collected again


def read_run(folder: UPath) -> list[RawAnswer]:
    """Return the answers of a run, by cell."""
    raws = (read(path) for path in files_in(folder, ".json.gz"))
    return sorted((raw for raw in raws if raw is not None), key=lambda raw: raw.cell)


def time_of(raws: list[RawAnswer], hour: datetime) -> datetime | None:
    """Return when a run took place, from its answers alone; None if it has none.

    Not later than the hour that it forecasts: a run that is cleared days later counts for its own day.
    """
    return min([hour, *(datetime.fromisoformat(raw.collected_at) for raw in raws)]) if raws else None


def run_folders() -> Iterator[UPath]:
    """Yield the folders of all runs for all districts files, oldest day first."""
    days = [day for root in folders_in(output_path("weather", "raw")) for day in _days_in(root)]
    for day in sorted(days, key=lambda path: (path.name, str(path))):
        yield from sorted(folders_in(day), key=str)


def prune(districts: str, keep_days: int, today: date, keep: Collection[date]) -> list[str]:
    """Delete the days of a districts file that are more than ``keep_days`` before ``today``; return them.

    The days in ``keep`` stay.
    """
    first = (today - timedelta(days=keep_days)).isoformat()
    kept = {day.isoformat() for day in keep}
    deleted = []
    for path in _days_in(raw_folder_of(districts)):
        # Compared as text: a folder such as date=2026-99-99 is not a date, and compares as well.
        day = path.name.removeprefix("date=")
        if day < first and day not in kept:
            delete(path)
            deleted.append(day)
    return sorted(deleted)


def _days_in(root: UPath) -> list[UPath]:
    return [path for path in folders_in(root) if DAY_FOLDER.fullmatch(path.name)]
