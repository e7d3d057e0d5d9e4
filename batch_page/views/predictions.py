"""Predictions: the latest runs with their rows, what was predicted each day, drift, and one row over time."""

from __future__ import annotations

import contextlib
import csv
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from heapq import nlargest
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from markupsafe import Markup

from batch_page.access import asked
from batch_page.asked import Asked
from batch_page.charts import Mark, Series, lines, stacked_bars
from batch_page.choice import chosen_model, visible_models
from batch_page.digits import picture_of
from batch_page.pipelines import pipelines
from batch_page.queries import Remembered, UnavailableError
from batch_page.rendering import rendered
from batch_page.view import QUERIES, REMEMBERED, State, Tile, View
from batch_serving.prediction.places import days_of, folder_of
from batch_serving.prediction.run_files import COLUMNS, CorruptFileError, rows_in
from batch_serving.shared.paths import is_local, output_path
from batch_serving.shared.reading import entries, identities_below, read_whole

if TYPE_CHECKING:
    from upath import UPath

DAYS_SHOWN = 30  # in the charts
DAYS_SEARCHED = 120
MOST_RUNS = 8
MOST_ROWS = 25  # of a run
MOST_LABELS = 12  # colours that can be told apart
MOST_FOUND = 50
MOST_FEATURES = 12

RUN_ID, ROW_ID = COLUMNS.index("run_id"), COLUMNS.index("row_id")
PREDICTION, SCORED_AT = COLUMNS.index("prediction"), COLUMNS.index("scored_at")

CONTENTS = Remembered(500)  # of files that are not on disk, compressed: some 20 KB for a day

Row = dict[str, str]


@dataclass(frozen=True)
class Day:
    """What was predicted on a day: rows by label, the latest runs, when the latest run was."""

    day: date
    rows: int
    labels: dict[str, int]
    by_minute: dict[str, int]  # rows by minute, in UTC as scored_at has it
    latest: list[list[Row]]  # runs with their rows, newest first


@dataclass(frozen=True)
class Drift:
    """The drift of a feature on a day."""

    day: str
    version: str
    feature: str
    rows: int
    psi: float
    alarm: bool


def predicted_models(asking: Asked) -> list[str]:
    """Return the models with predictions that the user may see."""
    found = QUERIES.answer(
        "predicted", lambda: [e.name for e in entries(output_path("predictions")) if e.is_folder]
    )
    return visible_models(asking, found)


def latest_days(model: str, count: int = DAYS_SHOWN) -> list[Day]:
    """Return the last days with predictions, oldest first, each read again only if its files changed."""
    return [
        REMEMBERED.get(("day", str(folder)), tuple(files.items()), partial(_read_day, day, folder, files))
        for day, folder, files in _files_of(model, days_of(model)[-count:])
    ]


def _files_of(model: str, days: list[date]) -> list[tuple[date, UPath, dict[str, str]]]:
    """Return each day with its folder, and the identities of its files by name."""
    if not days:
        return []
    folders = {folder_of(model, day).name: folder_of(model, day) for day in days}
    files: dict[str, dict[str, str]] = {name: {} for name in folders}
    found = identities_below(output_path("predictions", model), min(folders), max(folders))
    for path, identity in found.items():
        name, _, file = path.partition("/")
        if file.endswith(".csv") and name in files:
            files[name][file] = identity
    return [(day, folder, files[folder.name]) for day, folder in zip(days, folders.values(), strict=True)]


def _read_day(day: date, folder: UPath, files: Iterable[str]) -> Day:
    labels: Counter[str] = Counter()
    by_minute: Counter[str] = Counter()
    scored: dict[str, str] = {}
    rows = list(_rows(folder, files))
    for row in rows:
        labels[row[PREDICTION]] += 1
        by_minute[row[SCORED_AT][:16]] += 1
        scored.setdefault(row[RUN_ID], row[SCORED_AT])
    latest: dict[str, list[Row]] = {run: [] for run in nlargest(MOST_RUNS, scored, key=scored.__getitem__)}
    for row in rows:
        of_run = latest.get(row[RUN_ID])
        if of_run is not None and len(of_run) < MOST_ROWS:
            of_run.append(dict(zip(COLUMNS, row, strict=True)))
    return Day(day, len(rows), dict(labels), dict(by_minute), list(latest.values()))


def _rows(folder: UPath, files: Iterable[str]) -> Iterator[list[str]]:
    """Yield the rows of files, each run's once; a file that is corrupt or gone is left out."""
    seen: set[str] = set()
    for name in sorted(files, key=lambda name: name.startswith("day=")):  # a run's own file is newer
        runs = set()
        with contextlib.suppress(CorruptFileError, FileNotFoundError):
            for row in rows_in(folder / name):
                if row[RUN_ID] not in seen:
                    runs.add(row[RUN_ID])
                    yield row
        seen |= runs


