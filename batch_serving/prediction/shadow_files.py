"""The files of what contenders predicted: ``output/shadow/<model>/date=<day>.csv`` has that of a day's runs.

A row without a prediction is one that the contender could not predict. ``attempts/`` beside them has a file
for each run that a contender has begun with and not ended: a model that takes all memory ends the process.
"""

from __future__ import annotations

import contextlib
import csv
import io
import logging
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import (
    ChangedError,
    delete,
    locked,
    read_with_tag,
    write_atomic,
    write_if_unchanged,
)
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.run_context import is_time

if TYPE_CHECKING:
    from upath import UPath

    from batch_serving.prediction.places import PredictionRun

log = logging.getLogger(__name__)

SHADOW_COLUMNS = ("run_id", "run_after", "row_id", "model_version", "prediction", "probability")
ROWS_A_DAY = 50_000  # more say little more of a contender
WRITE_TRIES = 20  # on object storage, where another run may have been first


def shadow_path(model: str, day: date) -> UPath:
    """Return the file of a day's predictions by contenders."""
    return output_path("shadow", model, f"date={day.isoformat()}.csv")


def shadow_rows(model: str, day: date) -> list[dict[str, str]]:
    """Return what contenders predicted on a day, without rows that are corrupt."""
    return [dict(zip(SHADOW_COLUMNS, row, strict=True)) for row in _rows_in(shadow_path(model, day))[0]]


def is_wanted(run: PredictionRun) -> bool:
    """Return whether rows of a run are to be recorded: none are yet, and the day has few enough."""
    before, _ = _rows_in(shadow_path(run.model, run.day))
    return len(before) < ROWS_A_DAY and not any(row[0] == run.run_id for row in before)


def write_shadow(run: PredictionRun, rows: list[list[Any]]) -> None:
    """Add the rows of a run to the file of its day; ChangedError if others are first each time."""
    path = shadow_path(run.model, run.day)
    new = [[run.run_id, run.run_after.isoformat(), *map(str, row)] for row in rows]
    for _ in range(WRITE_TRIES):
        with locked(path.parent), contextlib.suppress(ChangedError):
            before, tag = _rows_in(path)
            others = [row for row in before if row[0] != run.run_id]
            together = sorted([*others, *new], key=lambda row: (row[1], row[0]))
            write_if_unchanged(path, csv_bytes(SHADOW_COLUMNS, together), tag)
            return
    raise ChangedError(f"{path} was changed by another run, {WRITE_TRIES} times: the next run adds its own")


def _rows_in(path: UPath) -> tuple[list[list[str]], str]:
    """Return the rows of a file that can be read, and its tag."""
    data, tag = read_with_tag(path)
    if data is None:
        return [], tag
    lines: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        lines += csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline=""))
    rows = lines[1:] if lines[:1] == [list(SHADOW_COLUMNS)] else []
    sound = [row for row in rows if len(row) == len(SHADOW_COLUMNS) and is_time(row[1])]
    if not lines or len(sound) < len(lines) - 1:
        log.warning("%s is corrupt: %d of %d rows can be read", path, len(sound), len(lines) - 1)
    return sound, tag


def attempt(run: PredictionRun, predict: Callable[[int], list[list[Any]]]) -> list[list[Any]]:
    """Return what ``predict`` returns, called with how many attempts the process did not outlive."""
    path = output_path("shadow", run.model, "attempts", safe_name(run.run_id))
    killed = len(read_with_tag(path)[0] or b"")
    write_atomic(path, b"." * (killed + 1))
    try:
        return predict(killed)
    finally:
        delete(path)
