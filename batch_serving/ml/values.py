"""What a value is, wherever it was read from: one text and one number for each, whatever stands beside it.

A CSV has texts; a database has integers, decimals, times, bytes and more. Training and prediction read all of
them here, value by value, so that neither another row nor the size of a chunk changes what a value means.
docs/values.md has the table.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from batch_serving.ml.columns import NO_VALUE

if TYPE_CHECKING:
    import pandas as pd

# As pandas reads a CSV: no other digits than 0–9, no separators within a number.
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_INFINITE = re.compile(r"\s*[+-]?inf(inity)?\s*", re.IGNORECASE)
# PostgreSQL writes t and f, pandas True and False, SQL's own words are in capitals.
FLAGS = {"true": 1.0, "false": 0.0, "t": 1.0, "f": 0.0}
_WHOLE_FLOATS_BELOW = 1e16  # above, Python and the databases write an exponent
_MISSING = frozenset(NO_VALUE)


def is_missing(value: Any) -> bool:
    """Return whether a value means "no value": NULL, NaN, an empty cell, or a text such as NA."""
    if isinstance(value, str):
        return value in _MISSING
    if isinstance(value, float | Decimal):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def text_of(value: Any) -> str:
    """Return the one text of a value: what a row id, a category and a cursor are compared by.

    Integers and decimals have all their digits, with the scale that the database gives (7.00); whole floats
    have no fraction, as PostgreSQL and MySQL write them. Times are ISO 8601 with a space, always with hours,
    minutes and seconds; those with an offset are in UTC. Bytes are in hexadecimal, JSON as PostgreSQL writes
    it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return "true" if value else "false"
    if isinstance(value, float):  # NumPy's float64 is one
        return (
            str(int(value)) if value.is_integer() and abs(value) < _WHOLE_FLOATS_BELOW else repr(float(value))
        )
    if isinstance(value, Decimal):
        return format(value, "f")
    return _text_of_other(value)


def _text_of_other(value: Any) -> str:
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _text_of_duration(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=text_of)
    return str(value)


def _text_of_duration(value: timedelta) -> str:
    """Return a duration as MySQL and PostgreSQL write a TIME: 09:00:00, with more than 24 hours if needed."""
    sign = "-" if value < timedelta(0) else ""
    rest = abs(value)
    minutes, seconds = divmod(rest.days * 86_400 + rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest.microseconds:06d}" if rest.microseconds else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


def number_of(value: Any, *, accepts_flags: bool) -> float | None:
    """Return a value as a number, NaN if it is missing, and None if it is not a number.

    Infinite values are numbers here. True and false, also as texts, are 1 and 0 if ``accepts_flags``; a time
    is not a number, though it could be counted.
    """
    if isinstance(value, str):
        return _number_of_text(value, accepts_flags)
    if is_missing(value):
        return math.nan
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return float(value) if accepts_flags else None
    if isinstance(value, int | float | Decimal) or hasattr(value, "dtype"):
        return _as_float(value)
    return None


def _number_of_text(value: str, accepts_flags: bool) -> float | None:
    if value in _MISSING:
        return math.nan
    if _NUMBER.fullmatch(value) or _INFINITE.fullmatch(value):
        return float(value)
    return FLAGS.get(value.strip().lower()) if accepts_flags else None


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer above 10³⁰⁸
        return math.inf if value > 0 else -math.inf


def is_number_text(value: str) -> bool:
    """Return whether a text is a finite number as a CSV has it."""
    return _NUMBER.fullmatch(value) is not None


def texts_of(column: pd.Series) -> pd.Series:
    """Return the text of each value, None where it is missing."""
    import pandas as pd

    values = column.tolist() if column.dtype.kind == "O" else column.astype(object).tolist()
    texts = [None if is_missing(value) else text_of(value) for value in values]
    return pd.Series(texts, index=column.index, name=column.name, dtype=object)


def numbers_of(column: pd.Series, *, accepts_flags: bool) -> tuple[pd.Series, pd.Series]:
    """Return the number of each value (float64, NaN where it is missing), and which values are none.

    A column of numbers is returned unchanged.
    """
    import pandas as pd

    if column.dtype.kind in "iuf":
        return column, pd.Series(False, index=column.index)
    if column.dtype.kind == "b" and accepts_flags:
        return column.astype(float), pd.Series(False, index=column.index)
    values = column.astype(object).tolist()
    if {*map(type, values)} <= {int, float}:  # 30 ns a value instead of 500
        numbers: list[float | None] = [_as_float(value) for value in values]
    else:
        numbers = [number_of(value, accepts_flags=accepts_flags) for value in values]
    wrong = [number is None for number in numbers]
    found = [math.nan if number is None else number for number in numbers]
    return (
        pd.Series(found, index=column.index, name=column.name, dtype=float),
        pd.Series(wrong, index=column.index),
    )


def kind_of_texts(values: list[str]) -> str:
    """Return what the texts of a CSV column are, without its missing values: numbers, flags or texts."""
    if not values:
        return "numbers"
    if all(map(_NUMBER.fullmatch, values)):
        return "numbers"
    if all(value.strip().lower() in FLAGS for value in {*values}):
        return "flags"
    return "texts"
