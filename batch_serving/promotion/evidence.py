"""What counts for and against a contender: the labelled rows that both have predicted, each counted once.

``output/models/<name>/evidence/<contender>.csv`` has the gain of each row, by the label that was the first to
be known. A label that is corrected later changes nothing here: the bets were settled with the first one. A
row that is predicted in many runs counts in the first of them: it would say the same again and again, and the
guarantee is for rows that each say something new.

Labels of one kind may come sooner than others, such as those of frauds. So the runs of a day count up to the
last one by which nine tenths of the day's rows have labels; after ``most_days``, what has no label has none.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from batch_serving.ml.datasets import read_dataset
from batch_serving.ml.holdout import split_as
from batch_serving.ml.values import number_of
from batch_serving.monitoring.joining import labelled_rows
from batch_serving.monitoring.outcomes import is_same_class
from batch_serving.prediction.shadow_files import shadow_rows
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.csv_rows import csv_bytes, sound_rows
from batch_serving.shared.files import locked, write_if_unchanged
from batch_serving.shared.run_context import is_time, parse_time
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from upath import UPath

    from batch_serving.ml.dataset import Dataset
    from batch_serving.registry.contender import Trial
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

EVIDENCE_COLUMNS = ("run_after", "run_id", "row_id", "champion", "since", "gain", "difference")
LOCK_TIMEOUT_S = 60
LABELLED_SHARE = 0.9

Row = dict[str, str]


@dataclass(frozen=True)
class Gains:
    """The gain of each row that counts, and the days between the first and the last run.

    ``values`` are between -1 and 1, as they are bet on; ``differences`` are those of the scores themselves.
    """

    values: np.ndarray[Any, Any]
    differences: np.ndarray[Any, Any]
    days: float

    @property
    def rows(self) -> int:
        """How many rows count."""
        return len(self.values)

    @property
    def won(self) -> int:
        """Rows in which the contender is better."""
        return int((self.values > 0).sum())

    @property
    def lost(self) -> int:
        """Rows in which the champion is better."""
        return int((self.values < 0).sum())

    @property
    def mean(self) -> float:
        """The mean gain; 0 without rows."""
        return float(self.values.mean()) if self.rows else 0.0

    @property
    def mean_difference(self) -> float:
        """The mean difference of the scores, in the unit of the metric; 0 without rows."""
        return float(self.differences.mean()) if self.rows else 0.0

    @property
    def mean_square(self) -> float:
        """The mean of the squares; 0 without rows."""
        return float((self.values**2).mean()) if self.rows else 0.0


def gains_of(store: ModelStore, trial: Trial, now: datetime, *, keep: bool) -> tuple[Gains, str]:
    """Return the gains of all rows that count by now, and what is missing if there are none.

    Rows that a model was trained on do not count. With ``keep`` the new ones are added to the file, and
    ChangedError is raised if another run has done that meanwhile.
    """
    path = evidence_path(store, trial.version)
    known, tag = _evidence(path, trial)
    fresh = _Fresh(store, trial, now, {row["row_id"] for row in known})
    for day in _days(trial, now):
        fresh.add(day)
    if keep and fresh.rows:
        rows = sorted([*known, *fresh.rows], key=itemgetter("run_after", "run_id", "row_id"))
        with locked(store.root, LOCK_TIMEOUT_S):
            data = csv_bytes(EVIDENCE_COLUMNS, [[row[name] for name in EVIDENCE_COLUMNS] for row in rows])
            write_if_unchanged(path, data, tag)
    found = _gains([*known, *fresh.rows])
    return found, "" if found.rows else fresh.missing


def kept_gains(store: ModelStore, trial: Trial) -> Gains:
    """Return the gains of the rows that have been counted so far."""
    return _gains(_evidence(evidence_path(store, trial.version), trial)[0])


def _gains(rows: list[Row]) -> Gains:
    import numpy as np

    times = sorted(parse_time(row["run_after"]) for row in rows)
    days = (times[-1] - times[0]) / timedelta(days=1) if times else 0.0
    values, differences = (np.array([float(row[name]) for row in rows]) for name in ("gain", "difference"))
    return Gains(values, differences, days)


def evidence_path(store: ModelStore, version: str) -> UPath:
    """Return the file of a contender's evidence."""
    return store.root / "evidence" / f"{version}.csv"


def _evidence(path: UPath, trial: Trial) -> tuple[list[Row], str]:
    """Return the rows that have been counted in this trial, and the file's tag.

    What is corrupt is counted again, with the label that is known by then.
    """
    rows, tag = sound_rows(path, EVIDENCE_COLUMNS, _is_sound)
    since = trial.since.isoformat()
    return [row for row in rows if (row["champion"], row["since"]) == (trial.champion, since)], tag


def _is_sound(row: Row) -> bool:
    """Return whether a row of the file has all that is counted."""
    gain, difference = _number(row["gain"]), _number(row["difference"])
    return is_time(row["run_after"]) and gain is not None and abs(gain) <= 1 and difference is not None


def _days(trial: Trial, now: datetime) -> Iterator[date]:
    """Yield the days of a trial: in the pipeline's zone, one may begin before and end after those of UTC."""
    day = trial.since.date() - timedelta(days=1)
    while day <= (now + timedelta(days=1)).date():
        yield day
        day += timedelta(days=1)


