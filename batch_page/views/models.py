"""Models: versions and verdicts, the champion beside another version, and the way to promote or roll back."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from batch_page.access import asked
from batch_page.asked import Asked
from batch_page.charts import Mark, Series, scatter
from batch_page.choice import chosen_model, visible_models
from batch_page.pipelines import promoting_dags
from batch_page.queries import UnavailableError
from batch_page.rendering import CARD_POLICY, rendered
from batch_page.view import QUERIES, REMEMBERED, State, Tile, View
from batch_serving.registry.history import Entry
from batch_serving.registry.pointer import Pointer
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import HOLDOUT_PREDICTIONS, ModelStoreError, check_model_name
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.reading import identity_of, read_whole

MOST_VERSIONS = 300  # in the chart and in the lists
MOST_VERDICTS = 60
MOST_CLASSES = 25  # of a confusion matrix
MOST_SETTINGS = 40


@dataclass(frozen=True)
class ModelState:
    """What the store has of a model: its pointer, its newest verdicts, its newest versions."""

    name: str
    champion: Pointer | None
    verdicts: list[Entry]  # oldest first
    versions: list[str]  # oldest first

    @property
    def since(self) -> datetime | None:
        """Since when the champion has been it."""
        at = self.champion and self.champion.promoted_at
        return datetime.fromisoformat(at) if at else None


@dataclass(frozen=True)
class Side:
    """A version in the comparison of two."""

    version: str
    metadata: dict[str, Any]
    confusion: dict[tuple[str, str], int]
    problem: str = ""


def model_names(asking: Asked) -> list[str]:
    """Return the models in the store that the user may see."""
    return visible_models(asking, QUERIES.answer("models", ModelStore.names))


def state_of(name: str) -> ModelState:
    """Return what the store has of a model; UnavailableError if it cannot be read now."""
    return QUERIES.answer(("model", name), lambda: _state(name))


def _state(name: str) -> ModelState:
    store = ModelStore(name)
    seen = identity_of(store.root / "history.jsonl")
    verdicts = REMEMBERED.get(("history", str(store.root)), seen, lambda: store.history(MOST_VERSIONS))
    judged = [str(entry["version"]) for entry in verdicts]
    since = min(judged) if len(judged) >= MOST_VERSIONS else ""
    return ModelState(name, store.usable_pointer(), verdicts, store.versions(since)[-MOST_VERSIONS:])


def page(asking: Annotated[Asked, Depends(asked)]) -> str:
    """Return the page of ``?model=``, otherwise of the first one; ``?version=`` is beside the champion."""
    values: dict[str, Any] = {"current": VIEW, "names": [], "model": None, "problem": ""}
    try:
        values["names"] = names = model_names(asking)
        name = chosen_model(asking, names)
        if name:
            values |= _about(asking, state_of(name))
    except UnavailableError as error:
        values["problem"] = str(error)
    return rendered("models.html", asking, **values)


def _about(asking: Asked, state: ModelState) -> dict[str, Any]:
    champion = state.champion.version if state.champion else ""
    other = asking.query.get("version") or next(
        (version for version in reversed(state.versions) if version != champion), ""
    )
    sides = [side_of(state.name, version) for version in (champion, other) if version]
    return {
        "model": state,
        "champion": champion,
        "other": other,
        "sides": sides,
        "rows": _compared(sides),
        "matrices": _matrices(sides),
        "chart": _chart(asking, state),
        "verdicts": list(reversed(state.verdicts[-MOST_VERDICTS:])),
        "dags": [dag_id for dag_id in promoting_dags(state.name) if dag_id in asking.readable],
        "actions": _actions(state, other),
    }


def _actions(state: ModelState, other: str) -> list[tuple[str, str]]:
    """Return what the trigger form can be opened for: a name, and the fields as JSON."""
    found = []
    if other:
        found.append(("Promote this", json.dumps({"version": other})))
        found.append(("Dry run", json.dumps({"version": other, "dry_run": True})))
    if state.champion and state.champion.previous:
        found.append(("Roll back", json.dumps({"roll_back": True})))
    return found


def side_of(name: str, version: str) -> Side:
    """Return a version's record and confusion matrix; its ``problem`` if it cannot be read."""
    try:
        return QUERIES.answer(("side", name, version), lambda: _side(name, version))
    except ModelStoreError as error:
        return Side(version, {}, {}, str(error))


