"""P4: Seoul's weather one hour ahead, by KMA's ultra-short-term forecast; a CSV per district and month.

``python -m callables.weather rebuild`` makes the CSVs anew from the raw answers.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Literal

from callables import _kma, _weather_csv, _weather_raw
from callables._airflow import fail, find_connection, skip
from callables._districts import read_districts
from callables._files import output_path, project_path, relative_to_project, remove_leftovers
from callables._run import parse_time
from callables._weather_raw import Raw
from callables._weather_rows import Found, items_of, read_rows, values_at

log = logging.getLogger(__name__)

FEWEST_VALUES = 5  # of the 10 of an hour; an answer with fewer is no forecast, and another may be whole
GIVE_UP_AFTER = 3  # cells in a row that the service did not answer for: it is away
Cell = tuple[int, int]
Ask = Callable[[list[datetime], Cell], tuple[datetime, str]]


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
    source are not asked for again. Fails while any is missing; once KMA has the hour no more, notes so in
    its place. Returns the raw folder, the hour, the source, the number of cells and those that are gone.
    """
    moment, clock = parse_time(run_after), parse_time(now)
    hour = _kma.target_hour(moment)
    bases = _kma.bases_for(moment, hour, clock)
    try:
        cells = sorted({district.cell for district in read_districts(districts)})
        source, ask = _source(connection, without_connection, seconds_between_calls)
    except (ValueError, FileNotFoundError) as error:
        fail(str(error))  # a person must mend it; asking again cannot
    # Each try in another order: cells that always fail must not keep it from the others.
    random.Random(f"{run_id} {now}").shuffle(cells)  # noqa: S311 - no secret
    folder = _weather_raw.folder_of(hour, run_id)
    remove_leftovers(folder)
    collected_at = clock.astimezone(_kma.KST).isoformat(timespec="seconds")
    failures: dict[Cell, str] = {}
    away = 0
    for cell in cells:
        kept = _weather_raw.read(_weather_raw.path_of(folder, cell))
        if kept and not kept.gone and (kept.source == source or source == "sample"):
            continue  # what the service said is never replaced by made-up weather
        if away >= GIVE_UP_AFTER:
            failures[cell] = "not asked: the service is away"
            continue
        try:
            new = _ask(ask, Raw(hour.isoformat(), cell, source, run_id, collected_at), bases, clock)
        except _kma.KmaError as error:
            if error.permanent:
                fail(str(error))
            away = away + 1 if error.kind is _kma.Kind.RETRYABLE else 0
            if (error.retry_after_s or 0) > _kma.LONGEST_WAIT_S:
                away = GIVE_UP_AFTER  # it asks not to be asked
            failures[cell] = str(error)
            continue
        away = 0
        if not (kept and new.gone):
            _weather_raw.write(folder, new)
    if failures:
        lines = "\n".join(f"cell {nx},{ny}: {reason}" for (nx, ny), reason in sorted(failures.items()))
        raise RuntimeError(
            f"{len(failures)} of {len(cells)} cells did not arrive; a retry asks for these alone, and KMA "
            f"has them for about a day:\n{lines}"
        )
    gone = [list(raw.cell) for raw in _weather_raw.read_run(folder) if raw.gone and raw.cell in cells]
    if gone:
        log.warning("KMA no longer has %s for %d of %d cells", hour, len(gone), len(cells))
    log.info("%d cells for %s from %s in %s", len(cells) - len(gone), hour, source, folder)
    return {
        "raw": relative_to_project(folder),
        "hour": hour.isoformat(),
        "source": source,
        "cells": len(cells),
        "gone": gone,
    }


def preprocess(*, raw: str, districts: str, keep_raw_days: int = 30, database: str = "") -> dict:
    """Turn the raw answers in folder ``raw`` into rows and merge them into the CSVs.

    Depends on the raw files alone: the same files give the same rows. A value that does not fit its column
    goes into ``quarantine/`` with the reason, a district whose hour is gone into ``missing/``. ``database``
    names an Airflow connection to a database that gets the same rows; empty for none. Raw answers older than
    ``keep_raw_days`` are removed. Raises ValueError that names the districts that have no answer yet, after
    the others are written; skips when there is none at all. Returns counts and the newest file.
    """
    if keep_raw_days < 1:
        fail(f"keep_raw_days is {keep_raw_days}; it must be 1 or more")
    folder = project_path(raw)
    wanted = read_districts(districts)
    raws = _weather_raw.read_run(folder)
    found = read_rows(raws, wanted)
    files = _write(found, database)
    told = {row["code"] for row in [*found.rows, *found.missing]}
    without = [district.name_en for district in wanted if district.code not in told]
    log.info("merged %d rows into %d files", len(found.rows), len(files))
    for row in found.quarantine:
        log.warning(
            "%s: %s %r is in quarantine: %s", row["district_en"], row["column"], row["value"], row["reason"]
        )
    if without:
        raise ValueError(f"no answer in {raw} for: {', '.join(without)}; clear `collect`")
    hour = datetime.fromisoformat(raws[0].hour)
    if removed := _weather_raw.prune(keep_raw_days, hour.date()):
        log.info("removed the raw answers of %s: older than %d days", ", ".join(removed), keep_raw_days)
    if not found.rows:
        skip(f"KMA no longer has {hour:%Y-%m-%d %H:%M} for any district; noted in weather/missing/")
    if found.missing:
        log.warning("without this hour: %s", ", ".join(row["district_en"] for row in found.missing))
    return {
        "rows": len(found.rows),
        "missing": len(found.missing),
        "quarantined": len(found.quarantine),
        "hour": raws[0].hour,
        "latest": relative_to_project(output_path("weather", "latest.csv")),
    }


