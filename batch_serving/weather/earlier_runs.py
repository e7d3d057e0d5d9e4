"""What earlier, unfinished runs lack: ``collect`` requests it, and ``preprocess`` merges it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batch_serving.shared.unreachable import UnreachableError
from batch_serving.weather import raw_answers, unfinished
from batch_serving.weather.collector import Budget, Collection, Collector
from batch_serving.weather.districts import District
from batch_serving.weather.kma_errors import KmaError
from batch_serving.weather.rows import Batch, missing_row, read_rows
from batch_serving.weather.runs import Run

log = logging.getLogger(__name__)

MAX_TIME_S = 300  # for the cells of earlier runs; the next run requests the rest
MAX_CELLS = 100  # at a time, since the service's quota is about 10,000 calls a day
MAX_CELLS_AFTER_FAILURES = 20  # when the run's own cells failed, and a retry will request them
GIVE_UP_AFTER = timedelta(days=3, hours=1)  # the service has nothing that is older


def collect_earlier(collector: Collector, run: Run, collection: Collection) -> None:
    """Request what unfinished runs of earlier hours lack, after the collection of ``run`` itself.

    Only cells that the service has just answered, within a limit of time and of cells. Logs its failures:
    whatever an old hour lacks, or where it cannot be stored, does not stop ``run``.
    """
    cells = collection.answered
    max_cells = MAX_CELLS_AFTER_FAILURES if collection.failures else MAX_CELLS
    budget = Budget(max_cells, time.monotonic() + MAX_TIME_S)
    for other in unfinished.find_all(run.districts):
        if other.run.hour >= run.hour:
            continue
        if collector.source.name == "sample" and other.source != "sample":
            continue  # sample weather does not complete answers of KMA
        if collector.is_unavailable or budget.is_spent or not cells:
            return
        try:
            failures = collector.collect(other.run, cells, budget)
        except KmaError as error:
            log.warning("earlier hours are not collected: %s", error)
            return
        except UnreachableError as error:
            log.error("%s is left to the next run: %s", other.run.hour, error)
            continue
        log.info("%s: %d of %d cells are still missing", other.run.hour, len(failures), len(cells))


@dataclass(frozen=True)
class LateRows:
    """What the raw answers of other, unfinished runs give, and the runs that are complete with it."""

    batch: Batch = field(default_factory=Batch)
    complete: list[Run] = field(default_factory=list)


def read_late_rows(run: Run, districts: list[District], now: datetime | None) -> LateRows:
    """Return the rows of all unfinished runs but ``run``.

    What is more than three days before ``now`` (None if it is not known) cannot come any more, and is noted
    as missing.
    """
    batch, complete = Batch(), []
    for other in unfinished.find_all(run.districts):
        if other.run == run:
            continue
        late = read_rows(raw_answers.read_run(other.run.folder), districts)
        lacking = late.without_rows(districts)
        if lacking and now is not None and now - other.run.hour > GIVE_UP_AFTER:
            late += _missing(other.run, lacking, now)
            lacking = []
        batch += late
        if not lacking:
            complete.append(other.run)
    return LateRows(batch, complete)


def _missing(run: Run, districts: list[District], now: datetime) -> Batch:
    hour, noted_at = run.hour.isoformat(), now.isoformat(timespec="seconds")
    reason = "no run could request it while KMA had it"
    rows = [missing_row(district, hour, reason, noted_at, run.run_id) for district in districts]
    return Batch(missing=rows)
