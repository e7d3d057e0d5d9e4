"""The weather's CSVs: one for each district and month, with the newest forecast of each hour; ``latest.csv``.

Beside them, by month as well, the values that do not fit their column (``quarantine/``) and the hours that a
district does not have (``missing/``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import delete, locked, read_with_tag, remove_leftovers, write_atomic
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import exists, files_below, read_whole
from batch_serving.weather.rows import Batch, MissingRow, QuarantineRow, WeatherRow

if TYPE_CHECKING:
    from upath import UPath

ENCODING = "utf-8-sig"  # Excel reads Korean only with the mark
LOCK_TIMEOUT_S = 300

Row = TypeVar("Row", WeatherRow, QuarantineRow, MissingRow)


class CorruptCsvError(ValueError):
    """A CSV that cannot be read; the text says which, and what to do."""


def latest_path() -> UPath:
    """Return the file of the newest row of each district."""
    return output_path("weather", "latest.csv")


def set_corrupt_aside() -> list[str]:
    """Rename CSVs that cannot be read, so that they can be rebuilt; return their new names."""
    root = output_path("weather")
    renamed = []
    with locked(root, LOCK_TIMEOUT_S):
        for path in files_below(root, ".csv"):
            try:
                _lines_in(path)
            except CorruptCsvError:
                aside = path.with_name(f"{path.name}.corrupt")
                write_atomic(aside, read_whole(path))
                delete(path)
                renamed.append(str(aside))
    return renamed


def upsert(batch: Batch) -> list[str]:
    """Merge a batch into the CSVs and return the files of weather rows.

    For a district and hour the row of the newest base is kept, then the one that was collected last, in
    whatever order they arrive. Each file is replaced as a whole, under a lock; what a kill interrupts, the
    next call completes. Object storage has no lock: ``max_active_tis_per_dag`` in the YAML allows one writer.
    """
    root = output_path("weather")
    with locked(root, LOCK_TIMEOUT_S):
        months = _by_month(batch.rows, lambda row: root / row.district_en)
        for path, rows in months.items():
            _replace(path, WeatherRow, newest([*_read(path, WeatherRow), *rows]))
        latest = latest_path()
        _update_latest(latest, batch.rows)
        _update_quarantine(root / "quarantine", batch.quarantine)
        _update_missing(root, batch)
    return [str(path) for path in (*months, latest)]


def newest(rows: Iterable[WeatherRow]) -> list[WeatherRow]:
    """Return the newest row of each hour and district, sorted by both."""
    merged = {_hour_of(row): row for row in sorted(rows, key=lambda row: row.age)}
    return [merged[key] for key in sorted(merged)]


def _hour_of(row: WeatherRow | MissingRow) -> tuple[str, str]:
    """Return what identifies a row: its hour and its district."""
    return row.forecast_at, row.code


def _update_latest(path: UPath, rows: list[WeatherRow]) -> None:
    """Keep the last hour of each district, and of that the newest row."""
    candidates = sorted([*_read(path, WeatherRow), *rows], key=lambda row: (row.forecast_at, row.age))
    last = {row.code: row for row in candidates}
    if last:
        _replace(path, WeatherRow, [last[code] for code in sorted(last)])


def _update_quarantine(folder: UPath, rows: list[QuarantineRow]) -> None:
    for path, added in _by_month(rows, lambda _: folder).items():
        _replace(path, QuarantineRow, sorted({*_read(path, QuarantineRow), *added}))


def _update_missing(root: UPath, batch: Batch) -> None:
    """Add the hours that are missing, and remove those that have arrived since."""
    folder = root / "missing"
    added = _by_month(batch.missing, lambda _: folder)
    arrived = _by_month(batch.rows, lambda _: folder)
    for path in [*added, *(path for path in arrived if path not in added and exists(path))]:
        rows = [*arrived.get(path, [])]
        for district in {row.district_en for row in added.get(path, [])}:
            rows += _read(root / district / path.name, WeatherRow)
        present = {_hour_of(row) for row in rows}
        first: dict[tuple[str, str], MissingRow] = {}
        notes = [*_read(path, MissingRow), *added.get(path, [])]
        for note in sorted(notes, key=lambda note: (note.noted_at, note.run_id)):
            first.setdefault(_hour_of(note), note)
        _replace(path, MissingRow, [first[key] for key in sorted(first) if key not in present])


def _by_month(rows: Iterable[Row], folder_of: Callable[[Row], UPath]) -> dict[UPath, list[Row]]:
    months: dict[UPath, list[Row]] = {}
    for row in rows:
        months.setdefault(folder_of(row) / f"{row.forecast_at[:7]}.csv", []).append(row)
    return months


def _read(path: UPath, kind: type[Row]) -> list[Row]:
    """Return the rows of a CSV; a column that it lacks is empty, and one that is unknown is left out."""
    if not exists(path):
        return []
    names, lines = _lines_in(path)
    if names == list(kind._fields):
        return [kind._make(line) for line in lines]
    rows = [dict(zip(names, line, strict=True)) for line in lines]  # another version has written it
    return [kind._make([row.get(name, "") for name in kind._fields]) for row in rows]


def _lines_in(path: UPath) -> tuple[list[str], list[list[str]]]:
    """Return the header and the lines of a CSV; raises CorruptCsvError."""
    try:
        reader = csv.reader(io.StringIO(read_whole(path).decode(ENCODING), newline=""))
        names = next(reader, [])
        lines = list(reader)
        if not {"forecast_at", "code"} <= {*names}:
            raise ValueError("it lacks the columns forecast_at and code")
        if any(len(line) != len(names) for line in lines):
            raise ValueError("a line has more or fewer values than there are columns")
    except (ValueError, csv.Error) as error:
        raise CorruptCsvError(
            f"{path} is corrupt ({error}); run `python -m callables.weather rebuild`: it renames the file "
            "and writes a new one from the raw answers"
        ) from None
    return names, lines


def _replace(path: UPath, kind: type[Row], rows: list[Row]) -> None:
    """Write the rows, unless the file has them already; a file without rows is deleted."""
    remove_leftovers(path.parent, older_than_s=0)  # the lock is ours
    if not rows:
        delete(path)
        return
    data = csv_bytes(kind._fields, rows, encoding=ENCODING)
    if read_with_tag(path)[0] != data:
        write_atomic(path, data)
