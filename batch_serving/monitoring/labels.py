"""Labels that come late: of each row the newest that was known at a cut-off, from a CSV or a SQL query."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from batch_serving.ml.values import is_missing, text_of
from batch_serving.prediction.row_source import Wanted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.prediction.row_source import RowSource

log = logging.getLogger(__name__)

# What becomes of a row of labels; each row counts once.
USED = "used"
REPLACED = "replaced by a newer one"
DUPLICATE = "duplicates"
CONFLICT = "in conflict with another one of the same time"
LATER = "after the cut-off"
EMPTY = "without a label"
UNTIMED = "without a time"
UNKNOWN = "of rows that were not predicted"
FATES = (USED, REPLACED, DUPLICATE, CONFLICT, LATER, EMPTY, UNTIMED, UNKNOWN)


@dataclass(frozen=True)
class Label:
    """What a row turned out to be, as text, and since when that is known: None where labels have no time."""

    text: str
    known_at: datetime | None


@dataclass(frozen=True)
class LabelSource:
    """Where labels come from: ``label`` is their column, ``known_at`` that of the time they became known."""

    rows: RowSource
    label: str
    known_at: str | None
    zone: tzinfo  # of times without an offset


@dataclass
class Labels:
    """The labels that count, by row id, and what became of each row of their source."""

    by_id: dict[str, Label] = field(default_factory=dict)
    fates: Counter[str] = field(default_factory=Counter)
    conflicts: list[str] = field(default_factory=list)  # row ids

    def add(self, row_id: str, new: Label) -> None:
        """Let the newest count, and of two with the same time the last."""
        old = self.by_id.get(row_id)
        if old is None:
            self.fates[USED] += 1
        elif old == new:
            self.fates[DUPLICATE] += 1
            return
        elif _is_newer(old, new):
            self.fates[REPLACED] += 1
            return
        else:
            same_time = old.known_at == new.known_at and new.known_at is not None
            self.fates[CONFLICT if same_time else REPLACED] += 1
            if same_time:
                self.conflicts.append(row_id)
        self.by_id[row_id] = new

    def to_json(self) -> dict[str, int]:
        """Return how many rows of the source had which fate, those that occur."""
        return {name: self.fates[name] for name in FATES if self.fates[name]}


def _is_newer(one: Label, other: Label) -> bool:
    return one.known_at is not None and other.known_at is not None and one.known_at > other.known_at


def read_labels(source: LabelSource, wanted: Container[str], cutoff: datetime) -> Labels:
    """Return the labels of the ``wanted`` row ids that were known at ``cutoff``.

    Memory grows with the wanted ids, not with the rows of the source. Raises ValueError for a source without
    the columns.
    """
    found = Labels()
    for row_id, value, time in _rows(source):
        if row_id not in wanted:
            found.fates[UNKNOWN] += 1
        elif is_missing(value):
            found.fates[EMPTY] += 1
        elif source.known_at is None:
            found.add(row_id, Label(text_of(value), None))
        elif (known_at := _time_of(time, source.zone)) is None:
            found.fates[UNTIMED] += 1
        elif known_at > cutoff:
            found.fates[LATER] += 1
        else:
            found.add(row_id, Label(text_of(value), known_at))
    for name in (CONFLICT, UNTIMED, EMPTY):
        if found.fates[name]:
            log.warning("%d labels of %s are %s", found.fates[name], source.rows.name, name)
    return found


def _rows(source: LabelSource) -> Iterator[tuple[str, Any, Any]]:
    """Yield row id, label and time of each row."""
    columns = [name for name in (source.label, source.known_at) if name is not None]
    for frame in source.rows.chunks(Wanted(texts=tuple(columns))):
        _check_columns(source, frame, columns)
        times = frame[source.known_at] if source.known_at else [None] * len(frame)
        yield from zip(frame[source.rows.id_column], frame[source.label], times, strict=True)


def _check_columns(source: LabelSource, frame: pd.DataFrame, columns: list[str]) -> None:
    for argument, name in zip(("label", "known_at"), columns, strict=False):
        if name not in frame.columns:
            raise ValueError(f"{source.rows.name} has no column {name!r} for `{argument}`")


def _time_of(value: Any, zone: tzinfo) -> datetime | None:
    """Return a time with an offset, or None if the value is not a time."""
    if is_missing(value):
        return None
    try:
        moment = datetime.fromisoformat(text_of(value).strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
