"""One run of predictions: the selected rows through the model, and into the run's file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch_serving.prediction.incremental import IncrementalRows, TakenError, VersionsError
from batch_serving.prediction.places import locked_for
from batch_serving.prediction.run_files import RunFile, RunInfo, written_rows
from batch_serving.prediction.selection import DrawnRows, NewRows, Selection, drawn_rows
from batch_serving.prediction.unique_ids import UniqueIds

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.prediction.places import PredictionRun
    from batch_serving.prediction.predictor import Predictor

TRIES = 5  # at incremental rows that another run takes at the same time


def write_predictions(
    run: PredictionRun, new_predictor: Callable[[], Predictor], selection: Selection, chunk_rows: int
) -> tuple[int, Predictor]:
    """Predict the selected rows and write the run's file; return the number of rows and the predictor.

    Incremental rows are claimed first: of two runs with the same rows, only one writes its file, and the
    other chooses again. Raises NothingNewError when no incremental rows are left.
    """
    by_mark = False
    for number in range(1, TRIES + 1):
        predictor = new_predictor()
        new = None
        try:
            if isinstance(selection, NewRows):
                new = IncrementalRows(run, predictor.source, selection, by_mark=by_mark)
            return _write(run, predictor, selection, new, chunk_rows), predictor
        except VersionsError:
            by_mark = True
        except TakenError:
            if number == TRIES:
                raise ValueError(
                    f"other runs have taken the new rows in each of {TRIES} tries; clear draw_rows"
                ) from None
    raise AssertionError("unreachable")


def _write(
    run: PredictionRun,
    predictor: Predictor,
    selection: Selection,
    new: IncrementalRows | None,
    chunk_rows: int,
) -> int:
    scored_at = datetime.now(UTC).isoformat(timespec="seconds")
    info = RunInfo(run.run_id, run.run_after.isoformat(), predictor.version, scored_at)
    unique = UniqueIds(predictor.source.id_column, predictor.source.name)
    file = RunFile(run.path)
    try:
        for frame in _selected_chunks(selection, new, predictor, chunk_rows):
            unique.add(frame[predictor.source.id_column])
            file.add(info, predictor.predict(frame))
        unique.check(file.row_ids)
        predictor.check_known()
        if new is not None:
            new.check()
        with locked_for(run.model):
            _publish(file, run, new)
    finally:
        file.discard()
    return file.rows


def _selected_chunks(
    selection: Selection, new: IncrementalRows | None, predictor: Predictor, chunk_rows: int
) -> Iterator[pd.DataFrame]:
    """Yield the selected rows; those that were drawn come in the order of the draw."""
    wanted = predictor.wanted
    if isinstance(selection, NewRows):
        wanted = wanted.with_texts(selection.cursor_column)
    chunks = predictor.source.chunks(wanted, chunk_rows)
    if isinstance(selection, DrawnRows):
        yield drawn_rows(selection, predictor.source, chunks)
        return
    for frame in chunks:
        chosen = frame if new is None else new.pick(frame)
        if len(chosen):
            yield chosen


def _publish(file: RunFile, run: PredictionRun, new: IncrementalRows | None) -> None:
    if new is None:
        file.publish(before=written_rows(run))
        return
    file.publish(before=written_rows(run), claim=new.claim)
    new.confirm()
