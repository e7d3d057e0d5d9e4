"""The files of predictions: one a run, closed days in one, written as they come and never half.

``output/predictions/<model>/date=…/<run>.csv``; once the day is over ``day=<date>.csv`` has all its runs.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from callables._csv import write_rows
from callables._files import (
    is_local,
    locked,
    output_path,
    remove_leftovers,
    safe_name,
    sync_folder,
    write_if_unchanged,
)

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

COLUMNS = ("run_id", "run_after", "model_version", "row_id", "prediction", "probability", "scored_at")
LOOK_BACK_DAYS = 7  # days with predictions that may still have to be closed
_DAY = re.compile(r"date=\d{4}-\d\d-\d\d")
_SPECIAL = re.compile(r'[,"\r\n]')  # a value with one of these is quoted


def path_of(model: str, day: date, run_id: str) -> UPath:
    """Return the file of one run."""
    return folder_of(model, day) / f"{safe_name(run_id)}.csv"


def folder_of(model: str, day: date) -> UPath:
    """Return the folder of a day."""
    return output_path("predictions", model, f"date={day.isoformat()}")


def closed_path(model: str, day: date) -> UPath:
    """Return the file of a closed day; no run_id can have its name, as no run's file has a ``=`` in it."""
    return folder_of(model, day) / f"day={day.isoformat()}.csv"


def place_of(model: str, day: date, run_id: str) -> UPath:
    """Return the file that has a run's rows now: its own, or that of its day."""
    path = path_of(model, day, run_id)
    return path if path.exists() else closed_path(model, day)


@dataclass(frozen=True)
class Told:
    """What all rows of a run have in common."""

    run_id: str
    run_after: str
    model_version: str
    scored_at: str


