"""The files of predictions: one a run, closed days in one, written as they come and never half.

``output/predictions/<model>/date=…/<run>.csv``; once the day is over ``day=<date>.csv`` has all its runs.
Beside them, ``drift/<date>.csv`` says how far the day's rows have moved from those that were learnt from.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from callables import _drift
from callables._csv import csv_bytes
from callables._files import (
    ChangedError,
    is_local,
    locked,
    output_path,
    read_with_tag,
    remove_leftovers,
    safe_name,
    seal,
    tag_of,
    unseal,
    write_atomic,
    write_if_unchanged,
)

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

COLUMNS = ("run_id", "run_after", "model_version", "row_id", "prediction", "probability", "scored_at")
DRIFT_COLUMNS = ("date", "model_version", "feature", "rows", "psi", "alarm")
SharesOf = Callable[[str], dict[str, list[float]]]
DAY_COUNTS = "all=runs.json"  # no run_id can have this name
LOOK_BACK_DAYS = 7  # days with predictions that may still have to be closed


def path_of(model: str, day: date, run_id: str) -> UPath:
    """Return the file of one run."""
    return _day(model, day) / f"{safe_name(run_id)}.csv"


def _day(model: str, day: date) -> UPath:
    return output_path("predictions", model, f"date={day.isoformat()}")


_DAY = re.compile(r"date=\d{4}-\d\d-\d\d")
_SPECIAL = re.compile(r'[,"\r\n]')  # a value with one of these is quoted


@dataclass(frozen=True)
class Told:
    """What all rows of a run have in common."""

    run_id: str
    run_after: str
    model_version: str
    scored_at: str


def _closed(model: str, day: date) -> UPath:
    """Return the file of a closed day; no run_id can have its name, as no run's file has a ``=`` in it."""
    return _day(model, day) / f"day={day.isoformat()}.csv"


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
        csv.writer(self._file, lineterminator="\n").writerow(COLUMNS)

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
        csv.writer(self._file, lineterminator="\n").writerows(rows)

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
            before = _compare(_rows_in(self._temporary), written)
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
        yield from _rows_in(path)
        return
    closed = _closed(model, day)
    if closed.exists():
        yield from (row for row in _rows_in(closed) if row[0] == run_id)


def _rows_in(path: Path | UPath) -> Iterator[list[str]]:
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
    descriptor = os.open(Path(str(path)).parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def latest_rows(model: str, version: str, most: int) -> list[dict[str, str]]:
    """Return the newest rows that a version predicted, newest run first; none if it has none lately."""
    for day in reversed(_days(model)[-LOOK_BACK_DAYS:]):
        found = []
        for path in _day(model, day).glob("*.csv"):
            with contextlib.suppress(SpoiltError, FileNotFoundError):  # not whole, or closed meanwhile
                rows = (dict(zip(COLUMNS, row, strict=True)) for row in _rows_in(path))
                found += [row for row in rows if row["model_version"] == version]
        if found:
            return sorted(found, key=lambda row: row["run_after"], reverse=True)[:most]
    return []


# --- drift ---


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


def _summarise_drift(model: str, day: date, shares_of: SharesOf) -> bool:
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


# --- closing days ---


def close_days(model: str, today: date, written: date, shares_of: SharesOf) -> list[date]:
    """Put the runs of each day before ``today`` into one file; return the days that had any to be put.

    Looks at the last seven days that have predictions, and at the day just ``written`` if it was closed
    already: a run that was cleared. ``shares_of`` gives, for a version, each feature's shares in training.
    """
    before = [day for day in _days(model) if day < today and day != written]
    days = {*before[-LOOK_BACK_DAYS:], *([written] if _closed(model, written).exists() else [])}
    closed = []
    for day in sorted(days):
        done = [
            _keep_up(model, day, task) for task in (_close, partial(_summarise_drift, shares_of=shares_of))
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


def _days(model: str) -> list[date]:
    """Return the days that have predictions, oldest first."""
    root = output_path("predictions", model)
    days = []
    for path in root.iterdir() if root.exists() else ():
        with contextlib.suppress(ValueError):  # another folder
            name = path.name
            days += [date.fromisoformat(name.removeprefix("date="))] if _DAY.fullmatch(name) else []
    return sorted(days)


def place_of(model: str, day: date, run_id: str) -> UPath:
    """Return the file that has a run's rows now: its own, or that of its day."""
    path = path_of(model, day, run_id)
    return path if path.exists() else _closed(model, day)


def _close(model: str, day: date) -> bool:
    folder, target = _day(model, day), _closed(model, day)
    if not folder.exists():
        return False
    files = sorted((path for path in folder.glob("*.csv") if "=" not in path.name), key=str)
    if not files:
        return False
    parts: list[tuple[tuple[str, str], Path | UPath | list[list[str]]]] = []
    tags = {}
    for path in files:
        tag = tag_of(path)
        try:
            head = None  # and all others are read, to know that the file is whole
            for row in _rows_in(path):
                head = head or (row[1], row[0])
        except SpoiltError as error:
            log.warning("%s; it stays as it is: clear its run", error)
            continue
        parts += [(head, path)] if head else []
        tags[path] = tag
    if not tags:
        return False
    before = tag_of(target)
    runs = {run for (_, run), _ in parts}
    parts += [(key, rows) for key, rows in _runs_in(target).items() if key[1] not in runs]
    collected = RunFile(target)
    try:
        # In the order of their time, so that the same runs give the same file however often it is made.
        for _, part in sorted(parts, key=lambda one: one[0]):
            collected.add_rows(part if isinstance(part, list) else _rows_in(part))
        collected.publish(tag=before)
    finally:
        collected.discard()
    for path, tag in tags.items():
        if tag_of(path) == tag:  # a run that was cleared meanwhile has written it anew
            path.unlink(missing_ok=True)
    return True


def _runs_in(path: UPath) -> dict[tuple[str, str], list[list[str]]]:
    """Return the rows of a closed day by run: (run_after, run_id) → rows."""
    found: dict[tuple[str, str], list[list[str]]] = {}
    for row in _rows_in(path) if path.exists() else []:
        found.setdefault((row[1], row[0]), []).append(row)
    return found
