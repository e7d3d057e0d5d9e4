"""What counts for and against a contender: the labelled rows that both have predicted, each counted once.

``output/models/<name>/evidence/<contender>.csv`` has the gain of each row, by the label that was the first to
be known. A label that is corrected later changes nothing here: the bets were settled with the first one.
"""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from batch_serving.ml.datasets import read_dataset
from batch_serving.ml.holdout import split_as
from batch_serving.monitoring.joining import labelled_rows
from batch_serving.monitoring.outcomes import VersionReader
from batch_serving.prediction.shadow import shadow_rows
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import locked, read_with_tag, write_if_unchanged
from batch_serving.shared.run_context import parse_time

if TYPE_CHECKING:
    import numpy as np
    from upath import UPath

    from batch_serving.ml.dataset import Dataset
    from batch_serving.registry.contender import Trial
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

EVIDENCE_COLUMNS = ("run_after", "run_id", "row_id", "champion", "since", "gain")
LOCK_TIMEOUT_S = 60

Key = tuple[str, str]  # run_id, row_id
Row = dict[str, str]


@dataclass(frozen=True)
class Gains:
    """The gain of each row that counts, between -1 and 1, and the days between the first and the last run."""

    values: np.ndarray[Any, Any]
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
    def mean_square(self) -> float:
        """The mean of the squares; 0 without rows."""
        return float((self.values**2).mean()) if self.rows else 0.0


def gains_of(
    store: ModelStore, trial: Trial, metric: str, last_day: date, *, keep: bool
) -> tuple[Gains, list[str]]:
    """Return the gains of all rows that count by now, and what is missing if there are none.

    Rows that a model was trained on do not count. With ``keep`` the new ones are added to the file, and
    ChangedError is raised if another run has done that meanwhile.
    """
    path = evidence_path(store, trial.version)
    known, tag = _evidence(path, trial)
    counted = {(row["run_id"], row["row_id"]) for row in known}
    new, missing = _new_rows(store, trial, metric, last_day, counted)
    if keep and new:
        rows = sorted([*known, *new], key=lambda row: (row["run_after"], row["run_id"]))
        with locked(store.root, LOCK_TIMEOUT_S):
            data = csv_bytes(EVIDENCE_COLUMNS, [[row[name] for name in EVIDENCE_COLUMNS] for row in rows])
            write_if_unchanged(path, data, tag)
    found = _gains([*known, *new])
    return found, [] if found.rows else missing


def kept_gains(store: ModelStore, trial: Trial) -> Gains:
    """Return the gains of the rows that have been counted so far."""
    return _gains(_evidence(evidence_path(store, trial.version), trial)[0])


def _gains(rows: list[Row]) -> Gains:
    import numpy as np

    times = sorted(parse_time(row["run_after"]) for row in rows)
    days = (times[-1] - times[0]) / timedelta(days=1) if times else 0.0
    return Gains(np.array([float(row["gain"]) for row in rows]), days)


def evidence_path(store: ModelStore, version: str) -> UPath:
    """Return the file of a contender's evidence."""
    return store.root / "evidence" / f"{version}.csv"


def _evidence(path: UPath, trial: Trial) -> tuple[list[Row], str]:
    """Return the rows that have been counted in this trial, and the file's tag."""
    data, tag = read_with_tag(path)
    if data is None:
        return [], tag
    reader = csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""))
    rows = list(reader)
    if tuple(reader.fieldnames or ()) != EVIDENCE_COLUMNS:
        log.error("%s is corrupt; the evidence begins again", path)
        return [], tag
    since = trial.since.isoformat()
    return [row for row in rows if (row["champion"], row["since"]) == (trial.champion, since)], tag


def _new_rows(
    store: ModelStore, trial: Trial, metric: str, last_day: date, counted: Container[Key]
) -> tuple[list[Row], list[str]]:
    reader, found = VersionReader(store), []
    seen_rows, is_trained = _TrainedRows(store, trial), 0
    predicted = labelled = 0
    day = trial.since.date() - timedelta(days=1)  # a day of the pipeline's zone may begin before
    while day <= last_day:
        shadows = {
            (row["run_id"], row["row_id"]): row
            for row in shadow_rows(store.name, day)
            if row["model_version"] == trial.version and parse_time(row["run_after"]) >= trial.since
        }
        predicted += len(shadows)
        for row in labelled_rows(store.name, day) if shadows else []:
            key = row["run_id"], row["row_id"]
            if key not in shadows or row["model_version"] != trial.champion or not row["label"]:
                continue
            labelled += 1
            if key in counted:
                continue
            if row["row_id"] in seen_rows:
                is_trained += 1
                continue
            gain = _gain(reader, row, shadows[key], metric, trial.largest)
            if gain is not None:
                common = {name: row[name] for name in ("run_after", "run_id", "row_id")}
                trial_of = {"champion": trial.champion, "since": trial.since.isoformat()}
                found.append({**common, **trial_of, "gain": f"{gain:.6g}"})
        day += timedelta(days=1)
    return found, list(_missing(trial.version, predicted, labelled, is_trained))


def _missing(version: str, predicted: int, labelled: int, trained: int) -> Iterator[str]:
    if not predicted:
        yield f"{version} has predicted no row: set `shadow: true` in predict_rows"
    elif not labelled:
        yield f"none of the {predicted} rows that {version} has predicted has a label: see join_labels"
    elif trained == labelled:
        yield f"the {trained} labelled rows are among those that the models were trained on"


def _gain(reader: VersionReader, row: Row, shadow: Row, metric: str, largest: float) -> float | None:
    """Return by how much the contender is better in a row; None for a label that is not a number.

    A class that one of both does not know is one that it predicts wrongly.
    """
    old = reader.pair(row)
    new = reader.pair({**shadow, "label": row["label"]})
    if metric == "accuracy":
        new_right, old_right = (pair is not None and pair[0] == pair[1] for pair in (new, old))
        return float(new_right) - float(old_right)
    if old is None or new is None:
        return None
    errors = [abs(float(actual) - float(predicted)) for actual, predicted in (old, new)]
    if not math.isfinite(errors[1]):
        return -1.0
    return max(-1.0, min(1.0, (errors[0] - errors[1]) / largest))


class _TrainedRows:
    """The ids of the rows that one of both models was trained on; a model is good at these anyway."""

    def __init__(self, store: ModelStore, trial: Trial) -> None:
        """Read nothing yet."""
        self._store, self._versions = store, (trial.champion, trial.version)
        self._ids: set[str] | None = None

    def __contains__(self, row_id: str) -> bool:
        """Return whether a row with this id was trained on."""
        if self._ids is None:
            self._ids = set().union(*self._read())
        return row_id in self._ids

    def _read(self) -> Iterator[set[str]]:
        data: dict[tuple[str, str, str | None], Dataset] = {}
        for version in self._versions:
            record = self._store.metadata(version)
            source = record["dataset"]["location"], record["target"], record["row_id"]
            try:
                data[source] = data.get(source) or read_dataset(*source)
            except (FileNotFoundError, ValueError) as error:
                log.warning("it is not known which rows %s was trained on: %s", version, error)
                continue
            training, _ = split_as(record["holdout"], data[source])
            yield {str(row) for row in training[data[source].row_id]}
