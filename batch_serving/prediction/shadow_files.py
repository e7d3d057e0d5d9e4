"""The files of what contenders predicted: ``output/shadow/<model>/date=<day>.csv`` has that of a day's runs.

A row without a prediction is one that the contender could not predict. ``attempts/<version>/`` beside them
has a file for each run that a contender has begun with and not ended: a model that takes all memory ends the
process.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from batch_serving.shared.csv_rows import csv_bytes, sound_rows
from batch_serving.shared.files import (
    ChangedError,
    delete,
    locked,
    read_with_tag,
    write_atomic,
    write_if_unchanged,
)
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.reading import files_in
from batch_serving.shared.run_context import is_time, parse_time

if TYPE_CHECKING:
    from upath import UPath

    from batch_serving.prediction.places import PredictionRun

SHADOW_COLUMNS = ("run_id", "run_after", "row_id", "model_version", "prediction", "probability")
ROWS_A_DAY = 50_000  # more say little more of a contender
WRITE_TRIES = 20  # on object storage, where another run may have been first
LOCK_TIMEOUT_S = 10
GRACE_S = 60  # after the time of an attempt, the process has ended or written that it has ended

Row = dict[str, str]


def shadow_path(model: str, day: date) -> UPath:
    """Return the file of a day's predictions by contenders."""
    return output_path("shadow", model, f"date={day.isoformat()}.csv")


def shadow_rows(model: str, day: date) -> list[Row]:
    """Return what contenders predicted on a day, without rows that are corrupt."""
    return _rows_in(shadow_path(model, day))[0]


def is_wanted(run: PredictionRun) -> bool:
    """Return whether rows of a run are to be recorded: none are yet, and the day has few enough."""
    before, _ = _rows_in(shadow_path(run.model, run.day))
    return len(before) < ROWS_A_DAY and not any(row["run_id"] == run.run_id for row in before)


def write_shadow(run: PredictionRun, rows: list[list[Any]]) -> None:
    """Add the rows of a run to the file of its day; ChangedError if others are first each time."""
    path = shadow_path(run.model, run.day)
    new = [[run.run_id, run.run_after.isoformat(), *map(str, row)] for row in rows]
    for _ in range(WRITE_TRIES):
        with locked(path.parent, LOCK_TIMEOUT_S), contextlib.suppress(ChangedError):
            before, tag = _rows_in(path)
            others = [[*row.values()] for row in before if row["run_id"] != run.run_id]
            together = sorted([*others, *new], key=lambda row: (row[1], row[0]))
            write_if_unchanged(path, csv_bytes(SHADOW_COLUMNS, together), tag)
            return
    raise ChangedError(f"{path} was changed by another run, {WRITE_TRIES} times: the next run adds its own")


def _rows_in(path: UPath) -> tuple[list[Row], str]:
    """Return the rows of a file that can be read, and its tag."""
    return sound_rows(path, SHADOW_COLUMNS, lambda row: is_time(row["run_after"]))


class Attempts:
    """The attempts of a contender to predict: how many of them the process did not outlive.

    The file of a run has a line for each, with the time until which it may take. Of this run each line is one
    that ended the process, or another try would not have begun; of another run, one whose time is over.
    """

    def __init__(self, run: PredictionRun, version: str) -> None:
        """Read nothing yet."""
        self._folder = output_path("shadow", run.model, "attempts", safe_name(version))
        self._path = self._folder / safe_name(run.run_id)

    def killed(self, now: datetime) -> int:
        """Return how many attempts ended the process."""
        others = [path for path in files_in(self._folder, "") if path.name != self._path.name]
        over = [line for path in others for line in _lines(path) if not _is_after(line, now)]
        return len(_lines(self._path)) + len(over)

    def begin(self, now: datetime, seconds: float) -> None:
        """Note that an attempt begins, which takes so many seconds at most."""
        until = (now + timedelta(seconds=seconds + GRACE_S)).isoformat()
        self._write([*_lines(self._path), until])

    def confirm(self, now: datetime) -> None:
        """Let the attempts of this run count for all runs as of now."""
        if lines := _lines(self._path):
            self._write([now.isoformat()] * len(lines))

    def _write(self, lines: list[str]) -> None:
        write_atomic(self._path, "".join(f"{line}\n" for line in lines).encode())

    def end(self) -> None:
        """Note that the process has outlived the attempts of this run."""
        delete(self._path)


def _lines(path: UPath) -> list[str]:
    data, _ = read_with_tag(path)
    return (data or b"").decode("utf-8", "replace").split()


def _is_after(text: str, now: datetime) -> bool:
    return is_time(text) and parse_time(text) > now.astimezone(UTC)
