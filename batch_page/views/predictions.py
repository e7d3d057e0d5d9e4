"""Predictions: the latest runs with their rows, what was predicted each day, drift, and one row over time."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from markupsafe import Markup

from batch_page.access import asked
from batch_page.asked import Asked
from batch_page.charts import Mark, Series, lines, stacked_bars
from batch_page.choice import chosen_model, visible_models
from batch_page.digits import picture_of
from batch_page.pipelines import pipelines
from batch_page.queries import UnavailableError
from batch_page.rendering import rendered
from batch_page.view import QUERIES, REMEMBERED, State, Tile, View
from batch_serving.prediction.places import days_of, folder_of
from batch_serving.prediction.run_files import COLUMNS, CorruptFileError, rows_in
from batch_serving.shared.files import tag_of
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import entries, files_in, read_whole

if TYPE_CHECKING:
    from upath import UPath

DAYS_SHOWN = 30  # in the charts
DAYS_SEARCHED = 120
MOST_RUNS = 8
MOST_LABELS = 12  # colours that can be told apart
MOST_FOUND = 50
MOST_FEATURES = 12

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


def day_of(model: str, day: date) -> Day:
    """Return what was predicted on a day; remembered while its files are the same."""
    files = sorted(files_in(folder_of(model, day), ".csv"), key=str)
    seen = tuple((path.name, tag_of(path)) for path in files) if len(files) < 4 else _names_and_last(files)
    return REMEMBERED.get(("day", str(folder_of(model, day))), seen, lambda: _read_day(day, files))


def _names_and_last(files: list[UPath]) -> tuple[str, ...]:
    """Return what changes when a day gets another run: a run's file never changes once it is there."""
    return tuple(path.name for path in files)


def _read_day(day: date, files: list[UPath]) -> Day:
    labels: Counter[str] = Counter()
    by_minute: Counter[str] = Counter()
    runs: dict[str, list[Row]] = {}
    for row in _rows(files):
        labels[row["prediction"]] += 1
        by_minute[row["scored_at"][:16]] += 1
        runs.setdefault(row["run_id"], []).append(row)
    latest = sorted(runs.values(), key=lambda rows: rows[0]["scored_at"], reverse=True)
    return Day(
        day, sum(labels.values()), dict(labels), dict(by_minute), [rows[:25] for rows in latest[:MOST_RUNS]]
    )


def _rows(files: list[UPath]) -> Iterator[Row]:
    """Yield the rows of files, each run's once; a file that is corrupt or gone is left out."""
    seen: set[str] = set()
    for path in sorted(files, key=lambda file: file.name.startswith("day=")):  # a run's own file is newer
        runs = set()
        try:
            for values in rows_in(path):
                if values[0] not in seen:
                    runs.add(values[0])
                    yield dict(zip(COLUMNS, values, strict=True))
        except (CorruptFileError, FileNotFoundError):
            continue
        seen |= runs


def latest_days(model: str, count: int = DAYS_SHOWN) -> list[Day]:
    """Return the last days with predictions, oldest first."""
    return [day_of(model, day) for day in days_of(model)[-count:]]


def drift_of(model: str) -> list[Drift]:
    """Return the drift of the last days, by feature."""
    found: list[Drift] = []
    for path in files_in(output_path("predictions", model, "drift"), ".csv")[-DAYS_SHOWN:]:
        found += REMEMBERED.get(("drift", str(path)), tag_of(path), partial(_drift_in, path))
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
    for day in reversed(days_of(model)[-DAYS_SEARCHED:]):
        files = [path for path in files_in(folder_of(model, day), ".csv") if _may_have(path, row_id)]
        of_day = [row for row in _rows(files) if row["row_id"] == row_id]
        found += sorted(of_day, key=lambda row: row["scored_at"], reverse=True)
        if len(found) >= MOST_FOUND:
            break
    return found[:MOST_FOUND]


def _may_have(path: UPath, row_id: str) -> bool:
    """Whether a file has this text at all: a hundred times quicker than to read its rows."""
    try:
        return row_id.encode() in read_whole(path)
    except FileNotFoundError:  # compacted meanwhile
        return False


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