def drift_of(model: str) -> list[Drift]:
    """Return the drift of the last days, by feature."""
    folder = output_path("predictions", model, "drift")
    names = sorted(entry.name for entry in entries(folder) if entry.name.endswith(".csv"))[-DAYS_SHOWN:]
    if not names:
        return []
    files = identities_below(folder, names[0], names[-1])
    found: list[Drift] = []
    for name in names:
        path = folder / name
        found += REMEMBERED.get(("drift", str(path)), files.get(name), partial(_drift_in, path))
    return found


def _drift_in(path: UPath) -> list[Drift]:
    found = []
    for row in csv.DictReader(io.StringIO(read_whole(path).decode("utf-8-sig"), newline="")):
        try:
            alarm = row["alarm"].lower() in ("true", "1", "yes")
            found.append(
                Drift(
                    row["date"],
                    row["model_version"],
                    row["feature"],
                    int(row["rows"]),
                    float(row["psi"]),
                    alarm,
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def find_row(model: str, row_id: str) -> list[Row]:
    """Return what was predicted for a row in the last days, newest first."""
    found: list[Row] = []
    for _, folder, files in reversed(_files_of(model, days_of(model)[-DAYS_SEARCHED:])):
        of_day = [dict(zip(COLUMNS, row, strict=True)) for row in _rows_of(row_id, folder, files)]
        found += sorted(of_day, key=lambda row: row["scored_at"], reverse=True)
        if len(found) >= MOST_FOUND:
            break
    return found[:MOST_FOUND]


def _rows_of(row_id: str, folder: UPath, files: dict[str, str]) -> Iterator[list[str]]:
    """Yield the rows of a day that are about one row of the data.

    Only lines that have its id are read as CSV: a hundred times quicker. A day that is being compacted, and a
    file with quotes, where a line need not be a row, are read as a whole.
    """
    wanted = f",{row_id},".encode()
    contents = {name: content for name in files if (content := _content(folder / name, files[name]))}
    if len({name.startswith("day=") for name in contents}) > 1 or any(
        b'"' in each for each in contents.values()
    ):
        yield from (row for row in _rows(folder, files) if row[ROW_ID] == row_id)
        return
    for content in contents.values():
        if wanted in content:
            lines = [line.decode("utf-8", "replace") for line in content.splitlines() if wanted in line]
            yield from (
                row for row in csv.reader(lines) if len(row) == len(COLUMNS) and row[ROW_ID] == row_id
            )


def _content(path: UPath, identity: str) -> bytes:
    """Return a file's content, empty if it was compacted meanwhile; one not on disk is kept compressed."""
    with contextlib.suppress(FileNotFoundError):
        if is_local(path):
            return read_whole(path)
        return zlib.decompress(CONTENTS.get(str(path), identity, lambda: zlib.compress(read_whole(path), 1)))
    return b""


def page(asking: Annotated[Asked, Depends(asked)]) -> str:
    """Return the page of a model: ``?model=``, otherwise the first one; ``?row=`` searches for a row."""
    values: dict[str, Any] = {
        "current": VIEW,
        "names": [],
        "name": "",
        "problem": "",
        "row": "",
        "found": None,
    }
    try:
        values["names"] = names = predicted_models(asking)
        name = chosen_model(asking, names)
        if name:
            values |= _about(asking, name)
    except UnavailableError as error:
        values["problem"] = str(error)
    return rendered("predictions.html", asking, **values)


def _about(asking: Asked, name: str) -> dict[str, Any]:
    days = QUERIES.answer(("days", name), lambda: latest_days(name))
    drift = QUERIES.answer(("drift", name), lambda: drift_of(name))
    row = asking.query.get("row", "").strip()
    found = QUERIES.answer(("row", name, row), lambda: find_row(name, row)) if row else None
    runs = [run for day in reversed(days) for run in day.latest][:MOST_RUNS]
    shown = {one["row_id"] for run in [*runs, found or []] for one in run}
    pictures = {row_id: picture for row_id in shown if (picture := picture_of(name, row_id))}
    return {
        "name": name,
        "days": days,
        "runs": runs,
        "pictures": pictures,
        "labels": _label_chart(asking, days),
        "drift": _drift_chart(asking, drift),
        "alarms": [one for one in drift if one.alarm][-20:],
        "row": row,
        "found": found,
        "searched": DAYS_SEARCHED,
    }


def _label_chart(asking: Asked, days: list[Day]) -> Markup | None:
    totals = Counter[str]()
    for day in days:
        totals.update(day.labels)
    if not totals:
        return None
    labels = sorted(label for label, _ in totals.most_common(MOST_LABELS))
    names = [f"{day.day:%m-%d}" for day in days]
    series = [
        Series(
            label,
            [
                Mark(place, day.labels.get(label, 0), f"{day.day}: {label}, {day.labels.get(label, 0)}")
                for place, day in enumerate(days)
            ],
        )
        for label in labels
    ]
    return stacked_bars(asking.text("Predictions by day"), names, series)


def _drift_chart(asking: Asked, drift: list[Drift]) -> Markup | None:
    """Draw the features that drifted most, by day; the tooltip says how many rows it is from."""
    if not drift:
        return None
    days = sorted({one.day for one in drift})
    most: dict[str, float] = {}
    for one in drift:
        most[one.feature] = max(most.get(one.feature, 0), one.psi)
    features = sorted(most, key=lambda name: -most[name])[:MOST_FEATURES]
    by_place = {(one.feature, one.day): one for one in drift}
    series = []
    for feature in features:
        marks = []
        for place, day in enumerate(days):
            found = by_place.get((feature, day))
            marks.append(
                Mark(place, found.psi if found else None, _drift_text(asking, found) if found else "")
            )
        series.append(Series(feature, marks))
    return lines(asking.text("Drift by day (PSI)"), [day[5:] for day in days], series)


def _drift_text(asking: Asked, one: Drift) -> str:
    rows = asking.text("{rows} rows", rows=one.rows)
    return f"{one.day}: {one.feature}, PSI {one.psi:.3f}, {rows}"


def tiles(asking: Asked) -> list[Tile]:
    """Return tiles: predictions in the last hour and day, and drift."""
    href = asking.url("predictions")
    title = asking.text("Predictions")
    try:
        names = predicted_models(asking)
        if not names:
            advice = asking.text("There are no predictions yet: trigger predict once there is a champion.")
            return [Tile(title, "0", "", href, State.EMPTY, advice)]
        return [tile for name in names[:4] for tile in _tiles(asking, name)]
    except UnavailableError as error:
        return [Tile(title, "?", "", href, State.WRONG, str(error))]


def _tiles(asking: Asked, name: str) -> list[Tile]:
    href = asking.url("predictions", model=name)
    days = QUERIES.answer(("days", name, 2), lambda: latest_days(name, 2))  # of the page: DAYS_SHOWN
    hour, of_day = _since(days, asking.now - timedelta(hours=1)), _since(days, asking.now - timedelta(days=1))
    title = asking.text("Predictions of {model}", model=name)
    detail = asking.text("{hour} in the last hour, {day} in the last day", hour=hour, day=of_day)
    scheduled = [one for one in pipelines() if name in one.models and one.names_rows]
    state, advice = State.FINE, ""
    if not of_day and scheduled:
        state = State.NOTICE
        advice = asking.text(
            "Nothing was predicted with {model} for a day: see whether {dag} is paused or fails.",
            model=name, dag=scheduled[0].dag_id,
        )  # fmt: skip
    found = [Tile(title, str(of_day), detail, href, state, advice)]
    drift = QUERIES.answer(("drift", name), lambda: drift_of(name))
    if drift:
        last = max(one.day for one in drift)
        alarms = [one for one in drift if one.day == last and one.alarm]
        worst = max((one for one in drift if one.day == last), key=lambda one: one.psi)
        value = f"PSI {worst.psi:.2f}"
        detail = asking.text(
            "{feature} on {day}, {rows} rows", feature=worst.feature, day=last, rows=worst.rows
        )
        advice = ""
        if alarms:
            advice = asking.text(
                "The rows of {model} have drifted ({feature}): "
                "compare them with the training data, or train on newer rows.",
                model=name, feature=worst.feature,
            )  # fmt: skip
        state = State.NOTICE if alarms else State.FINE
        found.append(Tile(asking.text("Drift of {model}", model=name), value, detail, href, state, advice))
    return found


def _since(days: list[Day], start: datetime) -> int:
    """Count the rows scored since a moment, to the minute."""
    limit = start.isoformat()[:16]
    return sum(count for day in days for minute, count in day.by_minute.items() if minute >= limit)


def _add_routes(router: APIRouter) -> None:
    router.add_api_route("/predictions", page, methods=["GET"])


VIEW = View("predictions", "Predictions", _add_routes, tiles)
