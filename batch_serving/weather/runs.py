"""A run of the weather pipeline: which hour it forecasts, and where its raw answers are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.run_context import parse_time
from batch_serving.weather.kma_bases import target_hour

if TYPE_CHECKING:
    from upath import UPath


@dataclass(frozen=True)
class Run:
    """What one run collects: the hour after ``run_after`` (ISO 8601) for a districts file."""

    run_id: str
    run_after: str
    districts: str

    @property
    def due_at(self) -> datetime:
        """When the run was due."""
        return parse_time(self.run_after)

    @property
    def hour(self) -> datetime:
        """The hour that it forecasts, KST."""
        return target_hour(self.due_at)

    @property
    def folder(self) -> UPath:
        """Where its raw answers are."""
        return run_folder_of(self.districts, self.hour, self.run_id)


def run_folder_of(districts: str, hour: datetime, run_id: str) -> UPath:
    """Return the folder with the raw answers of the run that forecasts an hour (KST)."""
    return raw_folder_of(districts) / f"date={hour:%Y-%m-%d}" / f"{hour:%H}-{safe_name(run_id)}"


def raw_folder_of(districts: str) -> UPath:
    """Return the folder with the raw answers of all runs for a districts file."""
    return output_path("weather", "raw", safe_name(districts))
