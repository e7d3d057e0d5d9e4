"""The rows of one run with ``rows: incremental``: picked as they are read, and then claimed.

The claim comes before the run's file, so that no row is ever in the files of two runs. A run that was killed
in between finds its rows by its claim; one whose file is in its place, by the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from batch_serving.prediction.claims import Claim, Claims, digest_of
from batch_serving.prediction.cursor import Cursor, Infinite, Mark, mark_from_json
from batch_serving.prediction.run_files import written_ids
from batch_serving.prediction.watermark import NothingNewError, Watermark, marks_in
from batch_serving.shared.files import ChangedError
from batch_serving.shared.wording import SHOWN, counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.prediction.places import PredictionRun
    from batch_serving.prediction.row_source import RowSource
    from batch_serving.prediction.selection import NewRows

log = logging.getLogger(__name__)

Rule = Callable[[str, bytes, Mark], bool]
WRITE_TRIES = 20  # on object storage, where another run may have been first


class TakenError(Exception):
    """Another run has claimed some of the rows meanwhile: choose again."""


class VersionsError(Exception):
    """The source has two versions of a row that this run has predicted: choose again, by their marks."""


class RowChoice:
    """Decides row by row which ones are a run's, by what was claimed when it began.

    ``written`` are the ids in the run's file, if it is in its place; ``until`` and ``lag`` are those of the
    run's selection. ``by_mark`` after a VersionsError.
    """

    def __init__(
        self,
        claims: Claims,
        run_id: str,
        written: Iterable[str],
        until: Mark,
        lag: float,
        *,
        by_mark: bool = False,
    ) -> None:
        """Find out which rule holds: the run had rows before, or it takes those that are free."""
        self._run_id, self._until, self._lag, self._by_mark = run_id, until, lag, by_mark
        self._claims, self._known = claims, claims.of_run(run_id)
        self._written = frozenset(written)
        self._lost = set(self._written)  # until they are found
        self._settled_then = claims.settled_by(until, lag)
        self._settled_rows = 0
        self._picked: list[tuple[bytes, Mark]] = []
        self._is_mine = self._rule()

    def _rule(self) -> Rule:
        known, claims, until = self._known, self._claims, self._until
        if self._written and known is not None and self._by_mark:
            is_own = _in_range(known, claims)
            return lambda row, digest, mark: row in self._written and is_own(row, digest, mark)
        if self._written:
            return lambda row, _digest, _mark: row in self._written
        if known is None:
            return lambda _row, digest, mark: mark <= until and claims.is_free(digest, mark)  # type: ignore[operator]
        if known.digests is not None and known.is_open:
            digests = known.digests
            return lambda _row, digest, _mark: digest in digests
        log.warning("the file of this run is lost: its rows are found by their range, without late ones")
        return _in_range(known, claims)

    def takes(self, row: str, mark: Mark | Infinite | None) -> bool:
        """Return whether the run predicts this row; VersionsError if it is the second with an id."""
        if mark is None or isinstance(mark, Infinite):
            is_mine = row in self._written and not self._by_mark
        else:
            self._settled_rows += self._settled_then.has(mark)
            digest = digest_of(row, mark)
            is_mine = self._is_mine(row, digest, mark)
            if is_mine:
                self._picked.append((digest, mark))
        if is_mine and self._written:
            self._find(row)
        return is_mine

    def _find(self, row: str) -> None:
        if row not in self._lost and self._known is not None and not self._by_mark:
            raise VersionsError
        self._lost.discard(row)

    @property
    def lost(self) -> list[str]:
        """The ids in the run's file that the source no longer has."""
        return sorted(self._lost)

    @property
    def is_empty(self) -> bool:
        """Whether the run has no row, now and before."""
        return not self._picked and not self._written

    @property
    def has_to_claim(self) -> bool:
        """Whether the rows are not the run's yet."""
        return self._known is None and not self._written

    def claimed(self, claims: Claims) -> Claims:
        """Return the claims with those of the run; TakenError if another run has one of its rows."""
        is_known = claims.of_run(self._run_id) is not None
        if is_known or not all(claims.is_free(digest, mark) for digest, mark in self._picked):
            raise TakenError
        digests = frozenset(digest for digest, _ in self._picked)
        until = max(mark for _, mark in self._picked)
        claim = Claim(self._run_id, claims.until, until, digests, is_open=True)
        return claims.with_claim(claim, self._lag, self._settled_rows)

    def confirmed(self, claims: Claims) -> Claims:
        """Return the claims once the run's file is in its place: it says from now on which rows it has."""
        known = claims.of_run(self._run_id)
        if known is None or not known.is_open:
            return claims
        # Only what was claimed: a row that was corrected since is another one, which no run has yet.
        settled = frozenset(digest for digest, mark in self._picked if claims.is_settled(mark))
        return claims.with_file_of(self._run_id, (known.digests or frozenset()) - settled)


def _in_range(known: Claim, claims: Claims) -> Rule:
    """Return the rule for a run of which only some digests are kept: it had the others in its range.

    Among the rows that are not settled, a claim has the digests of all that are its own.
    """
    own, others = known.digests or frozenset(), claims.taken_by_others(known.run_id)

    def is_mine(_row: str, digest: bytes, mark: Mark) -> bool:
        if digest in own or not claims.is_settled(mark):
            return digest in own
        is_above = known.after is None or mark > known.after  # type: ignore[operator]
        return is_above and mark <= known.until and digest not in others  # type: ignore[operator]

    return is_mine


class IncrementalRows:
    """One try of a run: its rows in the frames of a source, and its entry in the watermark's file."""

    def __init__(
        self, run: PredictionRun, source: RowSource, selection: NewRows, *, by_mark: bool = False
    ) -> None:
        """Read the watermark, and what the run has predicted already; ``by_mark`` after a VersionsError."""
        until = mark_from_json(selection.until)
        if until is None:
            raise ValueError("the selection has no `until`; pass what draw_rows returned")
        self._source, self._selection = source, selection
        self._watermark = Watermark(run.model, selection.watermark)
        self._cursor = Cursor(selection.cursor_column, until)
        claims, _ = self._watermark.read()
        written = written_ids(run)
        self._choice = RowChoice(claims, run.run_id, written, until, selection.lag, by_mark=by_mark)

    def pick(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return those rows of a chunk that the run predicts."""
        ids = frame[self._source.id_column].tolist()
        marks = marks_in(frame, self._selection.cursor_column, self._source, self._cursor)
        return frame[[self._choice.takes(row, mark) for row, mark in zip(ids, marks, strict=True)]]

    def check(self) -> None:
        """Raise NothingNewError if no row was picked, and ValueError if rows of an earlier try are gone."""
        if lost := self._choice.lost:
            raise ValueError(
                f"{counted(len(lost), 'row')} that this run has predicted are no longer in "
                f"{self._source.name}: {', '.join(lost[:SHOWN])}; its file stays unchanged"
            )
        if self._choice.is_empty:
            raise NothingNewError(f"nothing new in {self._source.name}: another run has predicted the rows")

    def claim(self) -> None:
        """Take the rows, before the run's file becomes visible; TakenError if another run has one of them."""
        if self._choice.has_to_claim:
            self._change(self._choice.claimed)

    def confirm(self) -> None:
        """Note that the run's file is in its place."""
        self._change(self._choice.confirmed)

    def _change(self, change: Callable[[Claims], Claims]) -> None:
        for _ in range(WRITE_TRIES):
            claims, tag = self._watermark.read()
            new = change(claims)
            if new is claims:
                return
            try:
                self._watermark.write(new, tag, self._selection.source)
            except ChangedError:
                continue
            return
        raise TakenError
