"""Checks of the arguments that YAML gives check_dataset and train_challenger."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch_serving.shared.checked_by import BadValue, Given, ValuePath, accepts, bad_values, known_values
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import entries, opened
from batch_serving.shared.suggestions import did_you_mean
from batch_serving.shared.unreachable import UnreachableError

if TYPE_CHECKING:
    from upath import UPath


def of_dataset(given: Given) -> Iterator[BadValue]:
    """Check the arguments of check_dataset: the file and its columns, the names of model and estimator."""
    from batch_serving.ml.column_kinds import check_kind
    from batch_serving.ml.estimators import resolve

    given = known_values(given)
    yield from model_problems(given)
    if path := given.get("estimator"):
        yield from bad_values(("estimator",), resolve, path, "estimator")
    for name, kind in (given.get("column_kinds") or {}).items():
        yield from bad_values(("column_kinds", name), check_kind, kind)
    yield from column_problems(given, ("target", "row_id"))


def of_training(given: Given) -> Iterator[BadValue]:
    """Check the arguments of train_challenger, with the estimator's own parameters and search space."""
    from batch_serving.ml.estimators import resolve

    # A template in either may change what the estimator can do.
    is_settled = ... not in (given.get("parameters"), given.get("search_space"))
    given = known_values(given)
    yield from of_dataset(given)
    if path := given.get("scaler"):
        yield from bad_values(("scaler",), resolve, path, "scaler")
    yield from _numbers(given)
    estimator = None
    if given.get("estimator") and accepts(resolve, given["estimator"], "estimator"):
        problems = list(_parameters(given))
        yield from problems
        estimator = None if problems else _with_parameters(given, is_settled)
    yield from _metrics(given, estimator)


def _numbers(given: Given) -> Iterator[BadValue]:
    from batch_serving.ml.holdout import check_share
    from batch_serving.ml.search import check_budget

    for name in ("n_candidates", "folds"):
        if name in given:
            yield from bad_values((name,), check_budget, name, given[name])
    if "holdout_share" in given:
        yield from bad_values(("holdout_share",), check_share, given["holdout_share"])


def _with_parameters(given: Given, is_settled: bool) -> Any:
    """Return the estimator with its parameters, or its class if they are not known or not sufficient."""
    from batch_serving.ml.estimators import resolve

    cls = resolve(given["estimator"], "estimator")
    try:
        return cls(**given.get("parameters") or {}) if is_settled else cls
    except (TypeError, ValueError):
        return cls


def _metrics(given: Given, estimator: Any) -> Iterator[BadValue]:
    """Check the metrics by their names, and whether they suit the estimator."""
    from batch_serving.ml.estimators import find_scorer
    from batch_serving.ml.metric_checks import check_metric

    named: list[tuple[ValuePath, Any]] = [(("metric",), given.get("metric"))]
    named += [(("other_metrics", place), name) for place, name in enumerate(given.get("other_metrics") or ())]
    for path, name in named:
        if not name:
            continue
        problems = list(bad_values(path, find_scorer, name))
        if not problems and estimator is not None:
            problems = list(bad_values(path, check_metric, name, estimator, given.get("search_space")))
        yield from problems


def _parameters(given: Given) -> Iterator[BadValue]:
    """Check the estimator's parameters and search space: their names, and their values by its own rules."""
    from batch_serving.ml.estimators import check_names, resolve

    estimator = given["estimator"]
    cls = resolve(estimator, "estimator")
    for key in ("parameters", "search_space"):
        for name, value in (given.get(key) or {}).items():
            wrong_name = list(bad_values((key, name), check_names, cls, estimator, [name], key))
            if wrong_name:
                yield from wrong_name
            elif key == "parameters":
                yield from _refused(cls, name, {(key, name): value})
            else:
                yield from _search_values(cls, name, value)


def _search_values(cls: type, name: str, spec: Any) -> Iterator[BadValue]:
    """Check what the search may draw for one parameter."""
    from batch_serving.ml.search import values_of

    path: ValuePath = ("search_space", name)
    wrong_form = list(bad_values(path, values_of, name, spec))
    if wrong_form:
        yield from wrong_form
    elif isinstance(spec, list):
        yield from _refused(cls, name, {(*path, place): value for place, value in enumerate(spec)})
    else:
        # Near the ends, as a distribution may never give an end itself; those of randint are whole numbers.
        drawn, is_whole = values_of(name, spec), spec["distribution"] == "randint"
        ends = {"low": float(drawn.ppf(0.01)), "high": float(drawn.ppf(0.99))}
        values = {(*path, end): int(value) if is_whole else value for end, value in ends.items()}
        yield from _refused(cls, name, values)


def _refused(cls: type, name: str, values: dict[ValuePath, Any]) -> Iterator[BadValue]:
    """Yield the values of a parameter that the estimator refuses, if it can be made without the others."""
    for path, value in values.items():
        try:
            estimator = cls()
        except TypeError:
            return
        estimator.set_params(**{name: value})
        # scikit-learn applies these rules when it fits; a custom estimator may have none.
        if hasattr(estimator, "_parameter_constraints"):
            yield from bad_values(path, estimator._validate_params)


def model_problems(given: Given) -> Iterator[BadValue]:
    """Check the name of the model."""
    from batch_serving.registry.versions import check_model_name

    if name := given.get("model"):
        yield from bad_values(("model",), check_model_name, name)


def column_problems(given: Given, keys: tuple[str, ...]) -> Iterator[BadValue]:
    """Check whether the file exists and has the columns that these arguments name."""
    from batch_serving.ml.dataset_checks import column_hint

    location = given.get("dataset")
    if not location or "://" in location or "$" in location:
        return  # elsewhere, possibly out of reach from here
    path = project_path(location)
    try:
        problems = list(_form_problems(location, path))
        header = None if problems else _header(path)
    except FileNotFoundError:
        hint = did_you_mean(path.name, _names_beside(path))
        yield BadValue(("dataset",), f"dataset {location!r} does not exist", hint, may_change=True)
        return
    except IsADirectoryError:
        hint = "name a file in it"
        yield BadValue(("dataset",), f"dataset {location!r} is a folder", hint, may_change=True)
        return
    except UnreachableError as error:
        yield BadValue(("dataset",), f"dataset {error}", may_change=True)
        return
    yield from problems
    for key in keys:
        name = given.get(key)
        if name and header is not None and name not in header:
            message = f"{location} has no column {name!r}"
            yield BadValue((key,), message, column_hint(name, header), may_change=True)


def _form_problems(location: str, path: UPath) -> Iterator[BadValue]:
    """Check whether the file is text in UTF-8 with commas, by its first bytes; raises as ``_header`` does."""
    from batch_serving.ml.file_forms import HEAD_BYTES, check_form, check_lines

    with opened(path) as file:
        head = file.read(HEAD_BYTES)
    for check in (check_form, check_lines):
        for bad in bad_values(("dataset",), check, location, head):
            yield replace(bad, may_change=True)
            return


def _names_beside(path: UPath) -> list[str]:
    try:
        return [entry.name for entry in entries(path.parent)]
    except UnreachableError:  # the names are for a hint only
        return []


def _header(path: UPath) -> list[str] | None:
    """Return the column names of a CSV; None if it is another kind of file, which check_dataset reports.

    Raises FileNotFoundError, IsADirectoryError or UnreachableError.
    """
    try:
        with opened(path, encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except (ValueError, csv.Error):
        return None
