"""P3: choose rows, and let the champion predict them."""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from zoneinfo import ZoneInfo

from callables import _prediction_files, _values
from callables._airflow import skip
from callables._dataset import NO_VALUE
from callables._files import (
    ChangedError,
    read_with_tag,
    relative_to_project,
    to_json,
    write_if_unchanged,
)
from callables._model_store import Loaded, ModelStore, ModelStoreError
from callables._new_rows import Progress, inside
from callables._row_source import CHUNK_ROWS, RowSource
from callables._run import parse_time, seed_of
from callables._values import checked_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    import pandas as pd

log = logging.getLogger(__name__)

COLUMNS = _prediction_files.COLUMNS
ROWS_SHOWN = 5
RANGE_SLACK = 0.1  # of the training range, beyond which a value is counted


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
    found = store.load_champion()
    if found is None:
        skip(
            f"model {model!r} has no champion yet: train_model makes a challenger, promote_model the "
            f"champion (models: {', '.join(store.names()) or 'none'})"
        )
    if found.problem:
        _warn_once(store, found, slack)
    moment = parse_time(run_after)
    zone = _zone(timezone)
    day = moment.astimezone(zone).date()
    path = _prediction_files.path_of(model, day, run_id)
    predictor = _Predictor(found, store.metadata(found.version)["features"], source)
    progress = Progress(model, chosen["progress"]) if chosen["rows"] == "new" else None
    if progress:
        progress.knows(run_id, chosen)  # before the time is spent
    file = _prediction_files.RunFile(path)
    now = datetime.now(UTC)
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
            if progress is None:
                file.publish(written=written)
            else:
                # First the claim: of two runs with the same rows, only one gets beyond it.
                file.publish(
                    written=written,
                    same_rows=not progress.knows(run_id, chosen),
                    first=lambda: progress.claim(run_id, chosen),
                )
    finally:
        file.discard()
    for text in predictor.warnings():
        log.warning("%s", text)
    _prediction_files.write_counts(model, day, run_id, found.version, predictor.counts)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    _close_days(store, day, today.date())
    _draw_latest(store, found.version, today)
    path = _prediction_files.place_of(model, day, run_id)
    log.info("%s predicted %d rows in %s", found.version, file.rows, path)
    return {
        "file": relative_to_project(path),
        "model_version": found.version,
        "rows": file.rows,
        "out_of_range": predictor.out_of_range,
        "never_seen": predictor.never_seen,
    }


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError):
        raise ValueError(f"timezone is {timezone!r}; it must be a name such as Asia/Seoul") from None


def _close_days(store: ModelStore, day: date, today: date) -> None:
    def shares_of(version: str) -> dict[str, list[float]]:
        try:
            features = store.metadata(version)["features"]
        except ModelStoreError:
            return {}  # pruned meanwhile
        return {f["name"]: f["distribution"]["shares"] for f in features if "distribution" in f}

    for closed in _prediction_files.close_days(store.name, today, day, shares_of):
        if features := _prediction_files.drifted(store.name, closed):
            log.warning("the rows of %s have moved from those that were learnt from: %s", closed, features)


def _draw_latest(store: ModelStore, version: str, today: datetime) -> None:
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
        log.warning("the card of %s cannot be made anew: %s", version, error)


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


