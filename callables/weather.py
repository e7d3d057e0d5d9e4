"""P4: Seoul's weather one hour ahead, by KMA's ultra-short-term forecast; a CSV per district and month."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from callables import _kma, _weather_csv
from callables._airflow import fail, find_connection
from callables._files import output_path, project_path, relative_to_project, safe_name, to_json, write_atomic
from callables._run import parse_time

log = logging.getLogger(__name__)


def collect(
    *,
    districts: str,
    run_id: str,
    run_after: str,
    connection: str = "kma_api",
    without_connection: Literal["sample", "fail"] = "sample",
) -> dict:
    """Ask KMA for each grid cell of ``districts`` and keep the raw answers of this run.

    ``connection`` names an Airflow connection with the service's schema, host and port, and the key as its
    password. Where nobody has made it, ``without_connection`` decides: ``sample`` takes made-up answers, and
    says so; ``fail`` fails. The hour forecast is the full hour of ``run_after`` (ISO 8601) plus one, KST.
    Cells that this run already has from the same source are not asked for again. Returns the raw folder,
    the hour, the source and the number of cells.
    """
    moment = parse_time(run_after)
    hour = _kma.target_hour(moment)
    cells = sorted({district.cell for district in _weather_csv.read_districts(districts)})
    folder = output_path("weather", "raw", f"date={hour:%Y-%m-%d}", safe_name(run_id))
    source, ask = _source(connection, without_connection)
    failures = []
    for cell in cells:
        path = folder / f"{cell[0]}-{cell[1]}.json"
        if path.exists() and json.loads(path.read_text(encoding="utf-8"))["source"] == source:
            continue
        try:
            base, items = ask(_kma.newest_base(moment), cell)
        except _kma.KmaError as error:
            if error.permanent:
                fail(str(error))
            failures.append(f"cell {cell[0]},{cell[1]}: {error}")
            continue
        if not _weather_csv.forecast_values(items, hour):
            # Not kept: a later try may get an answer that has the hour.
            failures.append(
                f"cell {cell[0]},{cell[1]}: the answer of {base:%H:%M} lacks {hour:%Y-%m-%d %H:%M}"
            )
            continue
        collected = moment if source == "sample" else datetime.now(UTC)
        record = {
            "source": source,
            "run_id": run_id,
            "base_at": base.isoformat(),
            "collected_at": collected.astimezone(_kma.KST).isoformat(timespec="seconds"),
            "cell": list(cell),
            "items": items,
        }
        write_atomic(path, to_json(record))
    if failures:
        raise RuntimeError(
            f"{len(failures)} of {len(cells)} cells did not arrive; a retry asks for these alone:\n"
            + "\n".join(failures)
        )
    log.info("%d cells for %s from %s in %s", len(cells), hour, source, folder)
    return {
        "raw": relative_to_project(folder),
        "hour": hour.isoformat(),
        "source": source,
        "cells": len(cells),
    }


def preprocess(*, raw: str, hour: str, districts: str) -> dict:
    """Turn the raw answers in folder ``raw`` into rows for ``hour`` (ISO 8601) and merge them into the CSVs.

    Depends on the raw files alone: the same files give the same rows. Raises ValueError that names the
    districts whose answer lacks the hour; the others are written first. Returns counts and the newest file.
    """
    moment = parse_time(hour).astimezone(_kma.KST)
    folder = project_path(raw)
    rows, without = [], []
    for district in _weather_csv.read_districts(districts):
        path = folder / f"{district.cell[0]}-{district.cell[1]}.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"items": []}
        values = _weather_csv.forecast_values(record["items"], moment)
        if not values:
            without.append(district.name_en)
            continue
        rows.append(
            {
                "forecast_at": moment.isoformat(),
                "district": district.name_ko,
                "district_en": district.name_en,
                "code": district.code,
                "nx": str(district.cell[0]),
                "ny": str(district.cell[1]),
                **values,
                **{name: record[name] for name in ("base_at", "collected_at", "source", "run_id")},
            }
        )
    files = _weather_csv.upsert(rows) if rows else []
    log.info("merged %d rows for %s into %d files", len(rows), moment, len(files))
    if without:
        raise ValueError(
            f"no forecast for {moment:%Y-%m-%d %H:%M} in {raw} for: {', '.join(without)}; clear `collect`"
        )
    return {
        "rows": len(rows),
        "hour": hour,
        "latest": relative_to_project(output_path("weather", "latest.csv")),
    }


Ask = Callable[[datetime, tuple[int, int]], tuple[datetime, list[dict]]]


def _source(connection: str, without: str) -> tuple[str, Ask]:
    """Return the source's name and a function from (base, cell) to (base that answered, items)."""
    from callables._http import new_session
    from callables._kma_sample import sample_items

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
        return "sample", lambda base, cell: (base, sample_items(base, cell))
    service = _kma.service_of(found)
    session = new_session(service.key)

    def ask(base: datetime, cell: tuple[int, int]) -> tuple[datetime, list[dict]]:
        try:
            return base, _kma.fetch(session, service, base, cell)
        except _kma.KmaError as error:
            if error.code != _kma.NO_DATA:
                raise
        # The base is not out yet; the one before it forecasts the same hour in a later slot.
        earlier = base - timedelta(hours=1)
        return earlier, _kma.fetch(session, service, earlier, cell)

    return "kma", ask
