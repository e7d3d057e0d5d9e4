"""Where predictions are: one file per run; once its day is compacted, one file per day.

``output/predictions/<model>/date=…/<run>.csv``, and then ``date=…/day=<date>.csv``.
"""

from __future__ import annotations

import contextlib
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from batch_serving.shared.files import locked
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.reading import entries, exists

if TYPE_CHECKING:
    from upath import UPath

LOOK_BACK_DAYS = 7  # days with predictions that may still have to be compacted
_DAY = re.compile(r"date=\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class PredictionRun:
    """A run that predicts with a model; ``day`` is its day in the pipeline's time zone."""

    model: str
    run_id: str
    run_after: datetime
    day: date

    @property
    def path(self) -> UPath:
        """The run's own file."""
        return folder_of(self.model, self.day) / f"{safe_name(self.run_id)}.csv"

    @property
    def current_path(self) -> UPath:
        """The file that has the run's rows now: its own, or that of its day."""
        return self.path if exists(self.path) else compacted_path(self.model, self.day)


def folder_of(model: str, day: date) -> UPath:
    """Return the folder of a day."""
    return output_path("predictions", model, f"date={day.isoformat()}")


def compacted_path(model: str, day: date) -> UPath:
    """Return the file of a compacted day; no run's file can have this name, as none has a ``=`` in it."""
    return folder_of(model, day) / f"day={day.isoformat()}.csv"


def days_of(model: str) -> list[date]:
    """Return the days that have predictions, oldest first."""
    days = []
    for entry in entries(output_path("predictions", model)):
        if _DAY.fullmatch(entry.name):
            with contextlib.suppress(ValueError):  # such as February 30
                days.append(date.fromisoformat(entry.name.removeprefix("date=")))
    return sorted(days)


def days_to_maintain(model: str, today: date, run_day: date) -> list[date]:
    """Return the days whose upkeep may be due: the last ones before ``today``, oldest first.

    ``run_day`` is among them if it is compacted already: then the run was cleared. Otherwise more of its runs
    may follow, and a later run compacts it; but not if it is too old for that, as a backfill's may be.
    """
    over = [day for day in days_of(model) if day < today]
    days = set([day for day in over if day != run_day][-LOOK_BACK_DAYS:])
    if run_day in over[:-LOOK_BACK_DAYS] or exists(compacted_path(model, run_day)):
        days.add(run_day)
    return sorted(days)


def locked_for(model: str) -> AbstractContextManager[None]:
    """Keep the other runs of a model out while files are replaced, on local disk."""
    return locked(output_path("predictions", model))
