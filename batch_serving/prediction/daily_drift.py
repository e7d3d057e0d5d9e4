"""The drift of each day, by model version and feature: ``output/predictions/<model>/drift/<date>.csv``.

Each run leaves the counts of its rows below ``drift/date=…/``. Once the day is over their sum replaces them,
and runs that come late are added to it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from batch_serving.ml import drift
from batch_serving.prediction.places import PredictionRun, locked_for
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import (
    ChangedError,
    delete,
    read_with_tag,
    remove_leftovers,
    seal,
    unseal,
    write_atomic,
    write_if_unchanged,
)
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.reading import files_in, read_whole

if TYPE_CHECKING:
    from upath import UPath

    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

DRIFT_COLUMNS = ("date", "model_version", "feature", "rows", "psi", "alarm")
DAY_COUNTS = "all=runs.json"  # a name that no run's file can have
INVALID = (ValueError, KeyError, TypeError, AttributeError)  # what a file with other content raises

Counts = dict[str, list[int]]  # rows in each bin, by feature


@dataclass
class _DayCounts:
    """The counts of a day, by model version and feature, and the runs that are in them."""

    runs: list[str] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)

    def add(self, version: str, features: Counts) -> None:
        """Add counts to those of a version; if they are not counts, add nothing and raise one of INVALID."""
        before = self.counts.get(version, {})
        after = {}
        for name, counts in features.items():
            old = before.get(name, [0] * len(counts))
            after[name] = [int(one) + int(other) for one, other in zip(old, counts, strict=True)]
        self.counts[version] = {**before, **after}


def write_counts(run: PredictionRun, version: str, counts: Counts) -> None:
    """Keep how many of a run's rows are in each bin of each feature, until its day is summarised."""
    folder = _counts_folder(run.model, run.day)
    if run.run_id in _read_day(folder)[0].runs:
        return
    path = folder / f"{safe_name(run.run_id)}.json"
    record = {"run_id": run.run_id, "version": version, "counts": counts}
    data = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if read_with_tag(path)[0] != data:
        write_atomic(path, data)


def _counts_folder(model: str, day: date) -> UPath:
    return output_path("predictions", model, "drift", f"date={day.isoformat()}")


def _read_day(folder: UPath) -> tuple[_DayCounts, str]:
    """Return the counts of a summarised day, and a tag for replacing them."""
    path = folder / DAY_COUNTS
    data, tag = read_with_tag(path)
    if data is None:
        return _DayCounts(), tag
    try:
        found = unseal(data)
        day = _DayCounts([*found["runs"]])
        for version, features in found["counts"].items():
            day.add(version, features)
    except INVALID as error:
        log.warning("%s is corrupt (%s); the day's drift is without the runs in it", path, error)
        return _DayCounts(), tag
    return day, tag


def summarise_day(store: ModelStore, day: date) -> list[str]:
    """Write the day's drift by model version and feature, if there are new counts of runs.

    Returns the features with an alarm. A kill at any moment loses no run, and counts none twice: the next
    call does what is left.
    """
    folder = _counts_folder(store.name, day)
    try:
        with locked_for(store.name):
            for place in (folder, folder.parent):
                remove_leftovers(place)
            return _summarise(store, day)
    except (ChangedError, FileNotFoundError):  # on object storage, where no lock keeps others out
        log.info("another run summarises the drift of %s", day)
        return []


def _summarise(store: ModelStore, day: date) -> list[str]:
    folder = _counts_folder(store.name, day)
    files = [path for path in files_in(folder, ".json") if path.name != DAY_COUNTS]
    if not files:
        return []
    known, tag = _read_day(folder)
    for path in sorted(files, key=str):
        try:
            run = json.loads(read_whole(path))
            if run["run_id"] not in known.runs:
                known.add(run["version"], run["counts"])
                known.runs.append(run["run_id"])
        except INVALID:
            log.warning("%s has no counts; the day's drift is without them", path)
    write_if_unchanged(folder / DAY_COUNTS, seal({"runs": known.runs, "counts": known.counts}), tag)
    lines = list(_drift_of(store, known))
    write_atomic(
        folder.parent / f"{day.isoformat()}.csv",
        csv_bytes(DRIFT_COLUMNS, [line.cells(day) for line in lines]),
    )
    for path in files:  # last, so that the next call does what a kill leaves undone
        delete(path)
    alarms = [f"{line.feature} (PSI {line.psi:.4f}, {line.rows} rows)" for line in lines if line.is_alarm]
    if alarms:
        log.warning("the rows of %s have drifted from the training rows: %s", day, ", ".join(alarms))
    return alarms


@dataclass(frozen=True)
class _FeatureDrift:
    """The drift of one feature on one day, for one model version."""

    version: str
    feature: str
    rows: int
    psi: float
    is_alarm: bool

    def cells(self, day: date) -> list[Any]:
        """Return the cells of DRIFT_COLUMNS."""
        alarm = "yes" if self.is_alarm else "no"
        return [day.isoformat(), self.version, self.feature, self.rows, f"{self.psi:.4f}", alarm]


def _drift_of(store: ModelStore, known: _DayCounts) -> Iterator[_FeatureDrift]:
    """Yield the drift of the features that the version's record has."""
    for version, features in sorted(known.counts.items()):
        bins = _training_bins(store, version)
        for name, counts in sorted(features.items()):
            if name in bins:
                psi = drift.psi(bins[name]["shares"], counts)
                alarm = drift.is_alarm(psi, counts, bins[name])
                yield _FeatureDrift(version, name, sum(counts), psi, alarm)


def _training_bins(store: ModelStore, version: str) -> dict[str, drift.Bins]:
    """Return each feature's bins with their shares of training rows; none if the version was pruned."""
    try:
        features = store.metadata(version)["features"]
    except ModelStoreError:
        return {}
    return {one["name"]: one["distribution"] for one in features if "distribution" in one}
