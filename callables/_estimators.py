"""From what YAML says (an estimator's path, a metric's name) to scikit-learn objects."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ALLOWED_PACKAGES = ("sklearn.", "callables.")


def resolve(path: str, key: str) -> type:
    """Return the scikit-learn class that ``key: path`` in YAML names.

    Only ``sklearn`` and the project's own ``callables`` may be named: who edits YAML cannot run anything
    else. Raises ValueError with a suggestion.
    """
    from sklearn.base import BaseEstimator, ClusterMixin, DensityMixin

    if not path.startswith(ALLOWED_PACKAGES):
        raise ValueError(f"{key} {path!r} is not allowed; name a class below {' or '.join(ALLOWED_PACKAGES)}")
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"{key} {path!r}: cannot import {module_name!r}: {error}") from error
    found = getattr(module, name, None)
    if found is None:
        raise ValueError(f"{key} {path!r} does not exist{_did_you_mean(name, dir(module))}")
    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise ValueError(f"{key} {path!r} is not a scikit-learn estimator class")
    if key == "estimator" and not hasattr(found, "score"):
        raise ValueError(f"{key} {path!r} predicts nothing that can be scored")
    if key == "estimator" and issubclass(found, ClusterMixin | DensityMixin):
        raise ValueError(f"{key} {path!r} learns no target; take a classifier or a regressor")
    return found


def build_pipeline(frame: pd.DataFrame, estimator: str, parameters: dict, scaler: str | None) -> Any:
    """Return an unfitted Pipeline of ``columns`` (fill, scale, one-hot) and ``estimator``.

    Numbers are filled with the median and scaled by ``scaler`` if there is one; texts are filled with the
    most frequent and one-hot encoded.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numbers = list(frame.select_dtypes(["number", "bool"]).columns)
    texts = [name for name in frame.columns if name not in numbers]
    # A column that is empty in all rows of a fold stays, and counts for nothing.
    number_steps = [SimpleImputer(strategy="median", keep_empty_features=True)]
    if scaler:
        number_steps.append(resolve(scaler, "scaler")())
    text_steps = [
        SimpleImputer(strategy="most_frequent", keep_empty_features=True),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    ]
    columns = ColumnTransformer(
        [("numbers", make_pipeline(*number_steps), numbers), ("texts", make_pipeline(*text_steps), texts)],
        verbose_feature_names_out=False,
    )
    return Pipeline([("columns", columns), ("estimator", _make(estimator, parameters))])


def _make(path: str, parameters: dict) -> Any:
    cls = resolve(path, "estimator")
    check_names(cls, path, parameters, "parameters")
    try:
        return cls(**parameters)
    except TypeError as error:
        raise ValueError(f"estimator {path!r} cannot be made from `parameters`: {error}") from error


def check_names(cls: type, path: str, given: Iterable[str], key: str) -> None:
    """Raise ValueError, with a suggestion, for a name in ``key:`` that is no parameter of the estimator."""
    known = list(inspect.signature(cls).parameters)
    for name in given:
        if name not in known:
            raise ValueError(f"{key}: {path} has no parameter {name!r}{_did_you_mean(str(name), known)}")


def find_scorer(metric: str) -> tuple[Any, str]:
    """Return (scorer, direction) for a metric's name; direction is ``maximize`` or ``minimize``.

    Any scikit-learn scorer's name, or an error's name without ``neg_`` (``root_mean_squared_error``), whose
    value is then the plain error, and smaller is better.
    """
    from sklearn.metrics import get_scorer, get_scorer_names

    names = get_scorer_names()
    if metric in names:
        return get_scorer(metric), "maximize"
    if f"neg_{metric}" in names:
        return get_scorer(f"neg_{metric}"), "minimize"
    raise ValueError(f"metric {metric!r} is not known{_did_you_mean(metric, names)}")


def measure(model: Any, features: pd.DataFrame, target: pd.Series, metrics: list[str]) -> dict[str, float]:
    """Return the value of each metric of ``model`` on these rows; an error's value is positive."""
    values = {}
    for metric in metrics:
        scorer, direction = find_scorer(metric)
        try:
            value = float(scorer(model, features, target))
        except (ValueError, AttributeError) as error:  # one that needs probabilities, say
            raise ValueError(
                f"metric {metric!r} cannot be measured on the {len(target)} rows held out: {error}"
            ) from error
        if not math.isfinite(value):
            raise ValueError(f"metric {metric!r} is {value} on the {len(target)} rows held out")
        values[metric] = value if direction == "maximize" else -value
    return values


# Classifiers that predict the class of the highest probability, so that one question answers both.
BY_PROBABILITY = (
    "sklearn.linear_model._logistic.",
    "sklearn.naive_bayes.",
    "sklearn.tree.",
    "sklearn.ensemble._forest.",
    "sklearn.ensemble._hist_gradient_boosting.",
)


def predict(model: Any, features: pd.DataFrame) -> tuple[Any, Any]:
    """Return (predictions, probabilities), arrays by row; the probability is that of the predicted class.

    Probabilities are None for regression and for classifiers that give none.
    """
    if not hasattr(model, "predict_proba"):
        return model.predict(features), None
    probabilities = model.predict_proba(features)
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    path = f"{type(final).__module__}.{type(final).__name__}"
    if path.startswith(BY_PROBABILITY):
        return model.classes_[probabilities.argmax(axis=1)], probabilities.max(axis=1)
    predictions = model.predict(features)
    places = {value: place for place, value in enumerate(model.classes_.tolist())}
    columns = [places[value] for value in predictions.tolist()]
    return predictions, probabilities[range(len(columns)), columns]


def _did_you_mean(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