def rebuild(*, districts: str, database: str = "") -> dict:
    """Merge all raw answers that are kept into the CSVs, and into ``database`` if it is named.

    Files that were lost or spoilt come back as they were, as far back as raw answers reach.
    """
    wanted = read_districts(districts)
    for spoilt in _weather_csv.set_spoilt_aside():
        log.warning("spoilt, and set aside: %s", spoilt)
    found, runs = Found(), 0
    for folder in _weather_raw.runs(output_path("weather", "raw")):
        found += read_rows(_weather_raw.read_run(folder), wanted)
        runs += 1
    files = _write(found, database)
    return {"runs": runs, "rows": len(found.rows), "files": len(files)}


def _write(found: Found, database: str) -> list[str]:
    """Merge into the CSVs, and then into the database if one is named; return the files of rows."""
    files = _weather_csv.upsert(found)
    if database and found.rows:
        from callables import _weather_sql

        _weather_sql.upsert(found.rows, database)
    return files


def _ask(ask: Ask, new: Raw, bases: list[datetime], clock: datetime) -> Raw:
    """Return ``new`` with the answer for its cell, or with the reason why none can come any more.

    Raises KmaError where a later try may get one; so it does when the hour is not in the answer.
    """
    try:
        answered, answer = ask(bases, new.cell)
        found = replace(new, base_at=answered.isoformat(), answer=answer)
        hour = datetime.fromisoformat(new.hour)
        values = values_at(items_of(found), hour)
    except _kma.KmaError as error:
        if _kma.is_gone(error, max(bases), clock):
            return replace(new, gone=f"KMA no longer has the forecast of {bases[0]:%Y-%m-%d %H:%M}")
        raise
    except Exception as error:  # an answer that nobody thought of costs its own cell alone
        raise _kma.KmaError(_kma.MALFORMED, f"{type(error).__name__} while reading the answer") from None
    if not values:
        raise _kma.KmaError(_kma.MALFORMED, f"the answer of {answered:%H:%M} lacks {hour:%Y-%m-%d %H:%M}")
    if len(values) < FEWEST_VALUES:
        raise _kma.KmaError(_kma.MALFORMED, f"the answer has {len(values)} values for the hour, of 10")
    return found


def _source(connection: str, without: str, pause_s: float) -> tuple[str, Ask]:
    """Return the source's name, and a function from (bases, cell) to (base that answered, its answer)."""
    from callables._http import new_session
    from callables._kma_sample import sample_answer

    if without not in ("sample", "fail"):
        raise ValueError(f"without_connection is {without!r}; it must be 'sample' or 'fail'")
    found = find_connection(connection)
    if found is None and without == "fail":
        fail(f"there is no connection {connection!r}, and without_connection is 'fail'")
    if found is None:
        log.warning(
            "there is no connection %r: the weather is MADE UP (source=sample). For KMA's, put into .env: "
            'AIRFLOW_CONN_KMA_API={"conn_type": "http", "password": "<the Decoding key>"}',
            connection,
        )
        return "sample", lambda bases, cell: (bases[0], sample_answer(bases[0], cell))
    service = _kma.service_of(found)
    session = new_session(service.key)

    not_out: set[datetime] = set()

    def ask(bases: list[datetime], cell: Cell) -> tuple[datetime, str]:
        time.sleep(pause_s)  # a burst of calls brings time-outs and 429
        for base in bases:
            try:
                return base, _fetch(base, cell)
            except _kma.KmaError as error:
                if error.kind is not _kma.Kind.NO_DATA:
                    raise
                last = error
        raise last

    def _fetch(base: datetime, cell: Cell) -> str:
        """Ask; and once more if a base is said not to be out, unless that was so for another cell as well."""
        try:
            return _kma.fetch(session, service, base, cell)
        except _kma.KmaError as error:
            if error.kind is not _kma.Kind.NO_DATA or base in not_out:
                raise
        time.sleep(_kma.BACKOFF_S)
        try:
            return _kma.fetch(session, service, base, cell)
        except _kma.KmaError as error:
            if error.kind is _kma.Kind.NO_DATA:
                not_out.add(base)
            raise

    return "kma", ask


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    import argparse
    import json

    parser = argparse.ArgumentParser(prog="python -m callables.weather", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("rebuild", help="make the CSVs anew from the raw answers")
    command.add_argument("--districts", default="data/seoul_districts.csv", metavar="FILE")
    command.add_argument("--database", default="", metavar="CONNECTION", help="write the rows there, too")
    options = parser.parse_args(arguments)
    print(json.dumps(rebuild(districts=options.districts, database=options.database)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
