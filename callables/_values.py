"""Checks of values in YAML that a task function brings along: ``make check`` asks them, before any run.

``@checked_by(check)`` on a task function names its check: given the arguments that stand in the YAML, it
yields a Problem for each that the function would refuse. A template is known when the task runs, and is
``...`` here; the function itself checks everything then.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from callables._files import project_path
from callables._run import parse_flag, parse_zone

Given = dict[str, Any]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Problem:
    """What is wrong with the value at ``path`` within the arguments.

    ``may_change``: it depends on a file, and may be right when the task runs.
    """

    path: tuple[str | int, ...]
    message: str
    may_change: bool = False


Check = Callable[[Given], Iterator[Problem]]


def checked_by(check: Check) -> Callable[[Function], Function]:
    """Let the checker ask ``check`` for the values that YAML gives the function."""

    def mark(function: Function) -> Function:
        function.check_values = check  # type: ignore[attr-defined]
        return function

    return mark


def _refusal(call: Callable[..., Any], *values: Any) -> str:
    """Return what a function of this project says against values, in its first line; empty if nothing."""
    try:
        call(*values)
    except ValueError as error:
        return str(error).splitlines()[0]
    return ""


def of_dataset(given: Given) -> Iterator[Problem]:
    """Check what check_dataset is given: the file and its columns, the names of model and estimator."""
    from callables._estimators import resolve

    given = _known(given)
    yield from _model(given)
    if (path := given.get("estimator")) and (text := _refusal(resolve, path, "estimator")):
        yield Problem(("estimator",), text)
    yield from _columns(given, ("target", "row_id"))


def of_training(given: Given) -> Iterator[Problem]:
    """Check what train_challenger is given, the estimator's own parameters and search space included."""
    from callables._dataset import check_share
    from callables._estimators import resolve
    from callables._search import check_budget

    settled, given = ... not in (given.get("parameters"), given.get("search_space")), _known(given)
    yield from of_dataset(given)
    if (path := given.get("scaler")) and (text := _refusal(resolve, path, "scaler")):
        yield Problem(("scaler",), text)
    for name in ("candidates", "folds"):
        if name in given and (text := _refusal(check_budget, name, given[name])):
            yield Problem((name,), text)
    if "holdout_share" in given and (text := _refusal(check_share, given["holdout_share"])):
        yield Problem(("holdout_share",), text)
    estimator = None
    if given.get("estimator") and not _refusal(resolve, given["estimator"], "estimator"):
        problems = list(_parameters(given))
        yield from problems
        estimator = None if problems else _with_parameters(given, settled)
    yield from _metrics(given, estimator)


def _with_parameters(given: Given, settled: bool) -> Any:
    """Return the estimator with its parameters, or its class where they are not known or are not enough."""
    from callables._estimators import resolve

    cls = resolve(given["estimator"], "estimator")
    try:
        return cls(**given.get("parameters") or {}) if settled else cls
    except (TypeError, ValueError):
        return cls


def _metrics(given: Given, estimator: Any) -> Iterator[Problem]:
    """Check the metrics by their names, and whether the estimator can be measured by them."""
    from callables._estimators import find_scorer
    from callables._metric_checks import check_metric

    named: list[tuple[tuple[str | int, ...], Any]] = [(("metric",), given.get("metric"))]
    named += [(("other_metrics", place), name) for place, name in enumerate(given.get("other_metrics") or ())]
    for place, name in named:
        if not name:
            continue
        text = _refusal(find_scorer, name)
        if not text and estimator is not None:
            text = _refusal(check_metric, name, estimator, given.get("search_space"))
        if text:
            yield Problem(place, text)


def _parameters(given: Given) -> Iterator[Problem]:
    """Check the estimator's parameters and search space by their names, and by its own word on the values."""
    from callables._estimators import check_names, resolve
    from callables._search import values_of

    path = given["estimator"]
    cls = resolve(path, "estimator")
    for key in ("parameters", "search_space"):
        for name, value in (given.get(key) or {}).items():
            if text := _refusal(check_names, cls, path, [name], key):
                yield Problem((key, name), text)
            elif key == "parameters":
                yield from _values(cls, {(key, name): (name, value)})
            elif text := _refusal(values_of, name, value):
                yield Problem((key, name), text)
            elif isinstance(value, list):
                yield from _values(cls, {(key, name, place): (name, one) for place, one in enumerate(value)})
            else:
                # Near the ends, as a distribution may never give an end itself; whole numbers are randint's.
                drawn, whole = values_of(name, value), value["distribution"] == "randint"
                near = {"low": float(drawn.ppf(0.01)), "high": float(drawn.ppf(0.99))}
                values = [(end, int(one) if whole else one) for end, one in near.items()]
                yield from _values(cls, {(key, name, end): (name, one) for end, one in values})


