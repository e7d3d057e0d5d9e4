"""P4: Seoul's weather one hour ahead, from KMA's ultra-short-term forecast; a CSV per district and month.

``python -m callables.weather rebuild`` rebuilds the CSVs from the raw answers.
"""

from __future__ import annotations

import itertools
import logging
from datetime import datetime
from typing import Any, Literal, NoReturn

from batch_serving.shared.airflow import database_engine, fail, fail_already_reported, find_connection, skip
from batch_serving.shared.env import start_command
from batch_serving.shared.files import remove_leftovers
from batch_serving.shared.paths import output_path, relative_to_project
from batch_serving.shared.run_context import parse_time, run_name
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.weather import csv_files, raw_answers, sql_table, unfinished
from batch_serving.weather.collector import Collection, Collector
from batch_serving.weather.districts import Cell, District, cells_of, read_districts
from batch_serving.weather.earlier_runs import collect_earlier, read_late_rows
from batch_serving.weather.kma_bases import GONE_AFTER
from batch_serving.weather.kma_errors import KmaError
from batch_serving.weather.rows import Batch, read_rows
from batch_serving.weather.runs import Run
from batch_serving.weather.sources import find_source

log = logging.getLogger(__name__)


def collect(
    *,
    districts: str,
    run_id: str,
    run_after: str,
    now: str,
    connection: str = "kma_api",
    without_connection: Literal["sample", "fail"] = "sample",
    seconds_between_calls: float = 0.2,
) -> dict[str, Any]:
    """Request the forecast of each grid cell of ``districts`` from KMA and store the raw answers.

    ``connection`` names an Airflow connection with schema, host and port of the service, and the key as its
    password. If it does not exist, ``without_connection`` decides: ``sample`` uses sample weather and logs a
    warning, ``fail`` fails. The hour that is forecast is the full hour of ``run_after`` plus one, in Korean
    time, however late the task starts (``now``); both are ISO 8601. A retry requests only the cells that have
    no answer yet. Then the cells that earlier, unfinished runs lack are requested. Skips, without a request,
    an hour that KMA no longer has, as in a backfill of old dates. Fails while a cell of this
    run is missing, unless KMA no longer has the hour: then a note is stored. Returns the folder of the raw
    answers, the hour, the source, the number of cells, and the cells that KMA no longer has.
    """
    started_at = parse_time(now)
    run = Run(run_name(run_id), run_after, districts)
    _skip_if_too_old(run, started_at)
    remove_leftovers(run.folder)
    state = unfinished.start(run)
    try:
        wanted = read_districts(districts)
        source = find_source(
            find_connection(connection),
            conn_id=connection,
            without_connection=without_connection,
            now=started_at,
            pause_s=seconds_between_calls,
        )
        state = unfinished.use_source(state, source.name)
        collector = Collector(source, started_at)
        collection = Collection(wanted, collector.collect(run, cells_of(wanted)))
    except (ValueError, KmaError) as error:
        unfinished.mark_reported(state)
        fail(str(error))  # a retry cannot help
    collect_earlier(collector, run, collection)
    if collection.failures:
        unfinished.mark_reported(state)
        message = collection.message(districts)
        if collection.is_permanent:
            fail(message)
        raise RuntimeError(message)  # Airflow retries
    return _summary(run, cells_of(wanted), source.name)


def _skip_if_too_old(run: Run, now: datetime) -> None:
    """Skip a run that is too old for KMA, unless it was begun in time: then it finishes what it has."""
    begun = raw_answers.read_run(run.folder) or unfinished.find(run)
    if now - run.due_at > GONE_AFTER and not begun:
        skip(
            f"KMA keeps a forecast for about a day, and no longer has the one for {run.hour:%Y-%m-%d %H:%M}: "
            "nothing was requested, and today's weather is not written under that date"
        )


def _summary(run: Run, cells: list[Cell], source: str) -> dict[str, Any]:
    """Return the result of ``collect``; logs what is not a forecast of KMA."""
    raws = [raw for raw in raw_answers.read_run(run.folder) if raw.cell in cells]
    gone = [list(raw.cell) for raw in raws if raw.gone]
    if gone:
        log.warning("KMA no longer has %s for %d of %d cells", run.hour, len(gone), len(cells))
    made_up = sum(raw.source == "sample" and not raw.gone for raw in raws)
    if made_up and source != "sample":
        log.warning("KMA no longer has %s: %d cells keep sample weather", run.hour, made_up)
    log.info("%d cells for %s from %s in %s", len(cells) - len(gone), run.hour, source, run.folder)
    return {
        "raw": relative_to_project(run.folder),
        "hour": run.hour.isoformat(),
        "source": source,
        "cells": len(cells),
        "made_up": made_up,
        "gone": gone,
    }


