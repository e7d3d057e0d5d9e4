"""P4: Seoul's weather one hour ahead, by KMA's ultra-short-term forecast; a CSV per district and month.

``python -m callables.weather rebuild`` makes the CSVs anew from the raw answers.
"""

from __future__ import annotations

import itertools
import logging
import time
from typing import Literal

from callables import _kma, _weather_csv, _weather_raw
from callables._airflow import UnfitConnectionError, fail, fail_as_told, skip
from callables._districts import District, read_districts
from callables._files import output_path, relative_to_project, remove_leftovers
from callables._run import parse_time
from callables._weather_ask import Cell, Source, find_source
from callables._weather_raw import Run
from callables._weather_rows import Found, read_rows

log = logging.getLogger(__name__)

HELP_FOR_S = 300  # how long a run asks for what earlier runs lack; the rest is the next one's


def collect(
    *,
    districts: str,
    run_id: str,
    run_after: str,
    now: str,
    connection: str = "kma_api",
    without_connection: Literal["sample", "fail"] = "sample",
    seconds_between_calls: float = 0.2,
) -> dict:
    """Ask KMA for each grid cell of ``districts`` and keep the raw answers of this run.

    ``connection`` names an Airflow connection with the service's schema, host and port, and the key as its
    password. Where nobody has made it, ``without_connection`` decides: ``sample`` takes made-up answers, and
    says so; ``fail`` fails. The hour forecast is the full hour of ``run_after`` plus one, KST, however late
    the task runs; ``now`` is when it does (both ISO 8601). Cells that this run already has from the same
    source are not asked for again. Then it asks for what earlier, unfinished runs still lack. Fails while any
    cell of its own is missing; once KMA has the hour no more, notes so in its place. Returns the raw folder,
    the hour, the source, the number of cells and those that are gone.
    """
    clock = parse_time(now)
    run = Run(run_id, run_after, districts)
    remove_leftovers(run.folder)
    run.begin()
    try:
        cells = sorted({district.cell for district in read_districts(districts)})
        source = find_source(connection, without_connection, clock, seconds_between_calls)
        failures = source.collect(run, cells)
    except (ValueError, FileNotFoundError, _kma.KmaError) as error:
        fail(str(error))  # a person must mend it; asking again cannot
    _help_earlier(run, cells, source)
    if failures:
        lines = "\n".join(f"cell {nx},{ny}: {reason}" for (nx, ny), reason in sorted(failures.items()))
        raise RuntimeError(
            f"{len(failures)} of {len(cells)} cells did not arrive. A retry, and then each later run, asks "
            f"for these alone; KMA has them for about a day:\n{lines}"
        )
    gone = [list(raw.cell) for raw in _weather_raw.read_run(run.folder) if raw.gone and raw.cell in cells]
    if gone:
        log.warning("KMA no longer has %s for %d of %d cells", run.hour, len(gone), len(cells))
    log.info("%d cells for %s from %s in %s", len(cells) - len(gone), run.hour, source.name, run.folder)
    return {
        "raw": relative_to_project(run.folder),
        "hour": run.hour.isoformat(),
        "source": source.name,
        "cells": len(cells),
        "gone": gone,
    }


def _help_earlier(run: Run, cells: list[Cell], source: Source) -> None:
    """Ask for what unfinished runs of earlier hours lack, as long as the service answers."""
    if source.name == "sample":
        return  # it knows nothing of hours that the service was to tell
    deadline = time.monotonic() + HELP_FOR_S
    for other in _weather_raw.unfinished(run.districts):
        if other.hour >= run.hour:
            continue
        if source.away or time.monotonic() > deadline:
            return
        try:
            failures = source.collect(other, cells)
        except _kma.KmaError as error:
            log.warning("earlier hours stay as they are: %s", error)
            return
        log.info("%s: %d of %d cells are still to come", other.hour, len(failures), len(cells))


