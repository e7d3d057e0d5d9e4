"""P3: choose rows, and let the champion predict them."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from callables import _closed_days, _day_drift, _prediction_files, _values
from callables._airflow import skip
from callables._files import (
    ChangedError,
    read_with_tag,
    relative_to_project,
    to_json,
    write_if_unchanged,
)
from callables._model_store import Loaded, ModelStore
from callables._model_versions import ModelStoreError
from callables._new_rows import Progress, inside
from callables._predictor import Predictor
from callables._row_source import CHUNK_ROWS, RowSource
from callables._run import parse_time, parse_zone, seed_of
from callables._values import checked_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import pandas as pd

log = logging.getLogger(__name__)

COLUMNS = _prediction_files.COLUMNS


@checked_by(_values.of_draw)
def draw_rows(
    *,
    run_id: str,
    dataset: str | None = None,
    sql: str | None = None,
    connection: str | None = None,
    rows: int | Literal["random", "new", "all"] = "random",
    count: int = 5,
    row_id: str | None = None,
    new_by: str | None = None,
    model: str | None = None,
    progress: str = "progress",
) -> dict:
    """Choose the rows that this run is to predict; the same ``run_id`` chooses the same ones again.

    Of ``dataset`` (a CSV) or ``sql`` through the Airflow ``connection``: ``rows: random`` draws ``count``
    different ones (a number in place of ``random`` draws so many), ``all`` takes all, and ``new`` those
    whose column ``new_by``, which only grows, is greater than in any earlier run for ``model``; two tasks
    that draw new rows of different sources for one model need a ``progress`` of two names. Returns the
    choice, for ``predict_rows``; skips when nothing is new. Raises ValueError when there are fewer rows than
    asked for.
    """
    source = RowSource(dataset, sql, connection, row_id)
    if rows == "all":
        return {"rows": "all"}
    if rows == "new":
        if not new_by or not model:
            raise ValueError("rows is 'new': name the column that grows in `new_by`, and the `model`")
        return Progress(ModelStore(model).name, progress).choose(source, new_by, run_id)
    if isinstance(rows, str) and rows != "random":
        raise ValueError(f"rows is {rows!r}; it must be random, new, all or a number")
    drawn = _draw(source, count if rows == "random" else int(rows), seed_of(run_id))
    log.info("drew rows %s of %s", ", ".join(drawn), source.name)
    return {"rows": "random", "row_ids": drawn}


def _draw(source: RowSource, count: int, seed: int) -> list[str]:
    """Return the ids of ``count`` rows: those whose hash with the seed is smallest, in that order.

    So the draw does not depend on the order of rows, and needs no more memory for more of them.
    """
    kept: list[tuple[int, str]] = []  # a heap of negative hashes: the greatest is first
    ids: set[str] = set()
    total = 0
    for frame in source.chunks():
        total += len(frame)
        for row in frame[source.id_column]:
            if row in ids:
                raise ValueError(
                    f"row id {source.id_column!r} of {source.name} is not unique: a row could not be told "
                    f"from another, {row!r} say"
                )
            number = -int.from_bytes(hashlib.blake2b(f"{seed}:{row}".encode(), digest_size=8).digest(), "big")
            if len(kept) < count:
                heapq.heappush(kept, (number, row))
                ids.add(row)
            elif count > 0 and number > kept[0][0]:
                ids.remove(heapq.heapreplace(kept, (number, row))[1])
                ids.add(row)
    if not 0 < count <= total:
        raise ValueError(f"cannot draw {count} rows from {source.name}, which has {total}; correct `rows`")
    return [row for _, row in sorted(kept, reverse=True)]


@checked_by(_values.of_prediction)
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
    chunk_rows: int = CHUNK_ROWS,
    slack: str = "slack_webhook",
) -> dict:
    """Predict the chosen rows with the champion of ``model`` and write one CSV for this run.

    ``selection`` is what ``draw_rows`` returned, as JSON, and the source is that of ``draw_rows``; rows are
    read, predicted and written ``chunk_rows`` at a time. Columns are taken by name; one that is missing, or a
    text where the model learnt from numbers, fails; values beyond the training range are counted. The file
    lies in ``output/predictions/<model>/date=…/``, the date being that of ``run_after`` in ``timezone``, and
    its name is ``run_id``, which no other task that predicts with the model may have. A second try writes the
    same file, and the first run of a day puts the files of days before into one each.
    Skips, saying so, when there is no champion; where a broken one makes the one before it predict, Slack is
    told once (``slack`` is the connection). Returns the file, the model's version and the number of rows.
    """
    chosen = json.loads(selection)
    source = RowSource(dataset, sql, connection, row_id)
    store = ModelStore(model)
    found = _champion(store, slack)
    moment, now, zone = parse_time(run_after), datetime.now(UTC), parse_zone(timezone)
    day = moment.astimezone(zone).date()
    predictor = Predictor(found, store.metadata(found.version)["features"], source)
    progress = Progress(model, chosen["progress"]) if chosen["rows"] == "new" else None
    if progress:
        progress.knows(run_id, chosen)  # before the time is spent
    file = _prediction_files.RunFile(_prediction_files.path_of(model, day, run_id))
    told = _prediction_files.Told(
        run_id, moment.isoformat(), found.version, now.isoformat(timespec="seconds")
    )
    try:
        for frame in _chosen(source, chosen, predictor.texts, chunk_rows):
            file.add(told, *predictor.predict(frame))
        if chosen["rows"] == "random" and file.rows != len(chosen["row_ids"]):
            raise ValueError(
                f"{source.name} has {file.rows} of the {len(chosen['row_ids'])} rows drawn, "
                f"{', '.join(chosen['row_ids'])}; clear draw_rows to draw anew"
            )
        with _prediction_files.locked_for(model):
            written = _prediction_files.written_rows(model, day, run_id)
            _publish(file, written, progress, run_id, chosen)
    finally:
        file.discard()
    for text in predictor.warnings():
        log.warning("%s", text)
    _day_drift.write_counts(model, day, run_id, found.version, predictor.counts)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    _close_days(store, day, today.date())
    _renew_card(store, found.version, today)
    path = _prediction_files.place_of(model, day, run_id)
    log.info("%s predicted %d rows in %s", found.version, file.rows, path)
    return {
        "file": relative_to_project(path),
        "model_version": found.version,
        "rows": file.rows,
        "out_of_range": predictor.out_of_range,
        "never_seen": predictor.never_seen,
    }


def _champion(store: ModelStore, slack: str) -> Loaded:
    """Return the model to predict with; skip the task, saying so, where there is none."""
    found = store.load_champion()
    if found is None:
        skip(
            f"model {store.name!r} has no champion yet: train_model makes a challenger, promote_model the "
            f"champion (models: {', '.join(store.names()) or 'none'})"
        )
    if found.problem:
        _warn_once(store, found, slack)
    return found


def _publish(
    file: _prediction_files.RunFile,
    written: Iterator[list[str]],
    progress: Progress | None,
    run_id: str,
    chosen: dict[str, Any],
) -> None:
    """Put a run's file in its place; of new rows only by the one run that may predict them."""
    if progress is None:
        file.publish(written=written)
        return
    # First the claim: of two runs with the same rows, only one gets beyond it.
    file.publish(
        written=written,
        same_rows=not progress.knows(run_id, chosen),
        first=lambda: progress.claim(run_id, chosen),
    )


