"""Whether a metric suits an estimator and a target: checked before time is spent on training."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.ml.scoring import measure
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset_checks import TargetNeeds

# The modules in which scikit-learn keeps the scores of classes; it has no public name for them.
OF_CLASSES = ("._classification", "._ranking", "._supervised")
LEAST_FOLDS = 2
ROWS_PER_CLASS = 5  # enough to know whether a metric accepts such a target


def check_metric(metric: str, estimator: Any, search_space: dict[str, Any] | None = None) -> None:
    """Raise InvalidValueError if a metric can never measure an estimator: it needs classes, or probabilities.

    ``estimator`` is one with its parameters, or a class if these are not known yet.
    """
    from sklearn.base import RegressorMixin

    scorer, _ = find_scorer(metric)
    cls = estimator if isinstance(estimator, type) else type(estimator)
    if scorer._score_func.__module__.endswith(OF_CLASSES) and issubclass(cls, RegressorMixin):
        raise InvalidValueError(
            f"metric {metric!r} is for classes, but {cls.__name__} predicts numbers",
            "use for example r2 or root_mean_squared_error",
        )
    needed = scorer._response_method
    methods = (needed,) if isinstance(needed, str) else needed
    subject = estimator if _has_final_methods(cls, search_space or {}) else cls
    # A custom estimator may get its methods, once it is fitted, from another estimator that it holds.
    if cls.__module__.startswith("sklearn.") and not any(hasattr(subject, method) for method in methods):
        raise InvalidValueError(
            f"metric {metric!r} needs {' or '.join(methods)}, which this {cls.__name__} does not have"
        )


def _has_final_methods(cls: type, search_space: dict[str, Any]) -> bool:
    """Return whether an estimator has, before it is fitted, the methods that each candidate will have.

    A number never changes them (C of an SVC), a text or a flag may (its ``probability``); an estimator that
    holds another one has the methods of that one.
    """
    holds_another = any("estimator" in name for name in inspect.signature(cls).parameters)
    choices = [value for spec in search_space.values() if isinstance(spec, list) for value in spec]
    all_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in choices)
    return all_numbers and not holds_another


def check_target(metric: str, estimator: Any, target: pd.Series) -> None:
    """Raise InvalidValueError, with metrics that suit, if a metric is not for such a target."""
    from sklearn.base import RegressorMixin
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.metrics import get_scorer_names

    # A model that knows only the target: a metric that cannot measure it cannot measure any model.
    if isinstance(estimator, RegressorMixin):
        sample, dummy = target, DummyRegressor()
    else:
        sample, dummy = target.groupby(target).head(ROWS_PER_CLASS), DummyClassifier()
    dummy.fit(sample, sample)
    if reason := _unsuitable(metric, dummy, sample):
        related = [name for name in get_scorer_names() if name.startswith(f"{metric}_")]
        suitable = [
            name
            for name in related
            if _suits_estimator(name, estimator) and not _unsuitable(name, dummy, sample)
        ]
        hint = f"use {', '.join(suitable)}" if suitable else ""
        raise InvalidValueError(f"metric {metric!r} does not suit target {target.name!r}: {reason}", hint)


def check_holdout(metrics: list[str], needs: TargetNeeds, training: pd.Series, holdout: pd.Series) -> None:
    """Raise InvalidValueError if a metric cannot be measured on a holdout with these targets.

    A model that knows only the target of the training rows shows it, before time is spent on the search.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    absent = sorted({*training.tolist()} - {*holdout.tolist()}, key=str) if needs.is_classifier else []
    dummy = DummyClassifier() if needs.is_classifier else DummyRegressor()
    dummy.fit(training.to_frame(), training)
    for metric in metrics:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                measure(dummy, holdout.to_frame(), holdout, [metric])
        except ValueError as error:
            # Such a model shows nothing unless a class is absent: it always predicts the same.
            if not absent and len(holdout) > 1 and "cannot be measured" not in str(error):
                continue
            reason = str(error).partition(": ")[2] or f"it has {counted(len(holdout), 'row')}"
            if absent:
                reason = f"class {absent[0]!r} of target {training.name!r} has no row there"
            hint = "add rows, or give a greater holdout_share"
            if absent:
                fewer = "use fewer folds, " if needs.folds > LEAST_FOLDS else ""
                hint = f"add rows of it, {fewer}or use a metric such as accuracy, f1_macro or neg_log_loss"
            raise InvalidValueError(
                f"metric {metric!r} cannot be measured on the holdout: {reason}", hint
            ) from None


def _suits_estimator(metric: str, estimator: Any) -> bool:
    try:
        check_metric(metric, estimator)
    except ValueError:
        return False
    return True


def _unsuitable(metric: str, model: Any, target: pd.Series) -> str:
    """Return why a metric cannot measure a model on this target; empty if it can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the dummy never predicts some classes, which does not matter here
        try:
            find_scorer(metric)[0](model, target, target)
        except ValueError as error:
            return str(error).partition(". Please")[0]
    return ""
