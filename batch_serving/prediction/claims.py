"""Which rows are predicted, and by which run: the rules of incremental rows, without files.

A row is known by its id and its mark, the value of the cursor column. Rows far enough below the greatest mark
are settled: no run looks at them again. Above, in the window, the claims of the runs say which rows are
taken, so that a late row is predicted once, and so is one of two rows with the same mark.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from batch_serving.prediction.cursor import Mark, below, mark_from_json, mark_text, mark_to_json

RUNS_REMEMBERED = 10_000
_DIGEST_BYTES = 12  # of 3 million rows, two have the same digest with a probability of 10⁻¹⁶

Digests = frozenset[bytes]


def digest_of(row_id: str, mark: Mark) -> bytes:
    """Return what a row is remembered by; one that was corrected, with another mark, is another row."""
    return hashlib.blake2b(f"{row_id}\0{mark_text(mark)}".encode(), digest_size=_DIGEST_BYTES).digest()


@dataclass(frozen=True)
class Settled:
    """The rows that no run looks at any more: those with a mark below ``mark``, or also equal to it."""

    mark: Mark
    with_equal: bool = False

    def has(self, mark: Mark) -> bool:
        """Return whether a row with this mark is settled."""
        return mark <= self.mark if self.with_equal else mark < self.mark  # type: ignore[operator]

    def to_json(self) -> Any:
        """Return the values for JSON."""
        return ["up to" if self.with_equal else "below", mark_to_json(self.mark)]

    @classmethod
    def from_json(cls, value: Any) -> Settled | None:
        """Return what ``to_json`` gave; an exception of any kind if it gave something else."""
        if value is None:
            return None
        word, mark = value
        return cls(_not_none(mark_from_json(mark)), {"up to": True, "below": False}[word])


@dataclass(frozen=True)
class Claim:
    """The rows of one run: between two marks, and exactly those with these digests while they are kept.

    ``is_open`` until the run's file is in its place; then only the rows in the window are kept.
    """

    run_id: str
    after: Mark | None
    until: Mark
    digests: Digests | None = None
    is_open: bool = False

    def to_json(self) -> list[Any]:
        """Return the values for JSON."""
        known = [self.run_id, mark_to_json(self.after), mark_to_json(self.until)]
        if self.digests is None:
            return known
        texts = b64encode(b"".join(sorted(self.digests))).decode()
        return [*known, texts, *(["open"] if self.is_open else [])]

    @classmethod
    def from_json(cls, value: list[Any]) -> Claim:
        """Return the claim that ``to_json`` gave; an exception of any kind if it gave something else."""
        run_id, after, until, *more = value
        digests = None
        if more:
            data, size = b64decode(more[0], validate=True), _DIGEST_BYTES
            digests = frozenset(data[start : start + size] for start in range(0, len(data), size))
        is_open = more[1:] == ["open"]
        return cls(str(run_id), mark_from_json(after), _not_none(mark_from_json(until)), digests, is_open)


def _not_none(mark: Mark | None) -> Mark:
    if mark is None:
        raise ValueError("a mark is missing")
    return mark


@dataclass(frozen=True)
class Claims:
    """All that is known of the rows of one source: what is settled, and the claims of the last runs.

    ``settled_rows`` is how many settled rows the source had when it was last read.
    """

    source: str | None = None
    until: Mark | None = None
    settled: Settled | None = None
    settled_rows: int | None = None
    runs: tuple[Claim, ...] = ()

    def of_run(self, run_id: str) -> Claim | None:
        """Return a run's claim, if it is among the last ones."""
        return next((claim for claim in reversed(self.runs) if claim.run_id == run_id), None)

    @cached_property
    def taken(self) -> Digests:
        """The rows of the window that a run has claimed."""
        return self.taken_by_others("")

    def taken_by_others(self, run_id: str) -> Digests:
        """Return the rows of the window that another run than this one has claimed."""
        kept = (claim.digests for claim in self.runs if claim.digests and claim.run_id != run_id)
        return frozenset().union(*kept)

    def is_settled(self, mark: Mark) -> bool:
        """Return whether no run looks at rows with this mark any more."""
        return self.settled is not None and self.settled.has(mark)

    def is_free(self, row: bytes, mark: Mark) -> bool:
        """Return whether a row waits for a run that predicts it."""
        return not self.is_settled(mark) and row not in self.taken

    def settled_by(self, until: Mark, lag: float) -> Settled:
        """Return what is settled once a run has predicted up to ``until``; it never becomes less."""
        top = until if self.until is None else max(self.until, until)
        new = Settled(below(top, lag))
        if self.settled is None or not self.settled.has(new.mark):
            return new
        return self.settled

    def with_claim(self, claim: Claim, lag: float, settled_rows: int) -> Claims:
        """Return the claims with that of one more run, whose rows are taken from now on."""
        top = claim.until if self.until is None else max(self.until, claim.until)
        settled = self.settled_by(claim.until, lag)
        runs = [_without_settled(other, settled) for other in self.runs]
        return replace(
            self,
            until=top,
            settled=settled,
            settled_rows=settled_rows,
            runs=_remembered([*runs, claim]),
        )

    def with_file_of(self, run_id: str, listed: Digests) -> Claims:
        """Return the claims once a run's file is in its place; of its rows, ``listed`` are kept."""
        runs = [
            replace(claim, digests=listed or None, is_open=False) if claim.run_id == run_id else claim
            for claim in self.runs
        ]
        return replace(self, runs=tuple(runs))

    def to_json(self) -> dict[str, Any]:
        """Return the values for the watermark's file."""
        return {
            "of": self.source,
            "until": mark_to_json(self.until),
            "settled": self.settled.to_json() if self.settled else None,
            "settled_rows": self.settled_rows,
            "runs": [claim.to_json() for claim in self.runs],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Claims:
        """Return the claims in a watermark's file; an exception of any kind if it has something else.

        A file of an earlier release has no ``settled``: all rows up to its mark are.
        """
        until = mark_from_json(found["until"])
        runs = tuple(map(Claim.from_json, found["runs"]))
        if "settled" in found:
            settled = Settled.from_json(found["settled"])
        else:
            settled = None if until is None else Settled(until, with_equal=True)
        return cls(found.get("of"), until, settled, found.get("settled_rows"), runs)


def _without_settled(claim: Claim, settled: Settled) -> Claim:
    """Return a claim without its digests, if its file is in its place and all its rows are settled."""
    if claim.is_open or claim.digests is None or not settled.has(claim.until):
        return claim
    return replace(claim, digests=None)


def _remembered(runs: list[Claim]) -> tuple[Claim, ...]:
    """Return the last claims, and all older ones whose rows another run could still take."""
    return tuple(
        claim
        for place, claim in enumerate(runs, start=RUNS_REMEMBERED - len(runs))
        if place >= 0 or claim.digests is not None
    )
