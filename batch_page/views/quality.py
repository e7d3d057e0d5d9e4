"""Quality: how good the predictions of each day were, by the labels that have come since, and the alarm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from markupsafe import Markup

from batch_page.access import asked
from batch_page.asked import Asked
from batch_page.charts import Mark, Series, scatter
from batch_page.choice import chosen_model, visible_models
from batch_page.queries import UnavailableError
from batch_page.rendering import rendered
from batch_page.stale import OutputAge, output_ages
from batch_page.view import QUERIES, REMEMBERED, State, Tile, View
from batch_serving.monitoring.alarm import ALARM, LastChange, announced
from batch_serving.monitoring.measuring import measured_rows
from batch_serving.monitoring.places import measured_path, quality_folder
from batch_serving.prediction.places import days_of
from batch_serving.promotion.sequential import TrialProgress
from batch_serving.promotion.trials import trial_of
from batch_serving.registry.store import ModelStore
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import entries, identities_below

DAYS_SHOWN = 60
DAYS_LISTED = 14
MOST_VERSIONS = 4  # in the chart
MOST_LABELS = 10

Row = dict[str, str]


@dataclass(frozen=True)
class QualityState:
    """What is measured of a model: the rows of the last days, newest day last, the alarm, a trial."""

    name: str
    rows: list[Row]
    alarm: LastChange
    trial: TrialProgress | None = None

    def metrics(self) -> list[str]:
        """The metrics, in the order of the files."""
        return list(dict.fromkeys(row["metric"] for row in self.rows))

    def of(self, metric: str) -> list[Row]:
        """The rows of a metric that have a value."""
        return [row for row in self.rows if row["metric"] == metric and not math.isnan(float(row["value"]))]


def measured_models(asking: Asked) -> list[str]:
    """Return the models that are measured, and that the user may see."""

    def names() -> list[str]:
        return sorted(entry.name for entry in entries(output_path("quality")))

    return visible_models(asking, QUERIES.answer("measured", names))


def state_of(name: str) -> QualityState:
    """Return what is measured of a model; UnavailableError if it cannot be read now."""
    return QUERIES.answer(("quality", name), lambda: _state(name))


def _state(name: str) -> QualityState:
    paths = {day: measured_path(name, day) for day in days_of(name)[-DAYS_SHOWN:]}
    rows: list[Row] = []
    if paths:
        folders = sorted(path.parent.name for path in paths.values())
        seen = identities_below(quality_folder(name), folders[0], folders[-1])
        for day, path in paths.items():
            identity = seen.get(f"{path.parent.name}/{path.name}")
            rows += REMEMBERED.get(("quality", str(path)), identity, partial(measured_rows, name, day))
    return QualityState(name, rows, announced(name), trial_of(ModelStore(name)))


def page(asking: Annotated[Asked, Depends(asked)]) -> str:
    """Return the page of ``?model=``, otherwise of the first one that is measured."""
    values: dict[str, Any] = {"current": VIEW, "names": [], "state": None, "problem": ""}
    try:
        values["names"] = names = measured_models(asking)
        if name := chosen_model(asking, names):
            state = state_of(name)
            metrics = state.metrics()
            values |= {
                "state": state,
                "metrics": metrics,
                "charts": [chart for metric in metrics[:1] for chart in _charts(asking, state, metric)],
                "days": _listed(state.rows),
                "is_alarm": state.alarm.state == ALARM,
                "trial": state.trial and _trial(state.trial),
                "ages": _ages(asking, name),
            }
    except UnavailableError as error:
        values["problem"] = str(error)
    return rendered("quality.html", asking, **values)


def _charts(asking: Asked, state: QualityState, metric: str) -> list[Markup]:
    """Return the chart of a metric: a line for each version, its interval, and days that are not mature."""
    rows = state.of(metric)
    if not rows:
        return []
    first = date.fromisoformat(rows[0]["date"])
    versions = list(dict.fromkeys(row["model_version"] for row in reversed(rows)))[:MOST_VERSIONS]
    series = []
    for version in reversed(versions):
        own = [row for row in rows if row["model_version"] == version]
        series.append(Series(version, _marks(asking, own, first, "value"), line=True))
        series.append(
            Series(asking.text("mature days"), _marks(asking, own, first, "value", "yes"), size=3.5)
        )
    newest = [row for row in rows if row["model_version"] == versions[0]]
    for end, name in (("low", "lower end of its interval"), ("high", "upper end of its interval")):
        series.append(Series(asking.text(name), _marks(asking, newest, first, end), line=True))
    title = asking.text("{metric} by day", metric=metric)
    return [scatter(title, _labels(rows, first), series)]


def _marks(asking: Asked, rows: Sequence[Row], first: date, column: str, mature: str = "") -> list[Mark]:
    found = []
    for row in rows:
        value = float(row[column])
        if math.isnan(value) or (mature and row["mature"] != mature):
            continue
        place = (date.fromisoformat(row["date"]) - first).days
        tooltip = f"{row['date']} {row['model_version']}: {row['metric']} {_shown(row)}, " + asking.text(
            "{labelled} of {rows} rows labelled", labelled=row["labelled"], rows=row["rows"]
        )
        found.append(Mark(place, value, tooltip))
    return found


def _trial(found: TrialProgress) -> dict[str, Any]:
    """Return what is shown of a trial; ``share`` is how far the evidence is, between 0 and 1."""
    evidence = found.evidence()
    share = max(0.0, min(1.0, found.log_evidence / found.log_needed))
    return {"version": found.trial.version, "sentence": evidence.sentence, "share": share, **evidence.numbers}


def _ages(asking: Asked, name: str) -> list[OutputAge]:
    """Return the ages of what there is of a model; none if they cannot be read now."""
    try:
        ages = QUERIES.answer("ages", lambda: output_ages(asking.now))
    except UnavailableError:  # the rest of the page is as good without
        return []
    return [one for one in ages if one.output.endswith(f"/{name}")]


def _labels(rows: Sequence[Row], first: date) -> list[tuple[float, str]]:
    last = (date.fromisoformat(rows[-1]["date"]) - first).days
    step = max(1, -(-(last + 1) // MOST_LABELS))
    return [(place, (first + timedelta(place)).strftime("%m-%d")) for place in range(0, last + 1, step)]


def _shown(row: Row) -> str:
    """Return a value with its interval."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if math.isnan(value):
        return "–"
    return f"{value:.4f}" if math.isnan(low) else f"{value:.4f} ({low:.4f} – {high:.4f})"