def _close_days(store: ModelStore, day: date, today: date) -> None:
    def shares_of(version: str) -> dict[str, list[float]]:
        try:
            features = store.metadata(version)["features"]
        except ModelStoreError:
            return {}  # pruned meanwhile
        return {f["name"]: f["distribution"]["shares"] for f in features if "distribution" in f}

    for closed in _closed_days.close_days(store.name, today, day, shares_of):
        if features := _day_drift.drifted(store.name, closed):
            log.warning("the rows of %s have moved from those that were learnt from: %s", closed, features)


def _renew_card(store: ModelStore, version: str, today: datetime) -> None:
    """Make the card of the version that predicts anew, once a day and after a promotion: with these rows."""
    from callables._model_card import write_card

    try:
        made = (store.folder(version) / "card.html").stat().st_mtime
        promoted = (store.usable_pointer() or {}).get("promoted_at")
        if made < max(today, parse_time(promoted) if promoted else today).timestamp():
            log.info("%s has the latest predictions", write_card(store, version))
    except FileNotFoundError:
        return  # no card was made when it was trained
    except Exception as error:  # a picture less is no reason to have no predictions
        log.info("the card of %s cannot be made anew: %s", version, error)


def _chosen(
    source: RowSource, chosen: dict[str, Any], texts: list[str], chunk_rows: int
) -> Iterator[pd.DataFrame]:
    """Yield the chosen rows; those that were drawn come in the order of the draw."""
    import pandas as pd

    if chosen["rows"] == "random":
        order = {row: place for place, row in enumerate(chosen["row_ids"])}
        parts = [frame[frame[source.id_column].isin(order)] for frame in source.chunks(texts, chunk_rows)]
        drawn = pd.concat(parts)
        yield drawn.sort_values(source.id_column, key=lambda ids: ids.map(order))
        return
    for frame in source.chunks(texts, chunk_rows):
        if chosen["rows"] == "new":
            frame = frame[inside(frame, chosen)]
        if len(frame):
            yield frame


def _warn_once(store: ModelStore, found: Loaded, slack: str) -> None:
    """Tell Slack that another than the champion predicts; not again for the same problem."""
    from callables.notifications import warn

    path = store.root / "warned.json"
    data, tag = read_with_tag(path)
    note = to_json({"problem": found.problem, "version": found.version})
    if data == note:
        return
    try:
        write_if_unchanged(path, note, tag)
    except ChangedError:
        return  # another run has just told
    warn(f"*{store.name}*: {found.problem}; `{found.version}` predicts instead", connection=slack)
