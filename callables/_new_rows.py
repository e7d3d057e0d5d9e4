"""``rows: new``: which rows no run has predicted yet, by a column that only grows.

``output/predictions/<model>/<name>.json`` has the greatest value that was predicted, and for each of the last
runs from where to where it predicted, so that a cleared one predicts the same rows again.
"""

from __future__ import annotations

import json
import logging
import math
import re
from typing import TYPE_CHECKING, Any

from callables._airflow import skip
from callables._files import (
    ChangedError,
    output_path,
    read_with_tag,
    relative_to_project,
    safe_name,
    seal,
    unseal,
    write_if_unchanged,
)

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from callables._row_source import RowSource

log = logging.getLogger(__name__)

RUNS_REMEMBERED = 10_000
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Dates and times that are not in the order of their texts: day first, or without leading zeros.
_UNORDERED = re.compile(r"\d\d?[-/.]\d\d?[-/.]\d{4}|\d{4}[-/.](\d[-/.]|\d\d[-/.](\d(\D|$)|\d\d[ T]\d:))")


class Progress:
    """Up to where the rows of one source are predicted by one model."""

    def __init__(self, model: str, name: str) -> None:
        """Open the note ``name`` of ``model``; ValueError where no file can have that name."""
        if safe_name(name) != name:
            raise ValueError(f"progress is {name!r}; use letters, digits, '.', '_' and '-'")
        self.name = name
        self.path: UPath = output_path("predictions", model, f"{name}.json")

    def choose(self, source: RowSource, new_by: str, run_id: str) -> dict[str, Any]:
        """Return from where to where the new rows go, or what this run had before; skip without any.

        Raises ValueError when the note is of another source or spoilt, and for a column without an order.
        """
        note, _ = self._read()
        of = f"{source.origin}, by {new_by}"
        if note["of"] not in (None, of):
            right = json.dumps({"of": of, "until": note["until"], "runs": []})
            raise ValueError(
                f"{relative_to_project(self.path)} is about {note['of']}, and this task draws from {of}; "
                "give draw_rows a `progress: <name>` of its own, which then starts with all rows, or, if "
                f"they are the same rows, write {right} into that file"
            )
        chosen = {"rows": "new", "new_by": new_by, "progress": self.name, "of": of}
        if (known := _run_in(note, run_id)) is not None:
            return {**chosen, "after": known[0], "until": known[1]}
        after, until, count = note["until"], None, 0
        for frame in source.chunks():
            if new_by not in frame.columns:
                raise ValueError(f"{source.name} has no column {new_by!r} for `new_by`")
            values = _comparable(frame[new_by], new_by, after if until is None else until)
            fresh = values if after is None else values[values > after]
            if len(fresh):
                count += len(fresh)
                greatest = fresh.max()
                greatest = greatest.item() if hasattr(greatest, "item") else greatest
                until = greatest if until is None else max(until, greatest)
        if until is None:
            skip(f"nothing new in {source.name}: no {new_by} is greater than {after!r}")
        log.info("%d rows are new, by %s up to %s", count, new_by, until)
        return {**chosen, "after": after, "until": until}

    def knows(self, run_id: str, chosen: dict[str, Any]) -> bool:
        """Tell whether the rows are this run's already; ValueError if another run has predicted them."""
        note, _ = self._read()
        return self._check(note, run_id, chosen)

    def _check(self, note: dict[str, Any], run_id: str, chosen: dict[str, Any]) -> bool:
        if _run_in(note, run_id) is not None:
            return True
        if note["until"] != chosen["after"]:
            raise ValueError(
                f"another run has predicted up to {note['until']!r} meanwhile; clear draw_rows to choose anew"
            )
        return False

    def claim(self, run_id: str, chosen: dict[str, Any]) -> None:
        """Note that this run predicts the chosen rows; ValueError if another run has come first."""
        note, tag = self._read()
        if self._check(note, run_id, chosen):
            return
        runs = [*note["runs"], [run_id, chosen["after"], chosen["until"]]][-RUNS_REMEMBERED:]
        try:
            data = seal({"of": chosen["of"], "until": chosen["until"], "runs": runs})
            write_if_unchanged(self.path, data, tag)
        except ChangedError:
            raise ValueError("another run has predicted new rows meanwhile; clear draw_rows") from None

    def _read(self) -> tuple[dict[str, Any], str]:
        data, tag = read_with_tag(self.path)
        if data is None:
            return {"of": None, "until": None, "runs": []}, tag
        try:
            note = unseal(data)
            runs = [[run_id, after, until] for run_id, after, until in note["runs"]]
            values = [note["until"], *(value for run in runs for value in run[1:])]
            if not all(map(_may_be_noted, values)):
                raise TypeError
            return {"of": note.get("of"), "until": note["until"], "runs": runs}, tag
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{relative_to_project(self.path)} is spoilt: up to where rows are predicted stood there; "
                f"write {json.dumps({'until': '<the greatest value predicted>', 'runs': []})} into it"
            ) from None


def _may_be_noted(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return math.isfinite(value) if number else value is None or isinstance(value, str)


def _run_in(note: dict[str, Any], run_id: str) -> list[Any] | None:
    return next((run[1:] for run in note["runs"] if run[0] == run_id), None)


def inside(frame: pd.DataFrame, chosen: dict[str, Any]) -> pd.Series:
    """Tell, row by row, whether it was chosen."""
    values = _comparable(frame[chosen["new_by"]], chosen["new_by"], chosen["until"])
    found = values <= chosen["until"]
    return found if chosen["after"] is None else found & (values > chosen["after"])


def _comparable(column: pd.Series, name: str, other: Any) -> pd.Series:
    """Return a column's values, to be compared with each other and with ``other``, one of an earlier chunk.

    Numbers are compared as such, also where they are texts: ids are. Raises ValueError where a value is
    empty, where there are numbers as well as texts, and for texts of times that do not sort.
    """
    if column.isna().any():
        raise ValueError(
            f"column {name!r}, by which rows are new, is empty in {int(column.isna().sum())} rows"
        )
    numbers = column.dtype.kind in "iuf"
    if column.dtype.kind == "f" and (column.abs() == float("inf")).any():
        raise ValueError(f"column {name!r}, by which rows are new, is infinite in some rows")
    if not numbers:
        # Whole numbers above 2⁶⁴ are Python's, in a column of objects.
        numbers = all(isinstance(value, int) or _is_number(value) for value in column)
        # Times as ISO 8601 each by itself: what pandas makes of a column depends on its other values.
        column = column.astype(object).map(_as_number if numbers else _as_text)
        wrong = [] if numbers else [value for value in column if _UNORDERED.match(value)]
        if wrong:
            raise ValueError(
                f"column {name!r}, by which rows are new, has {wrong[0]!r}: as texts such times are in "
                "another order; write them as 2026-01-01 09:00"
            )
    if other is not None and len(column) and isinstance(other, str) == numbers:
        raise ValueError(
            f"column {name!r}, by which rows are new, has numbers and texts, {column.tolist()[0]!r} and "
            f"{other!r} say: they have no order; make them one or the other"
        )
    return column


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _as_number(value: Any) -> int | float:
    return float(value) if isinstance(value, str) and "." in value else int(value)


def _as_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