class _Predictor:
    """A loaded model with what its record says of its features: checks rows, predicts, and counts."""

    def __init__(self, loaded: Loaded, features: list[dict[str, Any]], source: RowSource) -> None:
        self._loaded, self._features, self._source = loaded, features, source
        self.names = [feature["name"] for feature in features]
        self.texts = [feature["name"] for feature in features if not _is_number(feature)]
        self.out_of_range: dict[str, int] = {}
        self.never_seen: dict[str, int] = {}
        self._unknown: dict[str, str] = {}  # one text of each column that has some
        self.empty: dict[str, int] = {}
        bins = {f["name"]: f["distribution"] for f in features if "distribution" in f}
        self._bins = bins
        self.counts = {name: [0] * len(one["shares"]) for name, one in bins.items()}

    def predict(self, frame: pd.DataFrame) -> tuple[list[str], list, list | None]:
        """Return the ids, the predictions and, where the model gives them, the probabilities of rows."""
        from callables import _drift, _estimators

        frame = frame.copy(deep=False)
        self._check(frame)
        for name, bins in self._bins.items():
            fresh = _drift.count(bins, frame[name])
            self.counts[name] = [old + new for old, new in zip(self.counts[name], fresh, strict=True)]
        predictions, probabilities = _estimators.predict(self._loaded.model, frame[self.names])
        shares = None if probabilities is None else probabilities.tolist()
        return frame[self._source.id_column].tolist(), predictions.tolist(), shares

    def _check(self, frame: pd.DataFrame) -> None:
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise ValueError(
                f"{self._source.name} lacks columns that version {self._loaded.version} learnt from: "
                f"{missing}"
            )
        for feature in self._features:
            name = feature["name"]
            column = frame[name]
            if not _is_number(feature):
                frame[name] = column = _as_texts(column)
            if empty := int(column.isna().sum()):
                self.empty[name] = self.empty.get(name, 0) + empty
            if not _is_number(feature):
                self._count_never_seen(column, feature)
                continue
            if column.dtype.kind not in "iufb" and not column.isna().all():
                # Another row of the file may be the one with the text.
                frame[name] = column = self._as_numbers(frame, name)
            if column.dtype.kind == "f" and (endless := column.abs() == float("inf")).any():
                self._refuse(frame, name, column[endless])
            low, high = feature.get("min"), feature.get("max")
            if low is None or high is None:
                continue
            slack = RANGE_SLACK * (high - low)
            outside = int(((column < low - slack) | (column > high + slack)).sum())
            if outside:
                self.out_of_range[name] = self.out_of_range.get(name, 0) + outside

    def _as_numbers(self, frame: pd.DataFrame, name: str) -> pd.Series:
        import pandas as pd

        column = frame[name]
        if column.dtype.kind in "mM":  # a time is none, though pandas would count its nanoseconds
            self._refuse(frame, name, column.dropna())
        numbers = pd.to_numeric(column, errors="coerce")
        texts = column[numbers.isna() & column.notna()]
        if len(texts):
            self._refuse(frame, name, texts)
        return numbers

    def _refuse(self, frame: pd.DataFrame, name: str, values: pd.Series) -> NoReturn:
        ids = frame.loc[values.index, self._source.id_column]
        shown = ", ".join(
            f"row {i} has {str(v)[:30]!r}" for i, v in list(zip(ids, values, strict=True))[:ROWS_SHOWN]
        )
        raise ValueError(f"column {name!r} of {self._source.name} must be a number, but {shown}")

    def _count_never_seen(self, column: pd.Series, feature: dict[str, Any]) -> None:
        """Count texts that no row in training had: the model takes them for nothing at all."""
        if (known := feature.get("categories")) is None:
            return
        others = column[column.notna() & ~column.isin(known)]
        if len(others):
            name = feature["name"]
            self.never_seen[name] = self.never_seen.get(name, 0) + len(others)
            self._unknown.setdefault(name, str(others.iloc[0])[:30])

    def warnings(self) -> Iterator[str]:
        """Yield what is worth a look: features whose values lie beyond what was learnt from."""
        # The last share is that of empty cells: where there were none to learn from, they are news.
        learnt = {name: bins["shares"][-1] for name, bins in self._bins.items()}
        if news := {name: count for name, count in self.empty.items() if not learnt.get(name)}:
            shown = ", ".join(f"{name} in {count} rows" for name, count in sorted(news.items()))
            yield f"empty, though {self._loaded.version} learnt from rows without a gap: {shown}"
        if self.out_of_range:
            shown = ", ".join(f"{name} in {count} rows" for name, count in sorted(self.out_of_range.items()))
            yield f"beyond the range that {self._loaded.version} learnt from: {shown}"
        if self.never_seen:
            shown = ", ".join(
                f"{name} in {count} rows ({self._unknown[name]!r}, say)"
                for name, count in sorted(self.never_seen.items())
            )
            yield f"texts that {self._loaded.version} has never seen: {shown}"


def _as_texts(column: pd.Series) -> pd.Series:
    """Return a column as the texts that a CSV would have: a database may give numbers, and None for a gap."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers beside a gap
    texts = column.astype(object).map(str, na_action="ignore")
    return texts.where(column.notna() & ~texts.isin(NO_VALUE))


def _is_number(feature: dict[str, Any]) -> bool:
    return feature["dtype"].startswith(("int", "uint", "float", "bool"))


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
