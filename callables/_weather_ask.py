"""Asking for the weather, cell by cell: what comes is kept at once, what fails is told apart."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from callables import _kma, _weather_raw
from callables._airflow import fail, find_connection
from callables._run import parse_time
from callables._weather_raw import Raw, Run
from callables._weather_rows import items_of, values_at

log = logging.getLogger(__name__)

FEWEST_VALUES = 5  # of the 10 of an hour; an answer with fewer is no forecast, and another may be whole
GIVE_UP_AFTER = 3  # cells in a row that the service did not answer for: it is away
Cell = tuple[int, int]
Ask = Callable[[list[datetime], Cell], tuple[datetime, str]]


@dataclass
class Source:
    """Where answers come from: the service (``kma``), or made up (``sample``)."""

    name: str
    ask: Ask  # from (bases, cell) to (the base that answered, its answer)
    clock: datetime
    failed_in_a_row: int = 0

    @property
    def away(self) -> bool:
        """Whether the service seems to answer nobody at present."""
        return self.failed_in_a_row >= GIVE_UP_AFTER

    def collect(self, run: Run, cells: Iterable[Cell]) -> dict[Cell, str]:
        """Keep the answers for those cells of a run that it has not got yet; return why the others failed.

        Raises KmaError, after all that came is kept, where asking again cannot help: the key, say.
        """
        bases = _kma.bases_for(parse_time(run.run_after), run.hour, self.clock)
        collected_at = self.clock.astimezone(_kma.KST).isoformat(timespec="seconds")
        # Each try in another order: cells that always fail must not keep it from the others.
        order = list(cells)
        random.Random(f"{run.run_id} {self.clock.isoformat()}").shuffle(order)  # noqa: S311 - no secret
        failures: dict[Cell, str] = {}
        for cell in order:
            kept = _weather_raw.read(_weather_raw.path_of(run.folder, cell))
            if kept and not kept.gone and (kept.source == self.name or self.name == "sample"):
                continue  # what the service said is never replaced by made-up weather
            if self.away:
                failures[cell] = "not asked: the service is away"
                continue
            new = Raw(run.hour.isoformat(), cell, self.name, run.run_id, collected_at)
            try:
                new = self._answer(new, bases)
            except _kma.KmaError as error:
                if error.permanent:
                    raise
                self._count(error)
                failures[cell] = str(error)
                continue
            self.failed_in_a_row = 0
            if not (kept and new.gone):
                _weather_raw.write(run.folder, new)
        return failures

    def _count(self, error: _kma.KmaError) -> None:
        self.failed_in_a_row = self.failed_in_a_row + 1 if error.kind is _kma.Kind.RETRYABLE else 0
        if (error.retry_after_s or 0) > _kma.LONGEST_WAIT_S:
            self.failed_in_a_row = GIVE_UP_AFTER  # it asks not to be asked

    def _answer(self, new: Raw, bases: list[datetime]) -> Raw:
        """Return ``new`` with the answer for its cell, or with the reason why none can come any more.

        Raises KmaError where a later try may get one; so it does when the hour is not in the answer.
        """
        try:
            answered, answer = self.ask(bases, new.cell)
            found = replace(new, base_at=answered.isoformat(), answer=answer)
            hour = datetime.fromisoformat(new.hour)
            values = values_at(items_of(found), hour)
        except _kma.KmaError as error:
            if _kma.is_gone(error, max(bases), self.clock):
                return replace(new, gone=f"KMA no longer has the forecast of {bases[0]:%Y-%m-%d %H:%M}")
            raise
        except Exception as error:  # an answer that nobody thought of costs its own cell alone
            raise _kma.KmaError(_kma.MALFORMED, f"{type(error).__name__} while reading the answer") from None
        if not values:
            raise _kma.KmaError(_kma.MALFORMED, f"the answer of {answered:%H:%M} lacks {hour:%Y-%m-%d %H:%M}")
        if len(values) < FEWEST_VALUES:
            raise _kma.KmaError(_kma.MALFORMED, f"the answer has {len(values)} values for the hour, of 10")
        return found


def find_source(connection: str, without: str, clock: datetime, pause_s: float) -> Source:
    """Return the service that ``connection`` names; where there is none, ``without`` says what to take.

    ValueError, with what to do, for a connection that cannot be used.
    """
    from callables._kma_sample import sample_answer

    if without not in ("sample", "fail"):
        raise ValueError(f"without_connection is {without!r}; it must be 'sample' or 'fail'")
    found = find_connection(connection)
    if found is not None:
        return Source("kma", _asker(_kma.service_of(found), pause_s), clock)
    if without == "fail":
        fail(f"there is no connection {connection!r}, and without_connection is 'fail'")
    log.warning(
        "there is no connection %r: the weather is MADE UP (source=sample). For KMA's, put into .env: "
        'AIRFLOW_CONN_KMA_API={"conn_type": "http", "password": "<the Decoding key>"}',
        connection,
    )
    return Source("sample", lambda bases, cell: (bases[0], sample_answer(bases[0], cell)), clock)


def _asker(service: _kma.Service, pause_s: float) -> Ask:
    from callables._http import new_session

    session = new_session(service.key)
    not_out: set[datetime] = set()

    def ask(bases: list[datetime], cell: Cell) -> tuple[datetime, str]:
        time.sleep(pause_s)  # a burst of calls brings time-outs and 429
        for base in bases:
            try:
                return base, fetch(base, cell)
            except _kma.KmaError as error:
                if error.kind is not _kma.Kind.NO_DATA:
                    raise
                last = error
        raise last

    def fetch(base: datetime, cell: Cell) -> str:
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

    return ask