def _listed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the newest days by version: their numbers of rows, and the text of each metric."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in reversed(rows):
        key = row["date"], row["model_version"]
        entry = found.setdefault(key, {**row, "values": {}})
        entry["values"][row["metric"]] = _shown(row)
    days = sorted({day for day, _ in found})[-DAYS_LISTED:]
    return [entry for (day, _), entry in found.items() if day in days]


def tiles(asking: Asked) -> list[Tile]:
    """Return a tile for each model that is measured; none for one that is not."""
    try:
        return [_tile(asking, state_of(name)) for name in measured_models(asking)]
    except UnavailableError as error:
        title, advice = asking.text("Quality"), str(error)
        return [Tile(title, "?", "", asking.url("quality"), State.WRONG, advice)]


def _tile(asking: Asked, state: QualityState) -> Tile:
    title, href = asking.text("Quality of {model}", model=state.name), asking.url("quality", model=state.name)
    metric = next(iter(state.metrics()), "")
    mature = [row for row in state.of(metric) if row["mature"] == "yes"]
    if state.alarm.state == ALARM:
        return Tile(title, asking.text("alarm"), metric, href, State.WRONG, state.alarm.reason)
    if not mature:
        return Tile(title, "–", asking.text("no mature day yet"), href, State.FINE)
    detail = f"{metric}, {mature[-1]['date']}"
    return Tile(title, f"{float(mature[-1]['value']):.4f}", detail, href)


def _add_routes(router: APIRouter) -> None:
    router.add_api_route("/quality", page, methods=["GET"])


VIEW = View("quality", "Quality", _add_routes, tiles)