class _Fresh:
    """The rows that are counted for the first time, and how many there were before each condition."""

    def __init__(self, store: ModelStore, trial: Trial, now: datetime, known: set[str]) -> None:
        """Begin with the ids of the rows that have been counted before."""
        self.rows: list[Row] = []
        self._store, self._trial, self._now, self._known = store, trial, now, known
        self._trained = _TrainedRows(store, trial)
        self._predicted, self._labelled, self._left_out = set[str](), set[str](), set[str]()
        self._waiting = self._by_others = 0

    def add(self, day: date) -> None:
        """Add the rows of a day that count, in the order of their runs."""
        shadows = {
            (row["run_id"], row["row_id"]): row["prediction"]
            for row in shadow_rows(self._store.name, day)
            if row["model_version"] == self._trial.version
            and parse_time(row["run_after"]) >= self._trial.since
        }
        self._predicted |= {row_id for _, row_id in shadows}
        joined = labelled_rows(self._store.name, day) if shadows else ()
        both = [row for row in joined if (row["run_id"], row["row_id"]) in shadows]
        own = [row for row in both if row["model_version"] == self._trial.champion]
        self._by_others += len(both) - len(own)
        own.sort(key=lambda row: (parse_time(row["run_after"]), row["run_id"]))
        known = own if self._is_over(day) else own[: _known_by(own)]
        self._waiting += sum(row["label"] != "" for row in own[len(known) :])
        for row in known:
            if row["label"]:
                self._count(row, shadows[row["run_id"], row["row_id"]])

    def _is_over(self, day: date) -> bool:
        """Return whether labels of a day that have not come are not waited for."""
        return (self._now.date() - day) > timedelta(days=self._trial.most_days)

    def _count(self, row: Row, predicted: str) -> None:
        row_id = row["row_id"]
        self._labelled.add(row_id)
        if row_id in self._known:
            return
        if row_id in self._trained:
            self._left_out.add(row_id)
            return
        difference = _difference(row["label"], row["prediction"], predicted, self._trial)
        if difference is not None:
            self._known.add(row_id)
            gain = max(-1.0, min(1.0, difference / self._trial.largest))
            common = {name: row[name] for name in ("run_after", "run_id", "row_id")}
            trial_of = {"champion": self._trial.champion, "since": self._trial.since.isoformat()}
            numbers = {"gain": f"{gain:.6g}", "difference": f"{difference:.6g}"}
            self.rows.append({**common, **trial_of, **numbers})

    @property
    def missing(self) -> str:
        """Why no row counts."""
        version, predicted, labelled = self._trial.version, len(self._predicted), len(self._labelled)
        if not predicted:
            return (
                f"{version} has predicted no row yet: the next run does, with `shadow: true` in predict_rows"
            )
        if self._waiting and not labelled:
            labels = counted(self._waiting, "label")
            return f"{labels} came so far; a day counts once nine tenths of its rows have one"
        if self._by_others and not labelled:
            return f"{counted(self._by_others, 'row')} were predicted by another version than the champion"
        if not labelled:
            return f"none of the {predicted} rows that {version} has predicted has a label: see join_labels"
        if self._trained.problem:
            return self._trained.problem
        if len(self._left_out) == labelled:
            return f"the {labelled} labelled rows are in the training data by now"
        return f"none of the {labelled} labels is a number"


def _known_by(rows: list[Row]) -> int:
    """Return how many rows there are up to the end of the last run by which enough have labels."""
    labelled = found = 0
    for number, row in enumerate(rows, start=1):
        labelled += row["label"] != ""
        is_end = number == len(rows) or rows[number]["run_id"] != row["run_id"]
        if is_end and labelled >= LABELLED_SHARE * number:
            found = number
    return found


def _difference(label: str, old: str, new: str, trial: Trial) -> float | None:
    """Return by how much the contender's score is better in a row; None for a label that is not a number.

    A contender that could not predict the row is wrong, or loses as much as counts.
    """
    if trial.metric == "accuracy":
        return float(is_same_class(label, new)) - float(is_same_class(label, old))
    actual, before, after = (_number(text) for text in (label, old, new))
    if actual is None or before is None:
        return None
    if after is None:
        return -trial.largest
    return abs(actual - before) - abs(actual - after)


def _number(text: str) -> float | None:
    number = number_of(text, accepts_flags=False)
    return number if number is not None and math.isfinite(number) else None


class _TrainedRows:
    """The ids of the rows that one of both models was trained on; a model is good at these anyway.

    They are found in the dataset as it is now: a row that was added since counts as trained on if it would
    have been. If the dataset cannot be read, each row counts as one, and ``problem`` says so.
    """

    def __init__(self, store: ModelStore, trial: Trial) -> None:
        """Read nothing yet."""
        self.problem = ""
        self._store, self._versions = store, (trial.champion, trial.version)

    def __contains__(self, row_id: str) -> bool:
        """Return whether a row with this id was trained on."""
        return row_id in self._ids or bool(self.problem)

    @cached_property
    def _ids(self) -> set[str]:
        data: dict[tuple[str, str, str | None], Dataset] = {}
        found: set[str] = set()
        for version in self._versions:
            try:
                record = self._store.metadata(version)
                source = record["dataset"]["location"], record["target"], record["row_id"]
                data[source] = data.get(source) or read_dataset(*source)
                training, _ = split_as(record["holdout"], data[source])
            except (OSError, ValueError, KeyError, ModelStoreError) as error:
                self.problem = f"it is not known which rows {version} was trained on: {error}"
                log.warning("%s", self.problem)
                return set()
            found |= {str(row) for row in training[data[source].row_id]}
        return found