class RunFile:
    """Collects a run's rows in a temporary file, which then takes its place at once."""

    def __init__(self, path: UPath) -> None:
        """Open the temporary file: beside the target on local disk, elsewhere in the machine's own folder."""
        self.path = path
        self.rows = 0
        folder = Path(str(path.parent)) if is_local(path) else Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder) if is_local(path) else None
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder)
        self._temporary = Path(name)
        self._file: TextIO = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
        write_rows(self._file, [COLUMNS])

    def add(self, told: Told, ids: list[str], predictions: list, probabilities: list | None) -> None:
        """Add rows of one run: the id, the prediction and, where there is one, the probability of each."""
        shares = itertools.repeat("") if probabilities is None else probabilities
        before, after = (told.run_id, told.run_after, told.model_version), (told.scored_at,)
        if _SPECIAL.search("".join([*before, *after, *ids, *map(str, {*predictions})])):
            rows = ([*before, *row, *after] for row in zip(ids, predictions, shares, strict=False))
            self.add_rows(rows)
        else:
            # Three times as fast as pandas or the csv module, which look at each value.
            head, tail = ",".join(before), f"{told.scored_at}\n"
            self._file.write(
                "".join(
                    [
                        f"{head},{i},{p},{share},{tail}"
                        for i, p, share in zip(ids, predictions, shares, strict=False)
                    ]
                )
            )
        self.rows += len(ids)

    def add_rows(self, rows: Iterable[list]) -> None:
        """Add whole rows."""
        write_rows(self._file, rows)

    def publish(
        self,
        *,
        written: Iterable[list[str]] = (),
        same_rows: bool = False,
        first: Callable[[], None] = lambda: None,
        tag: str | None = None,
    ) -> None:
        """Put the file in its place, unless it says what is ``written``, but for when rows were scored.

        ``written`` are the rows that the run had before. Others in their place are told in the log; with
        ``same_rows`` they raise ValueError, and what is written stays. ``first`` is called before the file is
        there; what it raises keeps it away. With ``tag`` only the file of that tag is replaced, else
        ChangedError.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            before = _compare(rows_in(self._temporary), written)
        except SpoiltError as error:
            log.warning("%s; this run's rows are written anew", error)
            before = "spoilt"
        if before == "other rows" and same_rows:
            raise ValueError(
                f"{self.path.name}: this run has predicted other rows before; these stay, as nobody knows "
                "any more which rows were new then"
            )
        if before == "other rows":
            log.warning(
                "%s had other rows, which these replace; if another task wrote them, give each a run_id of "
                'its own: "{{ dag.dag_id }}.{{ ti.task_id }}.{{ run_id }}"',
                self.path.name,
            )
        first()
        if before == "same":
            self._temporary.unlink()
        else:
            _place(self._temporary, self.path, tag)

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class SpoiltError(ValueError):
    """A file is not what this module has written."""


def locked_for(model: str) -> AbstractContextManager[None]:
    """Keep the other runs of a model out while files are put in their place, on local disk."""
    return locked(output_path("predictions", model))


def written_rows(model: str, day: date, run_id: str) -> Iterator[list[str]]:
    """Yield the rows that a run has written already, wherever they are now."""
    path = path_of(model, day, run_id)
    if path.exists():
        yield from rows_in(path)
        return
    closed = closed_path(model, day)
    if closed.exists():
        yield from (row for row in rows_in(closed) if row[0] == run_id)


def rows_in(path: Path | UPath) -> Iterator[list[str]]:
    """Yield the rows of a file; SpoiltError at the first that is none."""
    try:
        with path.open("r", encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            if next(lines, None) != list(COLUMNS):
                raise SpoiltError(f"{path} is spoilt: its first line is not that of predictions")
            for row in lines:
                if len(row) != len(COLUMNS):
                    raise SpoiltError(f"{path} is spoilt: line {lines.line_num} has {len(row)} fields")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpoiltError(f"{path} is spoilt: {error}") from None


def _compare(new: Iterable[list[str]], old: Iterable[list[str]]) -> str:
    """Tell what old rows are beside new ones: ``none``, the ``same`` but for their last column, or ``other``.

    ``other rows`` have other ids; of ``other`` ones the version, say, is another.
    """
    pairs = itertools.zip_longest(new, old)
    found, place = "none", COLUMNS.index("row_id")
    for row, before in pairs:
        if before is None and found == "none":
            return "none"
        if row is None or before is None or row[place] != before[place]:
            return "other rows"
        if row[:-1] != before[:-1]:
            found = "other"
        elif found == "none":
            found = "same"
    return found


def _place(temporary: Path, path: UPath, tag: str | None) -> None:
    """Move a complete temporary file to where it belongs, in one step."""
    if not is_local(path):
        if tag is None:
            path.fs.put_file(str(temporary), path.path)
        else:
            write_if_unchanged(path, temporary, tag)
        temporary.unlink()
        return
    temporary.chmod(0o644)
    temporary.replace(str(path))
    sync_folder(Path(str(path)).parent)


def days_of(model: str) -> list[date]:
    """Return the days that have predictions, oldest first."""
    root = output_path("predictions", model)
    days = []
    for path in root.iterdir() if root.exists() else ():
        with contextlib.suppress(ValueError):  # another folder
            name = path.name
            days += [date.fromisoformat(name.removeprefix("date="))] if _DAY.fullmatch(name) else []
    return sorted(days)


def latest_rows(model: str, version: str, most: int) -> list[dict[str, str]]:
    """Return the newest rows that a version predicted, newest run first; none if it has none lately."""
    for day in reversed(days_of(model)[-LOOK_BACK_DAYS:]):
        found = []
        for path in folder_of(model, day).glob("*.csv"):
            with contextlib.suppress(SpoiltError, FileNotFoundError):  # not whole, or closed meanwhile
                rows = (dict(zip(COLUMNS, row, strict=True)) for row in rows_in(path))
                found += [row for row in rows if row["model_version"] == version]
        if found:
            return sorted(found, key=lambda row: row["run_after"], reverse=True)[:most]
    return []
