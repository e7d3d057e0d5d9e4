"""Closing days: once a day is over, one file has all its runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from callables import _day_drift
from callables._files import ChangedError, tag_of
from callables._prediction_files import (
    LOOK_BACK_DAYS,
    RunFile,
    SpoiltError,
    closed_path,
    days_of,
    folder_of,
    locked_for,
    rows_in,
)

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

Run = tuple[str, str]  # run_after, run_id
Part = tuple[Run, "UPath | list[list[str]]"]  # a run's file, or its rows


def close_days(model: str, today: date, written: date, shares_of: _day_drift.SharesOf) -> list[date]:
    """Put the runs of each day before ``today`` into one file; return the days that had any to be put.

    Looks at the last seven days that have predictions, and at the day just ``written`` if it was closed
    already: a run that was cleared. ``shares_of`` gives, for a version, each feature's shares in training.
    """
    before = [day for day in days_of(model) if day < today and day != written]
    days = {*before[-LOOK_BACK_DAYS:], *([written] if closed_path(model, written).exists() else [])}
    closed = []
    for day in sorted(days):
        done = [
            _keep_up(model, day, task)
            for task in (_close, partial(_day_drift.summarise, shares_of=shares_of))
        ]
        closed += [day] if any(done) else []
    return closed


def _keep_up(model: str, day: date, task: Callable[[str, date], bool]) -> bool:
    """Do one part of a day's upkeep, which must never fail a run of another day."""
    try:
        with locked_for(model):
            return task(model, day)
    except ChangedError:
        log.info("another run is closing %s", day)
    except Exception as error:
        log.warning("the upkeep of %s has to wait: %s", day, error)
    return False


def _close(model: str, day: date) -> bool:
    """Put the files of a day's runs into one; tell whether there were any."""
    target = closed_path(model, day)
    files = [path for path in folder_of(model, day).glob("*.csv") if "=" not in path.name]
    parts, tags = _whole_runs(sorted(files, key=str))
    if not tags:
        return False
    before = tag_of(target)
    runs = {run for (_, run), _ in parts}
    parts += [(key, rows) for key, rows in _runs_in(target).items() if key[1] not in runs]
    collected = RunFile(target)
    try:
        # In the order of their time, so that the same runs give the same file however often it is made.
        for _, part in sorted(parts, key=lambda one: one[0]):
            collected.add_rows(part if isinstance(part, list) else rows_in(part))
        collected.publish(tag=before)
    finally:
        collected.discard()
    for path, tag in tags.items():
        if tag_of(path) == tag:  # a run that was cleared meanwhile has written it anew
            path.unlink(missing_ok=True)
    return True


def _whole_runs(files: list[UPath]) -> tuple[list[Part], dict[UPath, str]]:
    """Return the runs that have rows, and the tag of each file that is whole."""
    parts: list[Part] = []
    tags = {}
    for path in files:
        tag = tag_of(path)
        try:
            head = None  # and all others are read, to know that the file is whole
            for row in rows_in(path):
                head = head or (row[1], row[0])
        except SpoiltError as error:
            log.warning("%s; it stays as it is: clear its run", error)
            continue
        parts += [(head, path)] if head else []
        tags[path] = tag
    return parts, tags


def _runs_in(path: UPath) -> dict[Run, list[list[str]]]:
    """Return the rows of a closed day by run."""
    found: dict[Run, list[list[str]]] = {}
    for row in rows_in(path) if path.exists() else []:
        found.setdefault((row[1], row[0]), []).append(row)
    return found
