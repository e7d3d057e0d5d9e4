"""The cursor column of incremental rows: its values, the marks, have an order in which new rows come last.

A mark is a number (exact, of any size), a time, or a text; a duration is a number of seconds. A column has
marks of one kind.
"""

from __future__ import annotations

import contextlib
import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from batch_serving.ml.values import is_missing, is_number_text, text_of

if TYPE_CHECKING:
    import pandas as pd

Mark = int | Decimal | datetime | str
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
_NEVER = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
# Dates and times whose texts are in another order: day first, or without leading zeros.
_UNORDERED = re.compile(r"\d\d?[-/.]\d\d?[-/.]\d{4}|\d{4}[-/.](\d[-/.]|\d\d[-/.](\d(\D|$)|\d\d[ T]\d:))")

_DIGITS = 200  # of a difference: NUMERIC columns have more than the 28 of Python's decimals


class Infinite:
    """A mark that never comes: the number or the time ``infinity``."""


INFINITE = Infinite()


class Cursor:
    """A cursor column: turns values into marks, and refuses marks that have no common order.

    ``known`` is a mark of an earlier run, if there is one.
    """

    def __init__(self, name: str, known: Mark | None = None) -> None:
        """Take the column's name."""
        self.name = name
        self._example = known

    def marks(self, column: pd.Series) -> list[Mark | Infinite | None]:
        """Return the mark of each value, None where it is missing.

        Raises ValueError if there are marks of two kinds, also in another chunk or run, and for texts of
        times that do not sort.
        """
        marks = [mark_of(value, self.name) for value in column.astype(object).tolist()]
        kinds: dict[str, Mark] = {}
        for mark in marks:
            if not isinstance(mark, Infinite | None):
                kinds.setdefault(_kind(mark), mark)
        for kind, mark in kinds.items():
            if self._example is None:
                self._example = mark
            elif kind != _kind(self._example):
                self._refuse(mark, self._example)
        return marks

    def _refuse(self, one: Mark, other: Mark) -> None:
        both = f"{_shown(one)} and {_shown(other)}"
        if isinstance(one, datetime) and isinstance(other, datetime):
            raise ValueError(
                f"cursor column {self.name!r} has times with an offset and times without one, such as "
                f"{both}, which have no common order; use one or the other"
            )
        names = " and ".join(sorted(f"{_kind(each).split()[0]}s" for each in (one, other)))
        raise ValueError(
            f"cursor column {self.name!r} has {names}, such as {both}, which have no common order; "
            "use one or the other"
        )


def mark_of(value: Any, name: str) -> Mark | Infinite | None:
    """Return the mark of a value of the cursor column ``name``; None if it is missing."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return _mark_of_text(value, name)
    if isinstance(value, datetime):
        return _normal(value)
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, timedelta):  # its text has no order: 100:00:00 would come before 99:00:00
        return Decimal(value // timedelta(microseconds=1)).scaleb(-6)
    return _mark_of_number(value)


def _mark_of_number(value: Any) -> Mark | Infinite:
    if isinstance(value, float):
        return Decimal(repr(float(value))) if math.isfinite(value) else INFINITE
    if isinstance(value, Decimal):
        return value if value.is_finite() else INFINITE
    return int(value) if isinstance(value, int) or hasattr(value, "dtype") else text_of(value)


def _mark_of_text(value: str, name: str) -> Mark | Infinite:
    text = value.strip()
    if is_number_text(text):
        return int(text) if text.lstrip("+-").isdigit() else Decimal(text)
    if _TIME.fullmatch(text):
        with contextlib.suppress(ValueError):
            return _normal(datetime.fromisoformat(text))
    if _NEVER.fullmatch(text):
        return INFINITE
    if _UNORDERED.match(text):
        raise ValueError(
            f"cursor column {name!r} has {value!r}: the texts of such times have another order; "
            "write them as 2026-01-01 09:00"
        )
    return value


def _normal(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC)


def _kind(mark: Any) -> str:
    if isinstance(mark, datetime):
        return "time with an offset" if mark.tzinfo else "time"
    return "text" if isinstance(mark, str) else "number"


def _shown(mark: Mark) -> str:
    return repr(mark) if isinstance(mark, str) else mark_text(mark)


def mark_text(mark: Mark) -> str:
    """Return a mark as messages and the watermark's file show it."""
    return mark.isoformat() if isinstance(mark, datetime) else text_of(mark)


def mark_to_json(mark: Mark | None) -> Any:
    """Return a mark for JSON: a number, exact, or a text; a dict where that is ambiguous."""
    if isinstance(mark, str):
        return mark if _is_read_again(mark) else {"text": mark}
    if isinstance(mark, Decimal):
        if mark == mark.to_integral_value():
            return int(mark)
        return float(mark) if Decimal(repr(float(mark))) == mark else {"decimal": str(mark)}
    return mark if mark is None or isinstance(mark, int) else mark_text(mark)


def _is_read_again(text: str) -> bool:
    """Return whether a text is not taken for a number or a time: bytes in hexadecimal may look like one."""
    with contextlib.suppress(ValueError):
        return mark_of(text, "") == text
    return False


def mark_from_json(value: Any) -> Mark | None:
    """Return the mark that ``mark_to_json`` gave; ValueError if it gave none."""
    if isinstance(value, dict):
        return str(value["text"]) if "text" in value else Decimal(value["decimal"])
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise TypeError(f"{value!r} is not the mark of a row")
    mark = mark_of(value, "the cursor")
    if isinstance(mark, Infinite):
        raise TypeError(f"{value!r} is not the mark of a row")
    return mark


def below(mark: Mark, distance: float) -> Mark:
    """Return the mark that is ``distance`` below: in seconds for times, else in the column's own unit.

    The first mark that there can be, where the distance leads beyond it.
    """
    if isinstance(mark, datetime):
        try:
            return mark - timedelta(seconds=distance)
        except OverflowError:
            return datetime.min.replace(tzinfo=mark.tzinfo)
    if isinstance(mark, str) or not distance:
        return mark
    with localcontext(prec=_DIGITS):
        return mark - Decimal(repr(distance))


def latest_mark(moment: datetime, like: Mark, zone: ZoneInfo) -> datetime | None:
    """Return the mark of a moment, for a column of marks ``like`` this one; None if they are not times.

    Times without an offset are taken as those of ``zone``.
    """
    if not isinstance(like, datetime):
        return None
    return moment.astimezone(UTC) if like.tzinfo else moment.astimezone(zone).replace(tzinfo=None)
