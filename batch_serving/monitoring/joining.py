"""Each prediction with the label that was known at a cut-off: ``date=…/labelled.csv``, one file a day.

A day's file follows from its predictions, the labels and the cut-off alone: it can be removed and made again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from batch_serving.monitoring.labels import Label, Labels, LabelSource, read_labels
from batch_serving.monitoring.places import labelled_path, locked_quality, quality_folder
from batch_serving.prediction.run_files import rows_of_day
from batch_serving.shared.csv_rows import csv_bytes, sound_rows
from batch_serving.shared.files import read_with_tag, remove_leftovers, seal, unseal, write_atomic
from batch_serving.shared.run_context import is_time, parse_time

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

PREDICTED = ("run_id", "run_after", "row_id", "model_version", "prediction", "probability")
LABELLED_COLUMNS = (*PREDICTED, "label", "known_at")
JOINED = "joined.json"  # the newest cut-off

Row = dict[str, str]


@dataclass(frozen=True)
class Join:
    """What a join has found: predictions and labelled ones, and what became of each row of labels."""

    days: list[date]
    predictions: int
    labelled: int
    labels: Labels


def join_days(model: str, days: Sequence[date], source: LabelSource, cutoff: datetime) -> Join | None:
    """Write the file of each day that has changed; None if a later cut-off has been joined already.

    Memory grows with the number of predictions of these days.
    """
    with locked_quality(model):
        folder = quality_folder(model)
        newest = joined_until(model)
        if newest is not None and cutoff < newest:
            return None
        predicted = {day: sorted(rows_of_day(model, day), key=_order) for day in days}
        wanted = {row["row_id"] for rows in predicted.values() for row in rows}
        labels = read_labels(source, wanted, cutoff)
        for day, rows in predicted.items():
            path = labelled_path(model, day)
            remove_leftovers(path.parent)
            _write_if_changed(path, csv_bytes(LABELLED_COLUMNS, _labelled(rows, labels)))
        # Last: a join that was killed before is made again.
        write_atomic(folder / JOINED, seal({"cutoff": cutoff.astimezone(UTC).isoformat()}))
    everything = [row for rows in predicted.values() for row in rows]
    labelled = sum(row["row_id"] in labels.by_id for row in everything)
    return Join(list(days), len(everything), labelled, labels)


def joined_until(model: str) -> datetime | None:
    """Return the cut-off of the newest join; None before the first, or if its record is corrupt."""
    data, _ = read_with_tag(quality_folder(model) / JOINED)
    if data is None:
        return None
    try:
        return parse_time(unseal(data)["cutoff"])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("the record of the last join is corrupt (%s); it is written again", error)
        return None


def _order(row: Row) -> tuple[str, str]:
    """Rows of a run keep their order."""
    return row["run_after"], row["run_id"]


def _labelled(rows: Sequence[Row], labels: Labels) -> Iterator[list[str]]:
    none = Label("", None)
    for row in rows:
        label = labels.by_id.get(row["row_id"], none)
        known_at = "" if label.known_at is None else label.known_at.astimezone(UTC).isoformat()
        yield [*(row[name] for name in PREDICTED), label.text, known_at]


def _write_if_changed(path: UPath, data: bytes) -> None:
    if read_with_tag(path)[0] != data:
        write_atomic(path, data)


def labelled_rows(model: str, day: date) -> list[Row]:
    """Return a day's predictions with their labels; none before they were joined.

    A row that is corrupt is left out: joining the labels again repairs the file.
    """
    return sound_rows(labelled_path(model, day), LABELLED_COLUMNS, lambda row: is_time(row["run_after"]))[0]
