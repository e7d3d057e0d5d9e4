"""What a metric says of a fitted model on rows that lack a class, or have one that the model does not know.

A scorer takes the classes from the rows that it is given. Log loss, for example, fails if a class of the
model has no row there. So the scorer gets the model's classes here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd


class _Widened:
    """A fitted classifier with some more classes, which it gives the probability 0."""

    def __init__(self, model: Any, more: list[Any]) -> None:
        """Take the model, and the classes that it does not know."""
        import numpy as np

        self._model, self._more = model, len(more)
        joined = [*model.classes_.tolist(), *more]
        self.classes_ = np.array(sorted(joined))
        self._order = [joined.index(value) for value in self.classes_.tolist()]

    def predict_proba(self, features: Any) -> Any:
        """Return the model's probabilities, in the order of all classes."""
        import numpy as np

        known = self._model.predict_proba(features)
        return np.hstack([known, np.zeros((len(known), self._more))])[:, self._order]

    def __getattr__(self, name: str) -> Any:
        """Return anything else from the model, except scores that have no columns for more classes."""
        if name.startswith("_") or name == "decision_function":
            raise AttributeError(name)
        return getattr(self._model, name)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn needs to know of the model, for example that it is a classifier."""
        return self._model.__sklearn_tags__()


def scorer_for(metric: str, model: Any, target: Any) -> Callable[[Any, Any], float]:
    """Return a function of (features, target) that scores a model on any part of rows with this target.

    Greater is better, as for scikit-learn's scorers.
    """
    import numpy as np
    from sklearn.metrics import make_scorer

    scorer, _ = find_scorer(metric)
    classes = getattr(model, "classes_", None)
    by_classes = scorer._response_method != "predict" and _takes_labels(scorer._score_func)
    if classes is None or not by_classes:
        return lambda features, actual: float(scorer(model, features, actual))
    known = set(np.asarray(classes).tolist())
    more = sorted({*np.asarray(target).tolist()} - known)
    subject = _Widened(model, more) if more and hasattr(model, "predict_proba") else model
    labelled = make_scorer(
        scorer._score_func,
        response_method=scorer._response_method,
        greater_is_better=scorer._sign > 0,
        labels=subject.classes_,
        **scorer._kwargs,
    )
    return lambda features, actual: float(labelled(subject, features, actual))


def _takes_labels(score: Callable[..., Any]) -> bool:
    return "labels" in inspect.signature(score).parameters


def measure(model: Any, features: pd.DataFrame, target: pd.Series, metrics: list[str]) -> dict[str, float]:
    """Return the value of each metric of ``model`` on these rows; an error's value is positive."""
    values = {}
    rows = f"the {counted(len(target), 'holdout row')}"
    for metric in metrics:
        direction = find_scorer(metric)[1]
        try:
            value = scorer_for(metric, model, target)(features, target)
        except (ValueError, AttributeError) as error:  # for example a metric that needs probabilities
            raise ValueError(f"metric {metric!r} cannot be measured on {rows}: {error}") from error
        if not math.isfinite(value):
            raise ValueError(f"metric {metric!r} is {value} on {rows}{_absent(model, target)}")
        values[metric] = value if direction == "maximize" else -value
    return values


def _absent(model: Any, target: pd.Series) -> str:
    """Return which of the model's classes have no row here, as that is why most metrics are undefined."""
    present = {*target.tolist()}
    absent = [value for value in getattr(model, "classes_", []) if value not in present]
    return f", which have no row of class {absent[0]!r}" if absent else ""
