"""P4: Seoul's weather one hour ahead, by KMA's ultra-short-term forecast; a CSV per district and month.

``python -m callables.weather rebuild`` makes the CSVs anew from the raw answers.
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, NoReturn

from callables import _kma, _weather_csv, _weather_raw
from callables._airflow import UnfitConnectionError, fail, fail_as_told, skip
from callables._districts import District, read_districts
from callables._env import start_command
from callables._files import output_path, relative_to_project, remove_leftovers
from callables._run import parse_time
from callables._weather_ask import Budget, Cell, Failure, Source, find_source
from callables._weather_raw import Mark, Run
from callables._weather_rows import Found, missing_row, read_rows

log = logging.getLogger(__name__)

HELP_FOR_S = 300  # how long a run asks for what earlier runs lack; the rest is the next one's
HELP_CELLS = 100  # and for how many cells: the service's quota is some 10,000 calls a day
HELP_CELLS_BESIDE_FAILURES = 20  # where its own are not all there, and it will be tried again
GIVE_UP_WAITING = timedelta(days=3, hours=1)  # the service has nothing as old as this


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
    known = _weather_raw.read_mark(run)
    mark = Mark(run, known.source if known else "")  # nobody has told of this try yet
    mark.write()
    try:
        wanted = read_districts(districts)
        source = find_source(connection, without_connection, clock, seconds_between_calls)
        mark = replace(mark, source=_source_of(run, mark, source))
        mark.write()
        cells = sorted({district.cell for district in wanted})
        failures = source.collect(run, cells)
    except (ValueError, FileNotFoundError, _kma.KmaError) as error:
        replace(mark, told=True).write()
        fail(str(error))  # a person must mend it; asking again cannot
    _help_earlier(run, cells, source, failures)
    if failures:
        replace(mark, told=True).write()
        _fail_for(failures, cells, wanted, districts)
    kept = [raw for raw in _weather_raw.read_run(run.folder) if raw.cell in cells]
    gone = [list(raw.cell) for raw in kept if raw.gone]
    if gone:
        log.warning("KMA no longer has %s for %d of %d cells", run.hour, len(gone), len(cells))
    made_up = sum(raw.source == "sample" and not raw.gone for raw in kept)
    if made_up and source.name != "sample":
        log.warning("KMA no longer has %s: %d cells stay made up", run.hour, made_up)
    log.info("%d cells for %s from %s in %s", len(cells) - len(gone), run.hour, source.name, run.folder)
    return {
        "raw": relative_to_project(run.folder),
        "hour": run.hour.isoformat(),
        "source": source.name,
        "cells": len(cells),
        "made_up": made_up,
        "gone": gone,
    }


def _source_of(run: Run, mark: Mark, source: Source) -> str:
    """Return the source that a run is marked with; fails where made-up weather would fill gaps of KMA's."""
    if source.name != "sample" or mark.source != "kma":
        return source.name
    return fail(
        f"this run was begun with KMA's answers for {run.hour:%Y-%m-%d %H:%M}, and there is no connection "
        "now: the rest is not made up; make the connection again"
    )


def _fail_for(
    failures: dict[Cell, Failure], cells: list[Cell], wanted: list[District], districts: str
) -> NoReturn:
    """Fail, naming the cells that did not arrive; at once where asking again is hopeless for all of them."""
    names = {cell: "/".join(d.name_en for d in wanted if d.cell == cell) for cell in cells}
    lines = "\n".join(
        f"cell {nx},{ny} ({names[nx, ny]}): {failures[nx, ny].reason}" for nx, ny in sorted(failures)
    )
    told = f"{len(failures)} of {len(cells)} cells did not arrive."
    if all(failure.hopeless for failure in failures.values() if failure.asked):
        fail(f"{told} KMA refuses them; correct {districts}, or take them out of it:\n{lines}")
    raise RuntimeError(
        f"{told} A retry, and then each later run, asks for these alone; KMA has them for about a day:\n"
        f"{lines}"
    )


def _help_earlier(run: Run, cells: list[Cell], source: Source, failures: dict[Cell, Failure]) -> None:
    """Ask for what unfinished runs of earlier hours lack, as long as the service answers.

    Not for cells that it has just not given for this run, and within a budget: whatever old hours lack, this
    run goes on.
    """
    answered = [cell for cell in cells if cell not in failures]
    allowed = HELP_CELLS_BESIDE_FAILURES if failures else HELP_CELLS
    budget = Budget(allowed, time.monotonic() + HELP_FOR_S)
    for mark in _weather_raw.unfinished(run.districts):
        other = mark.run
        if other.hour >= run.hour or (source.name == "sample" and mark.source != "sample"):
            continue  # made-up weather is no answer to what the service was asked
        if source.away or budget.spent or not answered:
            return
        try:
            lacking = source.collect(other, answered, budget)
        except _kma.KmaError as error:
            log.warning("earlier hours stay as they are: %s", error)
            return
        except OSError as error:
            log.warning("%s cannot be helped: %s", other.hour, error)
            continue
        log.info("%s: %d of %d cells are still to come", other.hour, len(lacking), len(answered))


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
    try:
        wanted = read_districts(districts)
    except (ValueError, FileNotFoundError) as error:
        fail(str(error))
    run = Run(run_id, run_after, districts)
    raws = _weather_raw.read_run(run.folder)
    own = read_rows(raws, wanted)
    today = min([run.hour, *(datetime.fromisoformat(raw.collected_at) for raw in raws)])
    late, finished = _of_unfinished(run, wanted, today if raws else None)
    without = _lacking(own, wanted)
    mark = _weather_raw.read_mark(run) or Mark(run)
    if without:
        mark.write()  # it may have gone, or collect may have been killed before it could
    found = own + late
    try:
        files = _write(found, database)
    except (UnfitConnectionError, _weather_csv.SpoiltError) as error:
        fail(str(error))
    for other in [*finished, *([] if without else [run])]:
        other.finish()
    log.info("merged %d rows into %d files", len(found.rows), len(files))
    for row in found.quarantine:
        log.warning(
            "%s: %s %r is in quarantine: %s", row["district_en"], row["column"], row["value"], row["reason"]
        )
    if raws and (removed := _weather_raw.prune(keep_raw_days, today.date(), districts)):
        log.info("removed the raw answers of %s: older than %d days", ", ".join(removed), keep_raw_days)
    if without:
        (fail_as_told if mark.told else fail)(
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
        "late_rows": len(late.rows),
        "hour": run.hour.isoformat(),
        "latest": relative_to_project(output_path("weather", "latest.csv")),
    }


def _of_unfinished(run: Run, wanted: list[District], today: datetime | None) -> tuple[Found, list[Run]]:
    """Return what the raw answers of other, unfinished runs say, and those of them that lack nothing now.

    What lacks three days before ``today`` (None: not known) can come no more, and is noted as missing.
    """
    found, finished = Found(), []
    for mark in _weather_raw.unfinished(run.districts):
        other = mark.run
        if other == run:
            continue
        late = read_rows(_weather_raw.read_run(other.folder), wanted)
        without = _lacking(late, wanted)
        if without and today is not None and today - other.hour > GIVE_UP_WAITING:
            late += Found(
                missing=[
                    missing_row(
                        district,
                        other.hour.isoformat(),
                        reason="no run could ask while KMA had it",
                        noted_at=today.isoformat(timespec="seconds"),
                        run_id=other.run_id,
                    )
                    for district in wanted
                    if district.name_en in without
                ]
            )
            without = []
        found += late
        finished += [other] if not without else []
    return found, finished


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
    folders = _weather_raw.runs()
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
    start_command()
    raise SystemExit(main())
