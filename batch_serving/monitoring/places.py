"""Where the quality of predictions is: ``output/quality/<model>/date=…/``, by the day of the prediction."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

from batch_serving.prediction.places import days_of
from batch_serving.shared.files import locked
from batch_serving.shared.paths import output_path

if TYPE_CHECKING:
    from upath import UPath


def quality_folder(model: str) -> UPath:
    """Return the folder of a model."""
    return output_path("quality", model)


def labelled_path(model: str, day: date) -> UPath:
    """Return the file of a day's predictions with their labels."""
    return quality_folder(model) / f"date={day.isoformat()}" / "labelled.csv"


def measured_path(model: str, day: date) -> UPath:
    """Return the file of a day's metrics, by model version."""
    return quality_folder(model) / f"date={day.isoformat()}" / "quality.csv"


def days_in_window(model: str, cutoff: datetime, zone: tzinfo, window_days: int) -> list[date]:
    """Return the days with predictions from ``window_days`` before the cut-off until then, oldest first."""
    last = cutoff.astimezone(zone).date()
    return [day for day in days_of(model) if last - timedelta(days=window_days) <= day <= last]


def locked_quality(model: str) -> AbstractContextManager[None]:
    """Keep the other runs of a model out while files are replaced, on local disk."""
    return locked(quality_folder(model))
