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
from callables._weather_rows import items_of, values_at, values_of

log = logging.getLogger(__name__)

FEWEST_VALUES = 5  # of the 10 of an hour; an answer with fewer is no forecast, and another may be whole
GIVE_UP_AFTER = 3  # cells in a row that the service did not answer for: it is away
GIVE_UP_ON_NONSENSE_AFTER = 6  # cells in a row whose answers were none: a page of its maintenance, say
Cell = tuple[int, int]
Ask = Callable[[list[datetime], Cell], tuple[datetime, str]]


@dataclass
class Budget:
    """What may be spent on asking: a number of cells, and a time. Own cells have none."""

    cells: int
    deadline: float  # of time.monotonic()

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.cells <= 0 or time.monotonic() > self.deadline


@dataclass(frozen=True)
class Failure:
    """Why a cell did not arrive, whether it was asked for, and whether asking again is hopeless."""

    reason: str
    asked: bool = True
    hopeless: bool = False


@dataclass
class Source:
    """Where answers come from: the service (``kma``), or made up (``sample``)."""

    name: str
    ask: Ask  # from (bases, cell) to (the base that answered, its answer)
    clock: datetime
    unanswered: int = 0  # cells in a row
    unusable: int = 0  # cells in a row, answered or not

    @property
    def away(self) -> bool:
        """Whether the service seems to answer nobody at present."""
        return self.unanswered >= GIVE_UP_AFTER or self.unusable >= GIVE_UP_ON_NONSENSE_AFTER

    def collect(self, run: Run, cells: Iterable[Cell], budget: Budget | None = None) -> dict[Cell, Failure]:
        """Keep the answers for those cells of a run that it has not got yet; return why the others failed.

        With a ``budget`` it stops when that is spent. Raises KmaError, after all that came is kept, where
        asking again cannot help for any cell: the key, say.
        """
        bases = _kma.bases_for(parse_time(run.run_after), run.hour, self.clock)
        collected_at = self.clock.astimezone(_kma.KST).isoformat(timespec="seconds")
        # Each try in another order: cells that always fail must not keep it from the others.
        order = list(cells)
        random.Random(f"{run.run_id} {self.clock.isoformat()}").shuffle(order)  # noqa: S311 - no secret
        failures: dict[Cell, Failure] = {}
        for cell in order:
            kept = _weather_raw.read(_weather_raw.path_of(run.folder, cell))
            if kept is not None and self._need_not_ask(kept, run, cell):
                continue
            if self.away:
                failures[cell] = Failure("not asked: the service is away", asked=False)
                continue
            if budget is not None:
                if budget.spent:
                    failures[cell] = Failure("not asked: that is left to the next run", asked=False)
                    continue
                budget.cells -= 1
            new = Raw(run.hour.isoformat(), cell, self.name, run.run_id, collected_at)
            try:
                new = self._answer(new, bases)
            except _kma.KmaError as error:
                if error.permanent:
                    raise
                self._count(error)
                failures[cell] = Failure(str(error), hopeless=error.kind is _kma.Kind.REQUEST)
                continue
            self.unanswered = self.unusable = 0
            if not (kept and new.gone):
                _weather_raw.write(run.folder, new)
        return failures

    def _need_not_ask(self, kept: Raw, run: Run, cell: Cell) -> bool:
        """Tell whether what is kept stays: made-up weather never replaces what the service said."""
        if (kept.hour, kept.cell) != (run.hour.isoformat(), cell):
            return False
        if kept.gone:
            return self.name == "sample"
        return (kept.source == self.name or self.name == "sample") and values_of(kept) is not None

    def _count(self, error: _kma.KmaError) -> None:
        self.unanswered = self.unanswered + 1 if error.kind is _kma.Kind.RETRYABLE else 0
        self.unusable += 1
        if (error.retry_after_s or 0) > _kma.LONGEST_WAIT_S:
            self.unanswered = GIVE_UP_AFTER  # it asks not to be asked

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
        return Source("kma", _asker(_kma.service_of(found), clock, pause_s), clock)
    if without == "fail":
        fail(f"there is no connection {connection!r}, and without_connection is 'fail'")
    log.warning(
        "there is no connection %r: the weather is MADE UP (source=sample). For KMA's, put into .env: "
        'AIRFLOW_CONN_KMA_API={"conn_type": "http", "password": "<the Decoding key>"}',
        connection,
    )
    return Source("sample", lambda bases, cell: (bases[0], sample_answer(bases[0], cell)), clock)


def _asker(service: _kma.Service, clock: datetime, pause_s: float) -> Ask:
    from callables._http import new_session

    session = new_session(service.key)
    not_out: set[datetime] = set()

    def ask(bases: list[datetime], cell: Cell) -> tuple[datetime, str]:
        time.sleep(pause_s)  # a burst of calls brings time-outs and 429
        failed: dict[datetime, _kma.KmaError] = {}
        for base in bases:
            try:
                return base, fetch(base, cell)
            except _kma.KmaError as error:
                if error.kind is not _kma.Kind.NO_DATA and not _kma.is_refused(error, base, clock):
                    raise
                failed[base] = error
        raise failed[max(bases)]  # the one that the service has the longest

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
