"""``rows: incremental``: the file that says which rows of a source are predicted by a model.

``output/predictions/<model>/<name>.json`` has the greatest mark that was predicted, what is settled below it,
and the claims of the last runs, so that a cleared run predicts the same rows again. claims.py has the rules.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from batch_serving.prediction.claims import Claims, digest_of
from batch_serving.prediction.cursor import Cursor, Infinite, Mark, latest_mark, mark_text, mark_to_json
from batch_serving.prediction.row_source import Wanted
from batch_serving.prediction.selection import NewRows
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import read_with_tag, seal, unseal, write_if_unchanged
from batch_serving.shared.paths import output_path, relative_to_project, safe_name
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from batch_serving.prediction.row_source import RowSource

log = logging.getLogger(__name__)

BEFORE = "progress"  # the name since the first release
OF_A_DAG = re.compile(r"(?P<dag_id>.+)\.[a-z_]+__\d{4}-\d{2}-\d{2}T")  # and the run_id that Airflow makes
LAG_OF_TIMES_S = 3600.0  # late rows are looked for within this, unless YAML gives another `lag`


class NothingNewError(Exception):
    """The source has no rows that wait to be predicted."""


@dataclass(frozen=True)
class Limits:
    """How far rows may be late, and the last moment whose rows are predicted.

    ``lag`` is in seconds for a column of times, and in the column's own unit otherwise; None for the default.
    ``zone`` is that of times without an offset.
    """

    lag: float | None
    last_moment: datetime
    zone: ZoneInfo

    def lag_for(self, mark: Mark) -> float:
        """Return the lag for marks of this kind."""
        if self.lag is not None:
            return self.lag
        return LAG_OF_TIMES_S if isinstance(mark, datetime) else 0


def own_watermark(model: str, run_id: str) -> str:
    """Return the name of the watermark of a run's DAG, whose dag_id is at the start of the run_id.

    A run_id without a dag_id has the name of earlier releases, ``progress``, and so has a DAG that has used
    it.
    """
    match = OF_A_DAG.match(run_id)
    if match is None:
        return BEFORE
    claims, _ = Watermark(model, BEFORE).read()
    if any(claim.run_id.startswith(f"{match['dag_id']}.") for claim in claims.runs):
        return BEFORE
    return f"{BEFORE}-{safe_name(match['dag_id'])}"


def check_watermark_name(name: str) -> None:
    """Raise InvalidValueError for a text that cannot be the name of a watermark's file."""
    if safe_name(name) != name:
        raise InvalidValueError(f"watermark is {name!r}", "use letters, digits, '.', '_' and '-'")


class Watermark:
    """Which rows of one source are predicted by one model."""

    def __init__(self, model: str, name: str) -> None:
        """Open the watermark ``name`` of ``model``; InvalidValueError if no file can have that name."""
        check_watermark_name(name)
        self.name = name
        self.path: UPath = output_path("predictions", model, f"{name}.json")

    def choose(self, source: RowSource, cursor_column: str, run_id: str, limits: Limits) -> NewRows:
        """Return up to where the run predicts: the new rows, or those that it had before.

        Rows without a mark, and those with a mark after the last moment, are left for later runs, with a
        warning. Raises NothingNewError without new rows, and ValueError when the watermark is of another
        source or corrupt, or the column has no order.
        """
        claims, _ = self.read()
        identity = f"{source.identity}, by {cursor_column}"
        self._check_source(claims, identity)
        known = claims.of_run(run_id)
        if known is not None:
            lag = limits.lag_for(known.until)
            return NewRows(cursor_column, self.name, identity, mark_to_json(known.until), lag)
        found = Survey(claims, Cursor(cursor_column, claims.until), limits)
        for frame in source.chunks(Wanted(texts=(cursor_column,))):
            found.add(frame[source.id_column].tolist(), marks_in(frame, cursor_column, source, found.cursor))
        for text in found.warnings():
            log.warning("%s: %s", source.name, text)
        if found.until is None:
            raise NothingNewError(f"nothing new in {source.name}: {found.reason()}")
        log.info("%s new, by %s up to %s", counted(found.rows, "row"), cursor_column, mark_text(found.until))
        lag = limits.lag_for(found.until)
        return NewRows(cursor_column, self.name, identity, mark_to_json(found.until), lag)

    def _check_source(self, claims: Claims, identity: str) -> None:
        if claims.source in (None, identity):
            return
        content = json.dumps({"of": identity, "until": mark_to_json(claims.until), "runs": []})
        raise ValueError(
            f"{relative_to_project(self.path)} is the watermark of {claims.source}, but this task draws from "
            f"{identity}; give draw_rows its own `watermark: <name>`, which starts with all rows, or, if "
            f"they are the same rows, write {content} into that file"
        )

    def read(self) -> tuple[Claims, str]:
        """Return what the file says, and a tag for ``write``; ValueError with the remedy if it is corrupt."""
        data, tag = read_with_tag(self.path)
        if data is None:
            return Claims(), tag
        try:
            return Claims.from_json(unseal(data)), tag
        except (ValueError, KeyError, TypeError, ArithmeticError):
            content = json.dumps({"until": "<the greatest value predicted>", "runs": []})
            raise ValueError(
                f"{relative_to_project(self.path)} is corrupt, so it is not known which rows are new; "
                f"write {content} into it"
            ) from None

    def write(self, claims: Claims, tag: str, source: str) -> None:
        """Replace the file; ChangedError if another run has written it since it was read."""
        write_if_unchanged(self.path, seal(replace(claims, source=source).to_json()), tag)


