"""The contender's predictions: of the champion's rows, recorded beside them and never delivered.

The contender begins when the champion's file is in its place. It may take as long as that took: what is left
then, it does not predict.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch_serving.prediction.predictor import Predictor
from batch_serving.prediction.row_source import RowSource, Wanted
from batch_serving.prediction.shadow_files import Attempts, is_wanted, write_shadow
from batch_serving.registry.store import Loaded
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.time_limit import TooSlowError, stopped_after
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from batch_serving.prediction.places import PredictionRun
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

ROWS_A_RUN = 10_000  # more of a run say little more of a contender
KEPT_BYTES = 50_000_000  # of rows with many columns fewer are kept
FIRST_ROWS = 256  # how long they take says how many more there is time for
SHARE = 0.5  # of the time that is left, for the next rows
LEAST_S = 5.0  # for what takes its time whatever the number of rows: reading the model
MOST_KILLED = 2  # attempts that the process did not outlive, before it is taken for the contender's doing

Row = list[Any]  # row_id, version, prediction, probability


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
    _ranks: list[np.ndarray[Any, Any]] = field(default_factory=list)
    _most: int = 0

    def choose(self) -> None:
        """Read which version is the contender; whatever is wrong with it is kept as the problem."""
        try:
            self.version = self.store.contender()
            self._record = self.store.metadata(self.version) if self.version else {}
        except Exception as error:  # whatever it is, the champion predicts
            self.problem = f"the contender is not known: {error}"

    def begin(self, wanted: Wanted) -> Wanted:
        """Return the columns for both; the champion's say whether one has numbers or texts."""
        self._frames, self._ranks, self._most = [], [], ROWS_A_RUN
        try:
            types = {one["name"]: one["dtype"] for one in self._record.get("features", ())}
        except (KeyError, TypeError) as error:
            self._leave_out(error)
            return wanted
        texts = [name for name, dtype in types.items() if dtype == "object"]
        if clash := [name for name in texts if name in wanted.numbers]:
            # As a number, 007 would be 7, and the contender would know none of its categories.
            self._leave_out(ValueError(f"column {clash[0]!r} is text for it, and a number for the champion"))
            return wanted
        more = [name for name in types if name not in (*wanted.numbers, *wanted.texts)]
        numbers = tuple(name for name in more if name not in texts)
        return Wanted((*wanted.numbers, *numbers), wanted.texts).with_texts(
            *(name for name in more if name in texts)
        )

    def keep(self, frame: pd.DataFrame) -> None:
        """Keep rows of a run: of a large one a sample, by the hash of their ids."""
        if not self._record:
            return
        import pandas as pd

        try:
            ids = frame[self.source.id_column].to_numpy(dtype=object)
            self._ranks.append(pd.util.hash_array(ids, categorize=False))
            self._frames.append(frame)
            row_bytes = int(frame.head(1).memory_usage(deep=True).sum()) or 1
            self._most = max(1, min(self._most, KEPT_BYTES // row_bytes))
            if sum(map(len, self._ranks)) > 2 * self._most:
                self._thin_out()
        except Exception as error:  # as above: the champion predicts
            self._leave_out(error)

    def _leave_out(self, error: Exception) -> None:
        self._fails(error)
        self._record = {}

    def _thin_out(self) -> None:
        """Keep the rows with the smallest hashes."""
        import numpy as np

        ranks = np.concatenate(self._ranks)
        if len(ranks) <= self._most:
            return
        largest = np.partition(ranks, self._most - 1)[self._most - 1]
        kept = [part <= largest for part in self._ranks]
        self._frames = [frame[mask] for frame, mask in zip(self._frames, kept, strict=True)]
        self._ranks = [part[mask] for part, mask in zip(self._ranks, kept, strict=True)]

    def record(self, run: PredictionRun) -> int:
        """Predict the kept rows, write them, and return how many were predicted; nothing is raised.

        Of a run that has been recorded before, nothing changes. Rows that the contender cannot predict are
        recorded without a prediction: it loses them.
        """
        if not self._record or not self._frames:
            return 0
        budget_s = max(LEAST_S, time.monotonic() - self.started)
        try:
            if not is_wanted(run):
                return 0
            self._thin_out()
            attempts = Attempts(run, str(self.version))
            killed = attempts.killed(datetime.now(UTC))
            if killed >= MOST_KILLED:
                self.problem = f"the contender {self.version} may have ended the process, {killed} times"
                rows = self._without_prediction(0, None)
                attempts.confirm(datetime.now(UTC))
            else:
                attempts.begin(datetime.now(UTC), budget_s)
                try:
                    rows = self._predicted(budget_s)
                finally:
                    attempts.end()
            write_shadow(run, rows)
        except (Exception, TooSlowError) as error:  # anything that a storage raises
            self._fails(error)
            return 0
        return sum(row[2] != "" for row in rows)

    def _fails(self, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, TooSlowError):
            reason = "its time was over"
        self.problem = f"the contender {self.version} cannot predict: {reason}"

    def _predicted(self, budget_s: float) -> list[Row]:
        """Return a row for each prediction, as long as the time of the champion is not used up.

        Raises what the storage raises, and TooSlowError, if the model was not read: that says nothing of it.
        """
        import pandas as pd

        until, rows, begun = time.monotonic() + budget_s, list[Row](), 0
        with stopped_after(budget_s):
            model = self._model()
        if model is None:
            return self._without_prediction(0, None)
        try:
            with stopped_after(until - time.monotonic()):
                predictor = Predictor(model, self._record["features"], self.source, counts=False)
                whole, size = pd.concat(self._frames), FIRST_ROWS
                while begun < len(whole) and size >= FIRST_ROWS:
                    part, started = whole.iloc[begun : begun + size], time.monotonic()
                    begun += len(part)
                    rows += _rows_of(predictor, part)
                    ended = time.monotonic()
                    size = int(len(part) * SHARE * (until - ended) / max(ended - started, 1e-6))
        except (Exception, TooSlowError) as error:  # anything that a model or its libraries raise
            self._fails(error)
            is_slow = isinstance(error, TooSlowError)
            return rows + self._without_prediction(len(rows), begun if is_slow else None)
        self._note_what_is_left(len(rows), budget_s)
        return rows

    def _model(self) -> Loaded | None:
        """Return the contender; None if its file is corrupt, or cannot be loaded."""
        try:
            return Loaded(str(self.version), self.store.load(str(self.version)))
        except ModelStoreError as error:
            self._fails(error)
            return None

    def _note_what_is_left(self, done: int, budget_s: float) -> None:
        offered = sum(map(len, self._frames))
        if done < offered:
            self.problem = (
                f"the contender {self.version} has predicted {done} of {counted(offered, 'row')}: "
                f"it may not take longer than the champion ({budget_s:.1f} s)"
            )

    def _without_prediction(self, start: int, end: int | None) -> list[Row]:
        """Return the rows at these places as rows that cannot be predicted."""
        ids = [row_id for frame in self._frames for row_id in frame[self.source.id_column]]
        return [[row_id, self.version, "", ""] for row_id in ids[start:end]]


def _rows_of(predictor: Predictor, part: pd.DataFrame) -> list[Row]:
    found = predictor.predict(part)
    probabilities: Sequence[Any] = found.probabilities or [""] * len(found.values)
    together = zip(found.row_ids, found.values, probabilities, strict=True)
    return [[row_id, predictor.version, value, probability] for row_id, value, probability in together]
