"""Whether a metric can measure an estimator, and a target: asked before time is spent on training."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from callables._estimators import find_scorer

if TYPE_CHECKING:
    import pandas as pd

# Where scikit-learn keeps the scores of classes; it has no public word for it.
OF_CLASSES = ("._classification", "._ranking", "._supervised")
ROWS_OF_A_CLASS = 5  # are enough to know whether a metric takes such a target


def check_metric(metric: str, estimator: Any, search_space: dict[str, Any] | None = None) -> None:
    """Raise ValueError if an estimator can never be measured so: by classes, or by probabilities.

    ``estimator`` is one with its parameters, or a class where these are not known yet.
    """
    from sklearn.base import RegressorMixin

    scorer, _ = find_scorer(metric)
    cls = estimator if isinstance(estimator, type) else type(estimator)
    if scorer._score_func.__module__.endswith(OF_CLASSES) and issubclass(cls, RegressorMixin):
        raise ValueError(
            f"metric {metric!r} is of classes, and {cls.__name__} predicts numbers; take r2 or max_error, say"
        )
    asked = scorer._response_method
    methods = (asked,) if isinstance(asked, str) else asked
    subject = estimator if _has_its_methods(cls, search_space or {}) else cls
    # One of one's own may have its methods from another that it holds, once it is fitted.
    if cls.__module__.startswith("sklearn.") and not any(hasattr(subject, method) for method in methods):
        raise ValueError(
            f"metric {metric!r} needs {' or '.join(methods)}, which this {cls.__name__} does not have"
        )


def _has_its_methods(cls: type, search_space: dict[str, Any]) -> bool:
    """Tell whether an estimator has, before it is fitted, the methods that each candidate will have.

    A number never changes that (C of an SVC), a word or a flag may (its ``probability``); and what holds
    another estimator has that one's methods.
    """
    holds_another = any("estimator" in name for name in inspect.signature(cls).parameters)
    choices = [value for spec in search_space.values() if isinstance(spec, list) for value in spec]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in choices)
    return numbers and not holds_another


def check_target(metric: str, estimator: Any, target: pd.Series) -> None:
    """Raise ValueError, naming what would do, if a metric is not for such a target: f1 is for two classes."""
    from sklearn.base import RegressorMixin
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.metrics import get_scorer_names

    # A model that knows the target alone: what a metric refuses to measure here, it refuses of any.
    if isinstance(estimator, RegressorMixin):
        some, dummy = target, DummyRegressor()
    else:
        some, dummy = target.groupby(target).head(ROWS_OF_A_CLASS), DummyClassifier()
    dummy.fit(some, some)
    if refusal := _refusal(metric, dummy, some):
        kin = [name for name in get_scorer_names() if name.startswith(f"{metric}_")]
        fit = [name for name in kin if _suits(name, estimator) and not _refusal(name, dummy, some)]
        instead = f"; take {', '.join(fit)}" if fit else ""
        raise ValueError(f"metric {metric!r} does not suit target {target.name!r}: {refusal}{instead}")


def _suits(metric: str, estimator: Any) -> bool:
    try:
        check_metric(metric, estimator)
    except ValueError:
        return False
    return True


def _refusal(metric: str, model: Any, target: pd.Series) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it never names some classes: of no interest here
        try:
            find_scorer(metric)[0](model, target, target)
        except ValueError as error:
            return str(error).partition(". Please")[0]
    return ""
