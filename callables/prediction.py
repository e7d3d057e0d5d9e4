"""P3: choose rows, and let the champion predict them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from batch_serving.prediction import arguments
from batch_serving.registry.former import load_champion_of
from batch_serving.registry.store import ModelStore
from batch_serving.shared.airflow import skip
from batch_serving.shared.checked_by import alone_with, checked_by, renamed, same_values_as
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.reading import exists
from batch_serving.shared.run_context import parse_time, parse_zone, run_name, seed_of
from callables.notifications import warn

if TYPE_CHECKING:
    from batch_serving.prediction.places import PredictionRun
    from batch_serving.prediction.shadow import ContenderRows
    from batch_serving.registry.store import Loaded

log = logging.getLogger(__name__)


@alone_with(arguments.claimed_by_draw)
@checked_by(arguments.of_draw)
@renamed(
    arguments={"count": "sample_size", "new_by": "cursor_column", "progress": "watermark"},
    values={"rows": {"new": "incremental"}},
)
def draw_rows(
    *,
    run_id: str,
    dataset: str | None = None,
    sql: str | None = None,
    connection: str | None = None,
    rows: int | Literal["random", "incremental", "all"] = "random",
    sample_size: int = 5,
    row_id: str | None = None,
    cursor_column: str | None = None,
    model: str | None = None,
    watermark: str | None = None,
    lag: float | None = None,
    run_after: str | None = None,
    future_tolerance_s: float = 60,
    timezone: str = "Asia/Seoul",
) -> dict[str, Any]:
    """Choose the rows that this run is to predict; the same ``run_id`` chooses the same ones again.

    A run of a backfill chooses those of the scheduled run that it fills in.
    Of ``dataset`` (a CSV) or ``sql`` through the Airflow ``connection``: ``rows: random`` draws
    ``sample_size`` different ones (a number in place of ``random`` draws that many), ``all`` takes all, and
    ``incremental`` those that no run has predicted for ``model``, by ``cursor_column``, in which new rows
    have greater values. Rows that come late are found if they are at most ``lag`` below the greatest value
    that was predicted: in seconds for a column of times (an hour unless given), in the column's own unit
    otherwise (0). A row whose time is more than ``future_tolerance_s`` after ``run_after`` (without it, now)
    waits for a later run; times without an offset are in ``timezone``. What was predicted is kept in a file
    that ``watermark`` names: each DAG has one of its own, by the dag_id at the start of ``run_id``, and two
    tasks of one DAG with different sources need different names. Returns the choice, for ``predict_rows``;
    skips when nothing is new. Raises ValueError when there are fewer rows than to draw, or an id repeats.
    """
    from batch_serving.prediction.row_source import RowSource
    from batch_serving.prediction.selection import AllRows, draw
    from batch_serving.prediction.watermark import Limits, NothingNewError, Watermark, own_watermark

    source, run_id = RowSource(dataset, sql, connection, row_id), run_name(run_id)
    if rows == "all":
        return AllRows().to_json()
    if rows == "incremental":
        if not cursor_column or not model:
            raise ValueError(
                "rows is 'incremental': add `cursor_column`, a column that grows, and the `model`"
            )
        moment = datetime.now(UTC) if run_after is None else parse_time(run_after)
        limits = Limits(lag, moment + timedelta(seconds=future_tolerance_s), parse_zone(timezone))
        try:
            name = ModelStore(model).name
            own = watermark or own_watermark(name, run_id)
            chosen = Watermark(name, own).choose(source, cursor_column, run_id, limits)
        except NothingNewError as error:
            skip(str(error))
        return chosen.to_json()
    if isinstance(rows, str) and rows != "random":
        raise ValueError(f"rows is {rows!r}; it must be random, incremental, all or a number")
    drawn = draw(source, sample_size if rows == "random" else rows, seed_of(run_id))
    log.info("drew rows %s of %s", ", ".join(drawn.row_ids), source.name)
    return drawn.to_json()


@same_values_as(draw_rows, "dataset", "sql", "connection", "row_id")
@checked_by(arguments.of_prediction)
def predict_rows(
    *,
    model: str,
    selection: str,
    run_id: str,
    run_after: str,
    dataset: str | None = None,
    sql: str | None = None,
    connection: str | None = None,
    row_id: str | None = None,
    timezone: str = "Asia/Seoul",
    chunk_rows: int = 10_000,
    shadow: bool = False,
    champion_at: str = "",
    slack: str = "slack_webhook",
) -> dict[str, Any]:
    """Predict the chosen rows with the champion of ``model`` and write one CSV for this run.

    ``selection`` is what ``draw_rows`` returned, as JSON, and the source is that of ``draw_rows``; rows are
    read, predicted and written ``chunk_rows`` at a time. Columns are matched by name; a missing one, or a
    text where the model was trained on numbers, is an error, and so is a column without a single text that
    the model knows; values outside the training range are counted. The file is in
    ``output/predictions/<model>/date=…/``, with the date of ``run_after`` in ``timezone``, and named after
    ``run_id``, which no other task that predicts with the model may share. A second try writes the same file,
    and so does a backfill of the same run. With ``champion_at``, a time, the champion of then predicts. With
    ``shadow`` the contender predicts the same rows once the file is written, for ``test: sequential`` of
    ``compare``: recorded in ``output/shadow/<model>/``, never delivered, and whatever is wrong with it is a
    warning. It is the version whose trial goes on, or else the newest one that came after the champion; in a
    backfill there is none. Skips without a champion; when a broken champion makes the one before it predict,
    Slack is sent one message (``slack`` is the connection). Returns the file, the model's version and the
    number of rows.
    """
    from batch_serving.prediction.daily_drift import write_counts
    from batch_serving.prediction.places import PredictionRun
    from batch_serving.prediction.predictions import write_predictions
    from batch_serving.prediction.predictor import Predictor
    from batch_serving.prediction.row_source import RowSource
    from batch_serving.prediction.selection import selection_from_json
    from batch_serving.prediction.shadow import ContenderRows
    from batch_serving.prediction.watermark import NothingNewError

    chosen = selection_from_json(selection)
    source = RowSource(dataset, sql, connection, row_id)
    store = ModelStore(model)
    contender = ContenderRows(store, source) if shadow and not champion_at else None
    champion = _load_champion(store, slack, champion_at)
    if contender is not None:
        contender.choose()
    moment = parse_time(run_after)
    run = PredictionRun(model, run_name(run_id), moment, moment.astimezone(parse_zone(timezone)).date())
    features = store.metadata(champion.version)["features"]
    new_predictor = partial(Predictor, champion, features, source, contender)
    try:
        rows, predictor = write_predictions(run, new_predictor, chosen, chunk_rows)
    except NothingNewError as error:
        skip(str(error))
    for text in predictor.warnings():
        log.warning("%s", text)
    write_counts(run, champion.version, predictor.drift_counts)
    log.info("%s predicted %d rows in %s", champion.version, rows, run.current_path)
    result = {
        "file": relative_to_project(run.current_path),
        "model_version": champion.version,
        "rows": rows,
        "out_of_range": predictor.out_of_range,
        "never_seen": predictor.never_seen,
    }
    return result if contender is None else {**result, "contender": _record_contender(contender, run)}


def _record_contender(contender: ContenderRows, run: PredictionRun) -> dict[str, Any]:
    """Let the contender predict, and return its version and the number of rows; a problem is a warning."""
    rows = contender.record(run)
    if contender.problem:
        log.warning("%s", contender.problem)
    return {"model_version": contender.version, "rows": rows}


@same_values_as(predict_rows, "model", "run_id", "run_after", "timezone")
@checked_by(arguments.of_write)
def write_to_table(
    *,
    model: str,
    run_id: str,
    run_after: str,
    connection: str,
    table: str,
    timezone: str = "Asia/Seoul",
) -> dict[str, Any]:
    """Write what ``predict_rows`` has predicted in this run into a table of the Airflow ``connection``.

    ``model``, ``run_id``, ``run_after`` and ``timezone`` are those of ``predict_rows``. The table is created
    if it does not exist, with the columns of the file of predictions: ``row_id`` is its primary key, times
    are UTC. All rows are written in one transaction. A row that was predicted again replaces the one of the
    older run, by ``run_after``, in whatever order runs write. Returns the table and the number of rows.
    Raises ValueError for a table that cannot take them, and if the run has no file of predictions.
    """
    from batch_serving.prediction.places import PredictionRun
    from batch_serving.prediction.result_table import upsert_predictions
    from batch_serving.prediction.run_files import written_rows
    from batch_serving.shared.airflow import database_engine

    moment = parse_time(run_after)
    run = PredictionRun(model, run_name(run_id), moment, moment.astimezone(parse_zone(timezone)).date())
    engine = database_engine(connection)
    try:
        rows = upsert_predictions(written_rows(run), table, engine)
    finally:
        engine.dispose()
    if not rows and not exists(run.path):
        raise ValueError(
            f"there are no predictions of run {run_id!r} in {relative_to_project(run.path.parent)}: give "
            "this task the model, run_id, run_after and timezone of predict_rows, or clear predict_rows"
        )
    log.info("wrote %d rows of %s into the table %s", rows, relative_to_project(run.current_path), table)
    return {"table": table, "rows": rows}


def _load_champion(store: ModelStore, slack: str, champion_at: str) -> Loaded:
    """Return the model to predict with; skip the task without one, and warn if it is not the champion."""
    found = load_champion_of(store, parse_time(champion_at)) if champion_at else store.load_champion()
    if found is None:
        known = ", ".join(store.names()) or "none"
        skip(
            f"model {store.name!r} has no champion yet: run train_model, which makes a challenger, and then "
            f"promote_model (models: {known})"
        )
    if found.problem and store.is_new_problem(found):
        warn(f"*{store.name}*: {found.problem}; `{found.version}` predicts instead", connection=slack)
    return found