def _side(name: str, version: str) -> Side:
    store = ModelStore(name)
    key = ("version", str(store.root), version)
    metadata = REMEMBERED.get(key, "unchanging", lambda: store.metadata(version))
    counted = REMEMBERED.get((*key, "errors"), "unchanging", lambda: _confusion(store, version))
    return Side(version, metadata, counted)


def _confusion(store: ModelStore, version: str) -> dict[tuple[str, str], int]:
    """Count (actual, prediction) in a version's holdout predictions; none if there are too many classes."""
    try:
        text = read_whole(store.folder(version) / HOLDOUT_PREDICTIONS).decode("utf-8-sig")
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    counts: Counter[tuple[str, str]] = Counter()
    for row in csv.DictReader(io.StringIO(text, newline="")):
        counts[str(row.get("actual")), str(row.get("prediction"))] += 1
    classes = {actual for actual, _ in counts}
    return dict(counts) if len(classes) <= MOST_CLASSES else {}


def _chart(asking: Asked, state: ModelState) -> Markup | None:
    """Draw the metric of each version, with what was promoted, rolled back and kept."""
    metric, values = _metric_of_versions(state)
    if not values:
        return None
    ordered = sorted(values)
    verdicts: dict[str, str] = {}
    for entry in state.verdicts:
        verdicts[str(entry["version"])] = str(entry["verdict"])
    champion = state.champion.version if state.champion else ""
    groups: dict[str, list[Mark]] = {"kept": [], "promoted": [], "rolled back": [], "champion": []}
    for place, version in enumerate(ordered):
        verdict = verdicts.get(version, "")
        group = "champion" if version == champion else verdict if verdict in groups else "kept"
        text = f"{version}: {metric} {values[version]:.4f}" + (f", {asking.text(verdict)}" if verdict else "")
        groups[group].append(
            Mark(place, values[version], text, asking.url("models", state.name, version, "card"))
        )
    whole = [Mark(place, values[version], "") for place, version in enumerate(ordered)]
    series = [Series(metric, whole, line=True)]
    sizes = {"kept": 2.5, "promoted": 4.5, "rolled back": 4.5, "champion": 7}
    series += [Series(asking.text(name), marks, size=sizes[name]) for name, marks in groups.items()]
    step = max(1, len(ordered) // 6)
    labels = [
        (float(place), asking.moment(_made_at(ordered[place]))[5:]) for place in range(0, len(ordered), step)
    ]
    return scatter(asking.text("{metric} of the versions", metric=metric), labels, series)


def _metric_of_versions(state: ModelState) -> tuple[str, dict[str, float]]:
    """Return the metric's name, and its value by version: from the history, which is one file."""
    metric, values = "", {}
    for entry in state.verdicts:
        scores = (entry.get("scores") or {}).get("challenger") or {}
        metric = str(entry.get("metric") or next(iter(scores), "") or metric)
        if isinstance(scores.get(metric), int | float):
            values[str(entry["version"])] = float(scores[metric])
    for version in state.versions[-20:]:  # not judged yet, or promoted by hand
        if version not in values:
            found = side_of(state.name, version).metadata
            metric = str(found.get("metric") or metric)
            if isinstance(found.get("metrics", {}).get(metric), int | float):
                values[version] = float(found["metrics"][metric])
    return metric, values


def _made_at(version: str) -> str:
    """Return when a version was made, from its name."""
    stamp = version[:16]
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}+00:00"