def marks_in(
    frame: pd.DataFrame, cursor_column: str, source: RowSource, cursor: Cursor
) -> list[Mark | Infinite | None]:
    """Return the marks of a chunk's rows; ValueError if the source does not have the cursor column."""
    if cursor_column not in frame.columns:
        raise ValueError(f"{source.name} has no column {cursor_column!r} for `cursor_column`")
    return cursor.marks(frame[cursor_column])


class Survey:
    """Counts the rows of a source: new ones, and those that are left for later runs."""

    def __init__(self, claims: Claims, cursor: Cursor, limits: Limits) -> None:
        """Take what was claimed, the column, and the limits."""
        self._claims, self.cursor, self._limits = claims, cursor, limits
        self.rows = 0
        self.until: Mark | None = None
        self._greatest: Mark | None = None
        self._settled = self._empty = 0
        self._future: dict[str, str] = {}  # rows by id, with their marks

    def add(self, ids: list[str], marks: list[Mark | Infinite | None]) -> None:
        """Count the rows of a chunk."""
        for row, mark in zip(ids, marks, strict=True):
            if mark is None:
                self._empty += 1
            elif isinstance(mark, Infinite):
                self._future[row] = "infinity"
            else:
                self._greatest = mark if self._greatest is None else max(self._greatest, mark)
                self._add(row, mark)

    def _add(self, row: str, mark: Mark) -> None:
        if self._claims.is_settled(mark):
            self._settled += 1
        elif not self._claims.is_free(digest_of(row, mark), mark):
            return  # another run has it, perhaps one that is later than this one
        elif self._is_future(mark):
            self._future[row] = mark_text(mark)
        else:
            self.rows += 1
            self.until = mark if self.until is None else max(self.until, mark)

    def _is_future(self, mark: Mark) -> bool:
        last = latest_mark(self._limits.last_moment, mark, self._limits.zone)
        return last is not None and mark > last  # type: ignore[operator]

    def warnings(self) -> list[str]:
        """Return what is left for later runs, or for none."""
        column, texts = self.cursor.name, []
        if self._empty:
            rows = counted(self._empty, "row")
            texts.append(f"{column!r} is empty in {rows}, left out: predicted once it has a value")
        if self._future:
            row, mark = next(iter(self._future.items()))
            rows = counted(len(self._future), "row")
            texts.append(
                f"{column!r} is in the future in {rows}, left out: row {row} has {mark}; correct it, or it "
                "is predicted when that time has come"
            )
        before = self._claims.settled_rows
        if before is not None and self._settled > before and self._claims.settled is not None:
            rows = counted(self._settled - before, "row")
            texts.append(
                f"{rows} came later than `lag` allows, with {column!r} before "
                f"{mark_text(self._claims.settled.mark)}, and will not be predicted; give a greater "
                "`lag`, and predict these once with `rows: all`"
            )
        return [*texts, *self._gone()]

    def _gone(self) -> list[str]:
        """Return that the greatest mark has become smaller: so it is after a table was emptied and filled."""
        until = self._claims.until
        if until is None or self._greatest is None or self._greatest >= until:  # type: ignore[operator]
            return []
        return [
            f"{self.cursor.name!r} is at most {mark_text(self._greatest)}, but rows up to {mark_text(until)} "
            "were predicted: if the source was emptied and filled again, give draw_rows another "
            "`watermark: <name>`, which starts with all rows; if rows were deleted, there is nothing to do"
        ]

    def reason(self) -> str:
        """Return why there are no new rows."""
        known = self._claims.until
        if known is None:
            return f"no row has a value of {self.cursor.name} that can be predicted yet"
        return f"no {self.cursor.name} is greater than {mark_text(known)}, and no row is late"
