"""The contender's predictions: of the champion's rows, recorded beside them and never delivered.

``output/shadow/<model>/date=<day>.csv`` has those of a day's runs. The contender begins when the champion's
file is in its place, and stops once it has taken as long as that took: what is left, it does not predict.
"""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from batch_serving.prediction.predictor import Predictor
from batch_serving.prediction.row_source import RowSource, Wanted
from batch_serving.registry.store import Loaded
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import ChangedError, locked, read_with_tag, write_if_unchanged
from batch_serving.shared.paths import output_path

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from batch_serving.prediction.places import PredictionRun
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

SHADOW_COLUMNS = ("run_id", "run_after", "row_id", "model_version", "prediction", "probability")
ROWS_A_RUN = 10_000  # more of a run, or of a day, say little more of a contender
ROWS_A_DAY = 50_000
FIRST_ROWS = 64  # then more and more, as long as there is time
GROWTH = 4
LEAST_S = 5.0  # for what takes its time whatever the number of rows: reading the model
WRITE_TRIES = 20  # on object storage, where another run may have been first


@dataclass
class ContenderRows:
    """The rows of a run for the contender: it cannot slow the champion's predictions, nor fail them."""

    store: ModelStore
    source: RowSource
    started: float = field(default_factory=time.monotonic)
    problem: str = ""  # why the contender predicts nothing, or not everything
    version: str | None = None
    _record: dict[str, Any] = field(default_factory=dict)
    _frames: list[pd.DataFrame] = field(default_factory=list)
    _rows: int = 0

    def choose(self) -> None:
        """Read which version is the contender; whatever is wrong with it is kept as the problem."""
        try:
            self.version = self.store.contender()
            self._record = self.store.metadata(self.version) if self.version else {}
        except Exception as error:  # whatever it is, the champion predicts
            self.problem = f"the contender is not known: {error}"

    def begin(self, wanted: Wanted) -> Wanted:
        """Return the columns for both; the champion's say whether one has numbers or texts."""
        self._frames, self._rows = [], 0
        known = {*wanted.numbers, *wanted.texts}
        more = [one for one in self._record.get("features", ()) if one["name"] not in known]
        numbers = tuple(one["name"] for one in more if one["dtype"] != "object")
        return Wanted((*wanted.numbers, *numbers), wanted.texts).with_texts(
            *(one["name"] for one in more if one["name"] not in numbers)
        )

    def keep(self, frame: pd.DataFrame) -> None:
        """Keep the first rows of a run."""
        missing = ROWS_A_RUN - self._rows
        if self._record and missing > 0:
            self._frames.append(frame.head(missing))
            self._rows += min(missing, len(frame))

    def record(self, run: PredictionRun) -> int:
        """Predict the kept rows, write them, and return their number; nothing is raised.

        Of a run that has been recorded before, nothing changes.
        """
        if not self._record or not self._frames:
            return 0
        budget_s = max(LEAST_S, time.monotonic() - self.started)
        try:
            return _write(run, self.store.name, self._predicted(budget_s))
        except Exception as error:  # anything that a model, its libraries or a storage raises
            self.problem = f"the contender {self.version} cannot predict: {type(error).__name__}: {error}"
            return 0

    def _predicted(self, budget_s: float) -> Iterator[list[Any]]:
        """Yield a row for each prediction, as long as the time of the champion is not used up."""
        began = time.monotonic()
        loaded = Loaded(str(self.version), self.store.load(str(self.version)))
        predictor = Predictor(loaded, self._record["features"], self.source)
        done = 0
        for part in _growing_parts(self._frames):
            found = predictor.predict(part)
            probabilities: Sequence[Any] = found.probabilities or [""] * len(found.values)
            for row_id, value, probability in zip(found.row_ids, found.values, probabilities, strict=True):
                yield [row_id, loaded.version, value, probability]
            done += len(part)
            if done < self._rows and time.monotonic() - began > budget_s / GROWTH:
                self.problem = (
                    f"the contender {loaded.version} has predicted {done} of {self._rows} rows: "
                    f"it may not take longer than the champion ({budget_s:.1f} s)"
                )
                return


def _growing_parts(frames: list[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield a few rows and then more and more: how long they take is known before it is too long."""
    size = FIRST_ROWS
    for frame in frames:
        start = 0
        while start < len(frame):
            yield frame.iloc[start : start + size]
            start, size = start + size, size * GROWTH


def _write(run: PredictionRun, model: str, predicted: Iterator[list[Any]]) -> int:
    path = shadow_path(model, run.day)
    before, _ = _rows_in(path)
    if len(before) >= ROWS_A_DAY or any(row[0] == run.run_id for row in before):
        return 0
    head = [run.run_id, run.run_after.isoformat()]
    new = [[*head, *map(str, row)] for row in predicted]
    for _ in range(WRITE_TRIES):
        with locked(path.parent):
            rows, tag = _rows_in(path)
            others = [row for row in rows if row[0] != run.run_id]
            together = sorted([*others, *new], key=lambda row: (row[1], row[0]))
            try:
                write_if_unchanged(path, csv_bytes(SHADOW_COLUMNS, together), tag)
            except ChangedError:
                continue
            return len(new)
    raise ChangedError(str(path))


def shadow_path(model: str, day: date) -> UPath:
    """Return the file of a day's predictions by contenders."""
    return output_path("shadow", model, f"date={day.isoformat()}.csv")


def shadow_rows(model: str, day: date) -> list[dict[str, str]]:
    """Return what contenders predicted on a day; nothing of a file that is not there, or corrupt."""
    return [dict(zip(SHADOW_COLUMNS, row, strict=True)) for row in _rows_in(shadow_path(model, day))[0]]


def _rows_in(path: UPath) -> tuple[list[list[str]], str]:
    """Return the rows of a file, and its tag; no rows of a file that is corrupt, which is written again."""
    data, tag = read_with_tag(path)
    if data is None:
        return [], tag
    lines = list(csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")))
    if lines[:1] != [list(SHADOW_COLUMNS)] or any(len(row) != len(SHADOW_COLUMNS) for row in lines):
        log.warning("%s is corrupt; it is written again", path)
        return [], tag
    return lines[1:], tag