def _compared(sides: list[Side]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Return the parts of the comparison, each with its lines: a name, and a text for each version."""

    def lines(of: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
        names = list(dict.fromkeys(name for values in of for name in values))[:MOST_SETTINGS]
        return [(name, [_shown(values.get(name)) for values in of]) for name in names]

    records = [side.metadata for side in sides]
    data = [
        {
            "dataset": (record.get("dataset") or {}).get("location"),
            "SHA-256": str((record.get("dataset") or {}).get("sha256", ""))[:12],
            "rows": (record.get("dataset") or {}).get("rows_trained"),
            "holdout rows": (record.get("holdout") or {}).get("rows"),
            "columns": len(record.get("features") or ()),
            "target": record.get("target"),
            "estimator": record.get("estimator"),
            "trained at": record.get("trained_at"),
        }
        for record in records
    ]
    parts = [
        ("Metrics", lines([record.get("metrics") or {} for record in records])),
        ("Parameters", lines([record.get("parameters") or {} for record in records])),
        ("Data", [line for line in lines(data) if any(line[1])]),
    ]
    return [(title, found) for title, found in parts if found]


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"
    return str(value) if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)[:200]


def _matrices(sides: list[Side]) -> dict[str, Any] | None:
    """Return the classes, a matrix of counts for each version, and their difference if there are two."""
    counts = [side.confusion for side in sides]
    classes = sorted({name for found in counts for pair in found for name in pair})
    if not classes or len(classes) > MOST_CLASSES:
        return None
    tables = [
        [[found.get((actual, guess), 0) for guess in classes] for actual in classes] for found in counts
    ]
    shown = [(side.version, table) for side, table in zip(sides, tables, strict=True)]
    difference = None
    if len(tables) == 2 and all(counts):
        pairs = zip(*tables, strict=True)
        difference = [[b - a for a, b in zip(*rows, strict=True)] for rows in pairs]
    return {"classes": classes, "tables": shown, "difference": difference}


def card(model: str, version: str, asking: Annotated[Asked, Depends(asked)]) -> Response:
    """Return the card of a version, which may run nothing."""
    try:
        check_model_name(model)
        if model not in model_names(asking):
            raise HTTPException(404, "this model does not exist, or you may not see it")
        data = QUERIES.answer(("card", model, version), lambda: _card(model, version))
    except (InvalidValueError, ModelStoreError, FileNotFoundError):
        raise HTTPException(404, asking.text("This version has no card.")) from None
    except UnavailableError as error:
        raise HTTPException(503, str(error)) from None
    return HTMLResponse(data, headers={"Content-Security-Policy": CARD_POLICY})


def _card(model: str, version: str) -> bytes:
    return read_whole(ModelStore(model).folder(version) / "card.html")


def tiles(asking: Asked) -> list[Tile]:
    """Return a tile for each model: its champion and its age."""
    href = asking.url("models")
    try:
        names = model_names(asking)
        if not names:
            advice = asking.text("There is no model yet: trigger train_model.")
            return [Tile(asking.text("Champion"), asking.text("none yet"), "", href, State.EMPTY, advice)]
        return [_tile(asking, name) for name in names[:6]]
    except UnavailableError as error:
        return [Tile(asking.text("Champion"), "?", "", href, State.WRONG, str(error))]


def _tile(asking: Asked, name: str) -> Tile:
    href = asking.url("models", model=name)
    title = asking.text("Champion of {model}", model=name)
    try:
        state = state_of(name)
    except UnavailableError as error:
        return Tile(title, "?", "", href, State.WRONG, str(error))
    champion = state.champion
    if champion is None:
        advice = asking.text("{model} has no champion yet: trigger promote_model.", model=name)
        return Tile(title, asking.text("none yet"), "", href, State.EMPTY, advice)
    scores = ", ".join(f"{metric} {_shown(value)}" for metric, value in list(champion.metrics.items())[:1])
    since = state.since
    detail = scores + (f" · {asking.text('since')} {asking.age(since)}" if since else "")
    if champion.lost:
        advice = asking.text(
            "The pointer of {model} is missing or corrupt; the history says which version serves. "
            "Trigger promote_model with that version to repair it.", model=name,
        )  # fmt: skip
        return Tile(title, champion.version, detail, href, State.WRONG, advice)
    return Tile(title, champion.version, detail, href)


def _add_routes(router: APIRouter) -> None:
    router.add_api_route("/models", page, methods=["GET"])
    router.add_api_route("/models/{model}/{version}/card", card, methods=["GET"])


VIEW = View("models", "Models", _add_routes, tiles)