def _values(cls: type, values: dict[tuple[str | int, ...], tuple[str, Any]]) -> Iterator[Problem]:
    """Ask the estimator for each value by itself, where it can be made without others."""
    for place, (name, value) in values.items():
        try:
            estimator = cls()
        except TypeError:
            return
        estimator.set_params(**{name: value})
        # scikit-learn asks this when it fits; an estimator of one's own may not say what it takes.
        if hasattr(estimator, "_parameter_constraints") and (text := _refusal(estimator._validate_params)):
            yield Problem(place, text)


def of_comparison(given: Given) -> Iterator[Problem]:
    """Check the policy that compare is given."""
    from callables import _gate
    from callables._estimators import find_scorer

    asked_way, given = given.get("direction"), _known(given)
    yield from _model(given)
    for name in ("roll_back", "dry_run"):
        if text := _refusal(parse_flag, given.get(name, False), name):
            yield Problem((name,), text)
    unknown = [
        Problem((key, name), text)
        for key in ("floors", "guardrails")
        for name in given.get(key) or ()
        if (text := _refusal(find_scorer, str(name)))
    ]
    yield from unknown
    if unknown or "metric" not in given:
        return
    asked = {name: given[name] for name in _gate.Policy.__dataclass_fields__ if given.get(name) is not None}
    if asked_way is ... and not _refusal(find_scorer, given["metric"]):
        asked["direction"] = find_scorer(given["metric"])[1]  # whatever it is, it is not known to be wrong
    if text := _refusal(lambda: _gate.Policy(**{"direction": "maximize", **asked})):
        # The message starts with the name of what is wrong.
        parts = text.split(maxsplit=1)[0].split(".")
        yield Problem(tuple(parts) if parts[0] in given else ("metric",), text)


def of_draw(given: Given) -> Iterator[Problem]:
    """Check which rows draw_rows is to choose, and from where."""
    from callables._new_rows import Progress

    named, given = _named(given), _known(given)
    yield from _model(given)
    if text := _refusal(Progress, given.get("model") or "model", given.get("progress", "progress")):
        yield Problem(("progress",), text)
    rows = given.get("rows", "random")
    number = rows if isinstance(rows, int) else given.get("count", 1) if rows == "random" else 1
    if number < 1:
        yield Problem(("rows" if isinstance(rows, int) else "count",), f"cannot draw {number} rows")
    for name in ("new_by", "model") if rows == "new" else ():
        if name not in named:
            yield Problem(("rows",), f"rows is 'new', which needs `{name}`, too")
    yield from _source(named)
    yield from _columns(given, ("row_id", "new_by"))


def of_prediction(given: Given) -> Iterator[Problem]:
    """Check where predict_rows reads from, and the time zone."""
    named, given = _named(given), _known(given)
    yield from _model(given)
    yield from _source(named)
    if given.get("chunk_rows", 1) < 1:
        yield Problem(("chunk_rows",), f"chunk_rows is {given['chunk_rows']}; it must be 1 or more")
    if (zone := given.get("timezone")) and (text := _refusal(parse_zone, zone)):
        yield Problem(("timezone",), text)
    yield from _columns(given, ("row_id",))


def _named(given: Given) -> set[str]:
    return {name for name, value in given.items() if value is not None}


def _source(named: set[str]) -> Iterator[Problem]:
    """Check that there is one source of rows; that it is named counts, as a template is not known yet."""
    from callables._row_source import RowSource

    names = ("dataset", "sql", "connection", "row_id")
    if text := _refusal(RowSource, *(name if name in named else None for name in names)):
        yield Problem(("dataset" if "dataset" in named else "sql",), text)


def _known(given: Given) -> Given:
    return {name: value for name, value in given.items() if value is not ...}


def _model(given: Given) -> Iterator[Problem]:
    from callables._model_store import ModelStore

    if (name := given.get("model")) and (text := _refusal(ModelStore, name)):
        yield Problem(("model",), text)


def _columns(given: Given, keys: tuple[str, ...]) -> Iterator[Problem]:
    """Look whether the file is there and has the columns that these arguments name."""
    from callables._dataset_checks import suggest

    location = given.get("dataset")
    if not location or "://" in location or "$" in location:
        return  # somewhere else, which may be out of reach from here
    try:
        path = project_path(location)
        there = path.is_file()
        names = [] if there else [one.name for one in path.parent.glob("*")]
    except (OSError, RuntimeError):  # a name that no file can have
        there, names = False, []
    if not there:
        near = difflib.get_close_matches(location.rpartition("/")[2], names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield Problem(("dataset",), f"dataset {location!r} does not exist{hint}", may_change=True)
        return
    try:
        with path.open("r", encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
    except (ValueError, OSError, csv.Error):
        return  # what is wrong with the file, check_dataset tells
    for key in keys:
        name = given.get(key)
        if name and name not in header:
            text = f"{location} has no column {name!r}; {suggest(name, header)}"
            yield Problem((key,), text, may_change=True)
