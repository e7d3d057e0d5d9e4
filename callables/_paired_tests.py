"""Paired tests of two models on the same rows: is the gain more than the luck of these rows?

McNemar, Q. (1947), Psychometrika 12(2), in its exact form: of the rows that only one of the two gets right,
the challenger's share under the hypothesis that both are as good. Paired bootstrap: the rows are drawn anew,
with replacement, and both are scored on each draw (Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callables._estimators import find_scorer
from callables._gate import Evidence, Policy, gain_of, shown

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = 1000
FEWEST_SAMPLES = 0.8  # of the draws must be scorable: one may lack a class that a metric needs
METHODS = ("predict", "predict_proba", "decision_function")


class Answers:
    """A fitted model that has answered for some rows already; it takes their numbers in place of features.

    Any scikit-learn scorer takes it for the model, and each draw costs no prediction.
    """

    def __init__(self, model: Any, features: pd.DataFrame) -> None:
        """Ask the model once by each method that it has."""
        self._model = model
        self._answers = {name: getattr(model, name)(features) for name in METHODS if hasattr(model, name)}

    def __getattr__(self, name: str) -> Any:
        """Return the answers for a method, and anything else (classes, tags) from the model."""
        if name.startswith("_Answers"):
            raise AttributeError(name)
        if name not in self._answers:
            return getattr(self._model, name)

        def answer(rows: Any) -> Any:
            return self._answers[name][rows]

        answer.__name__ = name  # scikit-learn goes by it
        return answer

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know of the model: a classifier, say."""
        return self._model.__sklearn_tags__()


def paired_test(policy: Policy, new: Any, old: Any, features: pd.DataFrame, target: pd.Series) -> Evidence:
    """Return what the policy's test says of two fitted models on these rows, whatever their order.

    Raises ValueError where the test does not fit: McNemar's for a regression.
    """
    if policy.test == "mcnemar":
        if not hasattr(new, "classes_"):
            raise ValueError("test is 'mcnemar', which is for classification; take 'paired_bootstrap'")
        return _mcnemar(policy, new.predict(features), old.predict(features), target)
    return _bootstrap(policy, Answers(new, features), Answers(old, features), target)


def _mcnemar(policy: Policy, new: Any, old: Any, target: pd.Series) -> Evidence:
    import scipy.stats

    right, wrong = target.to_numpy() == new, target.to_numpy() == old
    won, lost = int((right & ~wrong).sum()), int((wrong & ~right).sum())
    p_value = (
        float(scipy.stats.binomtest(won, won + lost, alternative="greater").pvalue) if won + lost else 1.0
    )
    sure = p_value < 1 - policy.confidence
    sentence = (
        f"only the challenger is right in {won} of {len(target)} rows, only the champion in {lost} "
        f"(McNemar's p = {shown(p_value)}, {'below' if sure else 'not below'} {shown(1 - policy.confidence)})"
    )
    numbers = {"name": "mcnemar", "won": won, "lost": lost, "p_value": p_value, "rows": len(target)}
    return Evidence(sure, sentence, numbers)


def _bootstrap(policy: Policy, new: Answers, old: Answers, target: pd.Series) -> Evidence:
    import warnings

    import numpy as np

    scorer, direction = find_scorer(policy.metric)
    sign = 1 if direction == "maximize" else -1
    values = target.to_numpy()
    draws = np.random.default_rng(0)
    gains: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of draws that lack a class: they are counted below
        for _ in range(SAMPLES):
            rows = draws.integers(0, len(values), len(values))
            try:
                scores = [sign * float(scorer(model, rows, values[rows])) for model in (new, old)]
            except ValueError:
                continue
            gains.append(gain_of(policy.metric, *scores))
    finite = [gain for gain in gains if np.isfinite(gain)]
    if len(finite) < FEWEST_SAMPLES * SAMPLES:
        raise ValueError(
            f"{policy.metric} can be measured on only {len(finite)} of {SAMPLES} draws of the {len(values)} "
            "holdout rows; hold more rows out, or take another test"
        )
    tail = 50 * (1 - policy.confidence)
    low, high = (float(value) for value in np.percentile(finite, [tail, 100 - tail]))
    sure = low > 0
    sentence = (
        f"the {100 * policy.confidence:g} % interval of the gain, {_signed(low)} to {_signed(high)} "
        f"on {len(values)} rows, {'is above' if sure else 'includes'} 0"
    )
    numbers = {"name": "paired_bootstrap", "low": low, "high": high, "samples": len(finite)}
    return Evidence(sure, sentence, {**numbers, "rows": len(values)})


def _signed(value: float) -> str:
    text = shown(value)
    return text if text.startswith("-") else f"+{text}"
