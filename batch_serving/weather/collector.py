"""Collecting forecasts cell by cell: what arrives is stored immediately, and each failure has a reason."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from batch_serving.weather import kma, raw_answers
from batch_serving.weather.districts import Cell, District, cells_of
from batch_serving.weather.kma_bases import KST, bases_for, is_gone
from batch_serving.weather.kma_errors import MALFORMED, Kind, KmaError
from batch_serving.weather.raw_answers import RawAnswer
from batch_serving.weather.runs import Run
from batch_serving.weather.sources import Source
from batch_serving.weather.values import items_of, values_at, values_in

MIN_VALUES = 5  # of the 10 of an hour; an answer with fewer is not a forecast, and a later one may be
UNAVAILABLE_AFTER = 3  # cells in a row without an answer: the service is unavailable
UNUSABLE_AFTER = 6  # cells in a row without a forecast: the answers are a maintenance page, for example


@dataclass
class Budget:
    """How many cells may be requested, and until when."""

    cells: int
    deadline: float  # of time.monotonic()

    @property
    def is_spent(self) -> bool:
        """Whether no more cells may be requested."""
        return self.cells <= 0 or time.monotonic() > self.deadline

    def spend(self) -> bool:
        """Take one cell from the budget; return whether it may be requested."""
        if self.is_spent:
            return False
        self.cells -= 1
        return True


@dataclass(frozen=True)
class Failure:
    """Why a cell has no answer, whether it was requested, and whether a retry cannot help."""

    reason: str
    requested: bool = True
    permanent: bool = False


class Answers(Protocol):
    """Where the answers of a run are kept."""

    def read(self, run: Run, cell: Cell) -> RawAnswer | None:
        """Return the answer that is kept for a cell, if there is one."""

    def write(self, run: Run, raw: RawAnswer) -> None:
        """Keep an answer."""


class AnswerFiles:
    """Answers in files, one for each cell, in the folder of their run."""

    def read(self, run: Run, cell: Cell) -> RawAnswer | None:
        """Return the answer in the file of a cell."""
        return raw_answers.read(raw_answers.path_of(run.folder, cell))

    def write(self, run: Run, raw: RawAnswer) -> None:
        """Write the file of a cell."""
        raw_answers.write(run.folder, raw)


class AnswersInMemory:
    """Answers of one task that puts them somewhere itself."""

    def __init__(self) -> None:
        """Begin without any."""
        self.by_cell: dict[Cell, RawAnswer] = {}

    def read(self, run: Run, cell: Cell) -> RawAnswer | None:  # noqa: ARG002 # of one run
        """Return the answer for a cell."""
        return self.by_cell.get(cell)

    def write(self, run: Run, raw: RawAnswer) -> None:  # noqa: ARG002 # of one run
        """Keep the answer for its cell."""
        self.by_cell[raw.cell] = raw


@dataclass
class Collector:
    """Collects for one task: once the service seems unavailable, it makes no more requests."""

    source: Source
    now: datetime
    answers: Answers = field(default_factory=AnswerFiles)
    unanswered: int = 0  # cells in a row
    unusable: int = 0  # cells in a row, answered or not

    @property
    def is_unavailable(self) -> bool:
        """Whether the service seems unavailable."""
        return self.unanswered >= UNAVAILABLE_AFTER or self.unusable >= UNUSABLE_AFTER

    def collect(self, run: Run, cells: Iterable[Cell], budget: Budget | None = None) -> dict[Cell, Failure]:
        """Store the answers for those cells of a run that it does not have; return why the others failed.

        With a ``budget`` it stops when that is spent. Raises KmaError, after everything that came is stored,
        if a retry cannot help for any cell: for example a wrong key.
        """
        failures: dict[Cell, Failure] = {}
        failure: Failure | None
        for cell in self._shuffled(run, cells):
            kept = self.answers.read(run, cell)
            if kept is not None and self._is_final(kept, run, cell):
                continue
            if self.is_unavailable:
                failure = Failure("not requested: the service is unavailable", requested=False)
            elif budget is not None and not budget.spend():
                failure = Failure("not requested: left to the next run", requested=False)
            else:
                failure = self._collect_cell(run, cell, kept)
            if failure is not None:
                failures[cell] = failure
        return failures

    def _shuffled(self, run: Run, cells: Iterable[Cell]) -> list[Cell]:
        """Return the cells in another order for each try: one that always fails must not block the others."""
        order = list(cells)
        random.Random(f"{run.run_id} {self.now.isoformat()}").shuffle(order)  # noqa: S311 - not a secret
        return order

    def _is_final(self, kept: RawAnswer, run: Run, cell: Cell) -> bool:
        """Return whether a stored answer stays: sample weather never replaces an answer of KMA."""
        if (kept.hour, kept.cell) != (run.hour.isoformat(), cell):
            return False
        if self.source.name != "sample" and (kept.gone or kept.source != self.source.name):
            return False
        return bool(kept.gone) or values_in(kept) is not None

    def _collect_cell(self, run: Run, cell: Cell, kept: RawAnswer | None) -> Failure | None:
        """Request one cell and store the answer; a note that none can come replaces no stored answer."""
        try:
            answer = self._request(run, cell)
        except KmaError as error:
            if error.is_permanent:
                raise
            self._count(error)
            return Failure(str(error), permanent=error.kind is Kind.REQUEST)
        self.unanswered = self.unusable = 0
        if not (kept and answer.gone):
            self.answers.write(run, answer)
        return None

    def _count(self, error: KmaError) -> None:
        self.unanswered = self.unanswered + 1 if error.kind is Kind.RETRYABLE else 0
        self.unusable += 1
        if (error.retry_after_s or 0) > kma.MAX_WAIT_S:
            self.unanswered = UNAVAILABLE_AFTER  # the service asks for a longer pause

    def _request(self, run: Run, cell: Cell) -> RawAnswer:
        """Return the answer for a cell, or a note that none can come any more.

        Raises KmaError if a later try may get an answer, also for an answer without the hour.
        """
        bases = bases_for(run.due_at, run.hour, self.now)
        collected_at = self.now.astimezone(KST).isoformat(timespec="seconds")
        raw = RawAnswer(run.hour.isoformat(), cell, self.source.name, run.run_id, collected_at)
        try:
            answer = self.source.fetch(bases, cell)
            raw_with_answer = replace(raw, base_at=answer.base.isoformat(), answer=answer.text)
            values = values_at(items_of(raw_with_answer), run.hour)
        except KmaError as error:
            if is_gone(error, max(bases), self.now):
                return replace(raw, gone=f"KMA no longer has the forecast of {bases[0]:%Y-%m-%d %H:%M}")
            raise
        except Exception as error:  # an unforeseen answer fails its own cell only
            raise KmaError(MALFORMED, f"{type(error).__name__} while reading the answer") from None
        if not values:
            raise KmaError(MALFORMED, f"the answer of {answer.base:%H:%M} lacks {run.hour:%Y-%m-%d %H:%M}")
        if len(values) < MIN_VALUES:
            raise KmaError(MALFORMED, f"the answer has {len(values)} values for the hour, of 10")
        return raw_with_answer


@dataclass(frozen=True)
class Collection:
    """How the collection of a run ended: its districts, and the cells that failed."""

    districts: list[District]
    failures: dict[Cell, Failure]

    @property
    def cells(self) -> list[Cell]:
        """All cells of the run."""
        return cells_of(self.districts)

    @property
    def answered(self) -> list[Cell]:
        """The cells that did not fail."""
        return [cell for cell in self.cells if cell not in self.failures]

    @property
    def is_permanent(self) -> bool:
        """Whether a retry cannot help any of the cells that failed."""
        return all(failure.permanent for failure in self.failures.values() if failure.requested)

    def message(self, districts_file: str) -> str:
        """Return what failed and what to do, with a line for each cell that failed."""
        failed = f"{len(self.failures)} of {len(self.cells)} cells have no forecast."
        if self.is_permanent:
            advice = f"KMA rejects the requests; correct these cells in {districts_file}, or remove them:"
        else:
            advice = "A retry, and then each later run, requests only these; KMA has them for about a day:"
        lines = [
            f"cell {cell.nx},{cell.ny} ({self._names_in(cell)}): {failure.reason}"
            for cell, failure in sorted(self.failures.items(), key=lambda item: item[0])
        ]
        return "\n".join([f"{failed} {advice}", *lines])

    def _names_in(self, cell: Cell) -> str:
        return "/".join(district.name_en for district in self.districts if district.cell == cell)
