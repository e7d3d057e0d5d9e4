"""The drift of each day, by model version and feature: ``output/predictions/<model>/drift/<date>.csv``.

Each run leaves the counts of its rows below ``drift/date=…/``. Once the day is over their sum takes their
place, for runs that come late.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

from callables import _drift
from callables._csv import csv_bytes
from callables._files import (
    output_path,
    read_with_tag,
    safe_name,
    seal,
    unseal,
    write_atomic,
    write_if_unchanged,
)

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

DRIFT_COLUMNS = ("date", "model_version", "feature", "rows", "psi", "alarm")
SharesOf = Callable[[str], dict[str, list[float]]]
DAY_COUNTS = "all=runs.json"  # no run_id can have this name


def write_counts(model: str, day: date, run_id: str, version: str, counts: dict[str, list[int]]) -> None:
    """Keep how many of a run's rows lie in each bin of each feature, until the day is closed."""
    folder = _counts_folder(model, day)
    if run_id in _day_counts(folder)[0]["runs"]:
        return
    path = folder / f"{safe_name(run_id)}.json"
    data = _compact({"run_id": run_id, "version": version, "counts": counts})
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def _counts_folder(model: str, day: date) -> UPath:
    return output_path("predictions", model, "drift", f"date={day.isoformat()}")


def _day_counts(folder: UPath) -> tuple[dict[str, Any], str]:
    """Return the counts of a closed day (the runs that are in them, and by version and feature) and a tag."""
    path = folder / DAY_COUNTS
    data, tag = read_with_tag(path)
    try:
        found = unseal(data) if data is not None else {"runs": [], "counts": {}}
        checked: dict[str, Any] = {"runs": [*found["runs"]], "counts": {}}
        for version, features in found["counts"].items():
            _add(checked, version, features)
        return checked, tag
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is spoilt (%s); the day's drift goes without the runs that it had", path, error)
        return {"runs": [], "counts": {}}, tag


def _add(known: dict[str, Any], version: str, features: dict[str, list[int]]) -> None:
    """Add counts to those of a version; ValueError or the like, and nothing added, where they are none."""
    before = known["counts"].get(version, {})
    after = {}
    for name, counts in features.items():
        old = before.get(name, [0] * len(counts))
        after[name] = [int(one) + int(other) for one, other in zip(old, counts, strict=True)]
    known["counts"][version] = {**before, **after}


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def summarise(model: str, day: date, shares_of: SharesOf) -> bool:
    """Write the day's drift by model version and feature, from the counts of all its runs.

    Returns whether there were any that the summary did not have.
    """
    folder = _counts_folder(model, day)
    files = [path for path in folder.glob("*.json") if path.name != DAY_COUNTS] if folder.exists() else []
    if not files:
        return False
    known, tag = _day_counts(folder)
    for path in sorted(files, key=str):
        try:
            run = json.loads(path.read_bytes())
            if run["run_id"] not in known["runs"]:
                _add(known, run["version"], run["counts"])
                known["runs"].append(run["run_id"])
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s has no counts; the day's drift goes without them", path)
    write_if_unchanged(folder / DAY_COUNTS, seal(known), tag)
    lines = []
    for version, features in sorted(known["counts"].items()):
        shares = shares_of(version)
        for name, counts in sorted(features.items()):
            if name not in shares:
                continue
            rows, value = sum(counts), _drift.psi(shares[name], counts)
            alarm = rows >= _drift.FEWEST_ROWS and value > _drift.ALARM_AT
            lines.append([day.isoformat(), version, name, rows, f"{value:.4f}", "yes" if alarm else "no"])
    write_atomic(_summary_path(model, day), csv_bytes(DRIFT_COLUMNS, lines))
    for path in files:  # last: whatever a kill leaves undone is done by the next run
        path.unlink(missing_ok=True)
    return True


def _summary_path(model: str, day: date) -> UPath:
    return output_path("predictions", model, "drift", f"{day.isoformat()}.csv")


def drifted(model: str, day: date) -> list[str]:
    """Return the features that a closed day's summary gives alarm for."""
    path = _summary_path(model, day)
    if not path.exists():
        return []
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    return [
        f"{row['feature']} (PSI {row['psi']}, {row['rows']} rows)" for row in rows if row["alarm"] == "yes"
    ]