def preprocess(
    *, districts: str, run_id: str, run_after: str, keep_raw_days: int = 30, database: str = ""
) -> dict:
    """Turn this run's raw answers, and those of unfinished ones, into rows and merge them into the CSVs.

    Depends on the raw files alone: the same files give the same rows. A value that does not fit its column
    goes into ``quarantine/`` with the reason, a district whose hour is gone into ``missing/``. ``database``
    names an Airflow connection to a database that gets the same rows; empty for none. Raw answers older than
    ``keep_raw_days`` are removed. What arrived is written, also where ``collect`` has failed; then it fails,
    naming the districts without an answer. Skips when KMA has nothing of the hour any more. Returns counts
    and the newest file.
    """
    if keep_raw_days < 1:
        fail(f"keep_raw_days is {keep_raw_days}; it must be 1 or more")
    wanted = read_districts(districts)
    run = Run(run_id, run_after, districts)
    own = read_rows(_weather_raw.read_run(run.folder), wanted)
    found = Found() + own
    finished = [run] if not _lacking(own, wanted) else []
    for other in _weather_raw.unfinished(districts):
        if other != run:
            late = read_rows(_weather_raw.read_run(other.folder), wanted)
            found += late
            finished += [other] if not _lacking(late, wanted) else []
    try:
        files = _write(found, database)
    except (UnfitConnectionError, _weather_csv.SpoiltError) as error:
        fail(str(error))
    for one in finished:
        one.finish()
    log.info("merged %d rows into %d files", len(found.rows), len(files))
    for row in found.quarantine:
        log.warning(
            "%s: %s %r is in quarantine: %s", row["district_en"], row["column"], row["value"], row["reason"]
        )
    if removed := _weather_raw.prune(keep_raw_days, run.hour.date()):
        log.info("removed the raw answers of %s: older than %d days", ", ".join(removed), keep_raw_days)
    if without := _lacking(own, wanted):
        fail_as_told(
            f"no answer for {run.hour:%Y-%m-%d %H:%M} yet for: {', '.join(without)}; the other "
            f"{len(wanted) - len(without)} districts are written. Each later run asks again, for about a day."
        )
    if not own.rows:
        skip(f"KMA no longer has {run.hour:%Y-%m-%d %H:%M} for any district; noted in weather/missing/")
    if own.missing:
        log.warning("without this hour: %s", ", ".join(row["district_en"] for row in own.missing))
    return {
        "rows": len(own.rows),
        "missing": len(own.missing),
        "quarantined": len(own.quarantine),
        "late_rows": len(found.rows) - len(own.rows),
        "hour": run.hour.isoformat(),
        "latest": relative_to_project(output_path("weather", "latest.csv")),
    }


def _lacking(found: Found, wanted: list[District]) -> list[str]:
    """Return the districts, in English, of which nothing is known: neither a row nor that it is gone."""
    told = {row["code"] for row in [*found.rows, *found.missing]}
    return [district.name_en for district in wanted if district.code not in told]


def rebuild(*, districts: str, database: str = "") -> dict:
    """Merge all raw answers that are kept into the CSVs, and into ``database`` if it is named.

    Files that were lost or spoilt come back as they were, as far back as raw answers reach.
    """
    wanted = read_districts(districts)
    for spoilt in _weather_csv.set_spoilt_aside():
        log.warning("spoilt, and set aside: %s", spoilt)
    runs, rows, files = 0, 0, set[str]()
    # Day by day, so that memory does not grow with the days kept.
    folders = _weather_raw.runs(output_path("weather", "raw"))
    for _, of_the_day in itertools.groupby(folders, key=lambda folder: folder.parent.name):
        found = Found()
        for folder in of_the_day:
            found += read_rows(_weather_raw.read_run(folder), wanted)
            runs += 1
        files |= set(_write(found, database))
        rows += len(found.rows)
    return {"runs": runs, "rows": rows, "files": len(files)}


def _write(found: Found, database: str) -> list[str]:
    """Merge into the CSVs, and then into the database if one is named; return the files of rows."""
    files = _weather_csv.upsert(found)
    if database and found.rows:
        from callables import _weather_sql

        _weather_sql.upsert(found.rows, database)
    return files


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    import argparse
    import json
    import sys

    parser = argparse.ArgumentParser(prog="python -m callables.weather", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("rebuild", help="make the CSVs anew from the raw answers")
    command.add_argument("--districts", default="data/seoul_districts.csv", metavar="FILE")
    command.add_argument("--database", default="", metavar="CONNECTION", help="write the rows there, too")
    options = parser.parse_args(arguments)
    try:
        print(json.dumps(rebuild(districts=options.districts, database=options.database)))
    except (ValueError, FileNotFoundError) as error:
        print(f"weather: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
