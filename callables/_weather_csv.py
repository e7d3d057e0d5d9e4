"""The CSVs of the weather: one per district and month, the newest forecast of each hour, and ``latest.csv``.

Beside them, in the same way by month, what was not fit to be written (``quarantine/``) and which district
lacks which hour (``missing/``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from callables._csv import csv_bytes
from callables._files import is_local, output_path, remove_leftovers, write_atomic
from callables._weather_rows import MISSING_COLUMNS, QUARANTINE_COLUMNS, Found, Row, columns

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from upath import UPath

ENCODING = "utf-8-sig"  # Excel reads Korean only with the mark
LOCK_TIMEOUT_S = 300


class SpoiltError(ValueError):
    """A CSV that is none any more; the text says which, and what to do."""


def set_spoilt_aside() -> list[str]:
    """Rename CSVs that cannot be read, so that they can be made anew; return their new names."""
    root = output_path("weather")
    renamed = []
    with _locked(root):
        for path in sorted(root.rglob("*.csv"), key=str) if root.exists() else []:
            try:
                _read(path)
            except SpoiltError:
                aside = path.with_name(f"{path.name}.spoilt")
                path.rename(aside)
                renamed.append(str(aside))
    return renamed


def upsert(found: Found) -> list[str]:
    """Merge what raw files say into the CSVs and return the files of rows.

    For a district and hour the row of the newest base wins, then the one collected last, in whatever order
    rows come. Each file is replaced as a whole, under a lock; what a kill left half done, the next call does.
    """
    root = output_path("weather")
    with _locked(root):
        months = _by_month(found.rows, lambda row: root / row["district_en"])
        for path, rows in months.items():
            _replace(path, columns(), newest([*_read(path), *rows], ("forecast_at", "code")))
        latest = root / "latest.csv"
        hours = sorted([*_read(latest), *found.rows], key=lambda row: row["forecast_at"])
        last = {row["code"]: row["forecast_at"] for row in hours}
        current = [row for row in hours if row["forecast_at"] == last[row["code"]]]
        if current:
            _replace(latest, columns(), newest(current, ("code",)))
        _note_unfit(root, found.quarantine)
        _note_missing(root, found)
    return [str(path) for path in (*months, latest)]


def newest(rows: Iterable[Row], key: tuple[str, ...]) -> list[Row]:
    """Return the newest row for each value of ``key``, sorted by it: by base, then by time of collection.

    A made-up one is older than any other; of two that are the same in all this, one is always taken.
    """
    by_age = sorted(rows, key=age)
    merged = {tuple(row[name] for name in key): row for row in by_age}
    return [merged[found] for found in sorted(merged)]


def age(row: Row) -> tuple[bool, str, str, str]:
    """Return what tells which of two rows is the newer."""
    return row["source"] != "sample", row["base_at"], row["collected_at"], row["run_id"]


def _note_unfit(root: UPath, rows: Iterable[Row]) -> None:
    for path, fresh in _by_month(rows, lambda _: root / "quarantine").items():
        merged = {tuple(row[name] for name in QUARANTINE_COLUMNS): row for row in [*_read(path), *fresh]}
        _replace(path, QUARANTINE_COLUMNS, [merged[key] for key in sorted(merged)])


def _note_missing(root: UPath, found: Found) -> None:
    """Add what is missing to its months, and take out what has come meanwhile."""
    folder = root / "missing"
    read: dict[UPath, list[Row]] = {}
    noted = _by_month(found.missing, lambda _: folder)
    arrived = _by_month(found.rows, lambda _: folder)
    for path in {**noted, **{path: [] for path in arrived if path.exists()}}:
        there = {(row["code"], row["forecast_at"]) for row in arrived.get(path, [])}
        for row in noted.get(path, []):
            district = root / row["district_en"] / path.name
            if district not in read:
                read[district] = _read(district)
            there |= {(other["code"], other["forecast_at"]) for other in read[district]}
        rows = sorted(
            [*_read(path), *noted.get(path, [])],
            key=lambda row: (row["noted_at"], row["run_id"]),
            reverse=True,
        )
        merged = {(row["forecast_at"], row["code"]): row for row in rows}  # the first note stays
        _replace(
            path,
            MISSING_COLUMNS,
            [merged[key] for key in sorted(merged) if (key[1], key[0]) not in there],
        )


def _by_month(rows: Iterable[Row], folder_of: Callable[[Row], UPath]) -> dict[UPath, list[Row]]:
    months: dict[UPath, list[Row]] = {}
    for row in rows:
        months.setdefault(folder_of(row) / f"{row['forecast_at'][:7]}.csv", []).append(row)
    return months


def _read(path: UPath) -> list[Row]:
    if not path.exists():
        return []
    try:
        lines = csv.reader(io.StringIO(path.read_text(encoding=ENCODING), newline=""))
        names = next(lines, [])
        rows = [dict(zip(names, line, strict=True)) for line in lines]
        if not {"forecast_at", "code"} <= {*names}:
            raise ValueError("its columns are others")
    except (ValueError, csv.Error) as error:
        raise SpoiltError(
            f"{path} is spoilt ({error}): move it away, then `python -m callables.weather rebuild`"
        ) from None
    return rows


def _replace(path: UPath, names: Sequence[str], rows: Iterable[Row]) -> None:
    """Write the rows, unless they stand there already; a file without any is removed."""
    lines = [[row.get(name, "") for name in names] for row in rows]
    remove_leftovers(path.parent, older_than_s=0)  # the lock is ours
    if not lines:
        path.unlink(missing_ok=True)
        return
    data = csv_bytes(names, lines, encoding=ENCODING)
    if not path.exists() or path.read_bytes() != data:
        write_atomic(path, data)


def _locked(folder: UPath) -> AbstractContextManager:
    from contextlib import nullcontext

    if not is_local(folder):
        return nullcontext()  # preprocess runs one at a time: max_active_tis_per_dag in the YAML
    from filelock import FileLock

    Path(str(folder)).mkdir(parents=True, exist_ok=True)
    return FileLock(str(folder / ".lock"), timeout=LOCK_TIMEOUT_S)
