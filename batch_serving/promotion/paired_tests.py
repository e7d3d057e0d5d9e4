"""Paired tests of two models on the same rows: is the gain more than luck with these rows?

McNemar, Q. (1947), Psychometrika 12(2), in its exact form: of the rows that only one of the two predicts
correctly, the challenger's share if both are equally good. Paired bootstrap: rows are drawn with replacement,
and both are scored on each draw (Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.ml.scoring import scorer_for
from batch_serving.promotion.gate import Evidence, gain_of
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.wording import shown

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.promotion.policy import Policy

SAMPLES = 1000
FEWEST_SAMPLES = 0.8  # of the draws must be scorable: one may lack a class that a metric needs
METHODS = ("predict", "predict_proba", "decision_function")


class Answers:
    """A fitted model whose answers for some rows are stored: it takes row numbers in place of features.

    Any scikit-learn scorer accepts it as a model. A bootstrap takes 3 s instead of 18 s: it predicts once.
    """

    def __init__(self, model: Any, features: pd.DataFrame) -> None:
        """Call each prediction method of the model once."""
        self._model = model
        self._answers = {name: getattr(model, name)(features) for name in METHODS if hasattr(model, name)}

    def __getattr__(self, name: str) -> Any:
        """Return the stored answers of a method, and anything else (classes, tags) from the model."""
        if name.startswith("_Answers"):
            raise AttributeError(name)
        if name not in self._answers:
            return getattr(self._model, name)

        def answer(rows: Any) -> Any:
            return self._answers[name][rows]

        answer.__name__ = name  # scikit-learn reads it
        return answer

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn needs to know of the model, for example that it is a classifier."""
        return self._model.__sklearn_tags__()


def paired_test(policy: Policy, new: Any, old: Any, features: pd.DataFrame, target: pd.Series) -> Evidence:
    """Return the result of the policy's test of two fitted models on these rows, whatever their order.

    Raises InvalidValueError if the test does not suit the models: McNemar's and a regression.
    """
    if policy.test == "mcnemar":
        if not hasattr(new, "classes_"):
            raise InvalidValueError(
                "test is 'mcnemar', which is for classification", "use 'paired_bootstrap'"
            )
        return _mcnemar(policy, new.predict(features), old.predict(features), target)
    return _bootstrap(policy, Answers(new, features), Answers(old, features), target)


def _mcnemar(policy: Policy, new: Any, old: Any, target: pd.Series) -> Evidence:
    import scipy.stats

    new_right, old_right = target.to_numpy() == new, target.to_numpy() == old
    won, lost = int((new_right & ~old_right).sum()), int((old_right & ~new_right).sum())
    p_value = 1.0
    if won + lost:
        p_value = float(scipy.stats.binomtest(won, won + lost, alternative="greater").pvalue)
    sure = p_value < 1 - policy.confidence
    relation = "below" if sure else "not below"
    sentence = (
        f"only the challenger is right in {won} of {len(target)} rows, only the champion in {lost} "
        f"(McNemar's p = {shown(p_value)}, {relation} {shown(1 - policy.confidence)})"
    )
    numbers = {"name": "mcnemar", "won": won, "lost": lost, "p_value": p_value, "rows": len(target)}
    return Evidence(sure, sentence, numbers)


def _bootstrap(policy: Policy, new: Answers, old: Answers, target: pd.Series) -> Evidence:
    import numpy as np

    gains = _gains(policy.metric, new, old, target.to_numpy())
    rows = len(target)
    if len(gains) < FEWEST_SAMPLES * SAMPLES:
        raise ValueError(
            f"{policy.metric} can be measured on only {len(gains)} of {SAMPLES} draws of the {rows} holdout "
            "rows; hold more rows out, or use another test"
        )
    tail = 50 * (1 - policy.confidence)
    low, high = (float(value) for value in np.percentile(gains, [tail, 100 - tail]))
    sure = low > 0
    sentence = (
        f"the {100 * policy.confidence:g} % interval of the gain, {_signed(low)} to {_signed(high)} "
        f"on {rows} rows, {'is above' if sure else 'includes'} 0"
    )
    numbers = {"name": "paired_bootstrap", "low": low, "high": high, "samples": len(gains), "rows": rows}
    return Evidence(sure, sentence, numbers)


def _gains(metric: str, new: Answers, old: Answers, target: Any) -> list[float]:
    """Return the challenger's gain on each draw of rows that can be scored."""
    import numpy as np

    sign = 1 if find_scorer(metric)[1] == "maximize" else -1
    score_new, score_old = scorer_for(metric, new, target), scorer_for(metric, old, target)
    draws = np.random.default_rng(0)
    gains: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of draws that lack a class: _bootstrap counts them
        for _ in range(SAMPLES):
            rows = draws.integers(0, len(target), len(target))
            try:
                new_score, old_score = (
                    sign * score_new(rows, target[rows]),
                    sign * score_old(rows, target[rows]),
                )
            except ValueError:
                continue
            gains.append(gain_of(metric, new_score, old_score))
    return [gain for gain in gains if np.isfinite(gain)]


def _signed(value: float) -> str:
    text = shown(value)
    return text if text.startswith("-") else f"+{text}"