def preprocess(
    *, districts: str, run_id: str, run_after: str, keep_raw_days: int = 30, database: str = ""
) -> dict[str, Any]:
    """Turn the raw answers of this run, and of unfinished ones, into rows and merge them into the CSVs.

    Depends on the raw answers alone: the same answers give the same rows. A value that does not fit its
    column goes into ``quarantine/`` with the reason, a district without a forecast into ``missing/``.
    ``database`` names an Airflow connection to a database that gets the same rows; empty for none. Raw
    answers older than ``keep_raw_days`` are deleted. What arrived is written even if ``collect`` has failed;
    then this task fails as well and names the districts without an answer. Skips if KMA no longer has the
    hour for any district. Returns counts and the newest file.
    """
    if keep_raw_days < 1:
        fail(f"keep_raw_days must be 1 or more, got {keep_raw_days}")
    run = Run(run_name(run_id), run_after, districts)
    try:
        wanted = read_districts(districts)
        raws = raw_answers.read_run(run.folder)
        run_time = raw_answers.time_of(raws, run.hour)
        own = read_rows(raws, wanted)
        late = read_late_rows(run, wanted, run_time)
        lacking = own.without_rows(wanted)
        if lacking:
            unfinished.ensure(run)
        batch = own + late.batch
        files = _write(batch, database)
    except ValueError as error:
        fail(str(error))
    _log_merged(batch, files)
    complete = late.complete if lacking else [*late.complete, run]
    for finished in complete:
        unfinished.finish(finished)
    if run_time is not None:
        _prune(districts, keep_raw_days, run_time)
    if lacking:
        _fail_for(run, lacking, len(wanted))
    if not own.rows:
        skip(f"KMA no longer has {run.hour:%Y-%m-%d %H:%M} for any district; see weather/missing/")
    if own.missing:
        log.warning("districts without this hour: %s", ", ".join(row.district_en for row in own.missing))
    return {
        "rows": len(own.rows),
        "missing": len(own.missing),
        "quarantined": len(own.quarantine),
        "late_rows": len(late.batch.rows),
        "hour": run.hour.isoformat(),
        "latest": relative_to_project(output_path("weather", "latest.csv")),
    }


def _log_merged(batch: Batch, files: list[str]) -> None:
    log.info("merged %d rows into %d files", len(batch.rows), len(files))
    for row in batch.quarantine:
        log.warning("%s: %s %r is in quarantine: %s", row.district_en, row.column, row.value, row.reason)


def _prune(districts: str, keep_raw_days: int, now: datetime) -> None:
    """Delete old raw answers, but none of a day with an unfinished run."""
    needed = [other.run.hour.date() for other in unfinished.find_all(districts)]
    deleted = raw_answers.prune(districts, keep_raw_days, now.date(), needed)
    if deleted:
        log.info("deleted the raw answers of %s: older than %d days", ", ".join(deleted), keep_raw_days)


def _fail_for(run: Run, lacking: list[District], total: int) -> NoReturn:
    """Fail for districts without an answer; without a message to Slack if collect has sent one."""
    names = ", ".join(district.name_en for district in lacking)
    message = (
        f"no answer yet for {run.hour:%Y-%m-%d %H:%M} in {names}; the other {total - len(lacking)} "
        "districts are written. Each later run requests the missing ones again, for about a day."
    )
    state = unfinished.find(run)
    if state is not None and state.reported:
        fail_already_reported(message)
    fail(message)


def rebuild(*, districts: str, database: str = "") -> dict[str, Any]:
    """Merge all raw answers that are kept into the CSVs, and into ``database`` if it is named.

    Restores files that were lost or are corrupt, as far back as there are raw answers.
    """
    wanted = read_districts(districts)
    for aside in csv_files.set_corrupt_aside():
        log.warning("a corrupt file is set aside: %s", aside)
    runs, rows, files = 0, 0, set[str]()
    # Day by day, so that memory does not grow with the days that are kept.
    for _, folders in itertools.groupby(raw_answers.run_folders(), key=lambda folder: folder.parent.name):
        batch = Batch()
        for folder in folders:
            batch += read_rows(raw_answers.read_run(folder), wanted)
            runs += 1
        files |= set(_write(batch, database))
        rows += len(batch.rows)
    return {"runs": runs, "rows": rows, "files": len(files)}


def _write(batch: Batch, database: str) -> list[str]:
    """Merge into the CSVs, and then into the database if one is named; return the files of rows."""
    files = csv_files.upsert(batch)
    if database and batch.rows:
        engine = database_engine(database)
        try:
            sql_table.upsert(batch.rows, engine)
        finally:
            engine.dispose()
    return files


def main(arguments: list[str] | None = None, *, prog: str = "python -m callables.weather") -> int:
    """Run the command line."""
    import json
    import sys

    from batch_serving.shared.command_line import Parser, run_command

    about = "rebuild the CSVs from the raw answers"
    parser = Parser(prog=prog, description="Look after the weather's files.", example=f"{prog} rebuild")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "rebuild",
        help=about,
        description=about,
        example=f"{prog} rebuild",
        exit_codes="0 done, 1 with the reason, 2 wrong usage",
    )
    command.add_argument(
        "--districts",
        default="data/seoul_districts.csv",
        metavar="FILE",
        help="a CSV of the districts; data/seoul_districts.csv if left out",
    )
    command.add_argument("--database", default="", metavar="CONNECTION", help="write the rows there as well")
    options = parser.parse_args(arguments)

    def run() -> int:
        try:
            print(json.dumps(rebuild(districts=options.districts, database=options.database)))
        except (UnreachableError, ValueError) as error:
            print(f"weather: {error}", file=sys.stderr)
            return 1
        return 0

    return run_command(run)


if __name__ == "__main__":
    start_command()
    raise SystemExit(main())
