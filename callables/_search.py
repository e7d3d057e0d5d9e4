"""Random search for an estimator's settings, within a budget; a candidate that fails costs no other."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from callables._estimators import check_names, find_scorer

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Fold = tuple[Any, Any, Any, Any]  # features and target to learn from, features and target to check with
LEAST = {"candidates": 1, "folds": 2}
DISTRIBUTIONS = ("uniform", "loguniform", "randint")


@dataclass(frozen=True)
class Found:
    """The best candidate, not yet fitted on all rows, and what became of each that was tried."""

    pipeline: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    cv_score: float | None = None
    tried: list[dict[str, Any]] = field(default_factory=list)


def search(
    pipeline: Any,
    space: dict[str, Any],
    rows: tuple[pd.DataFrame, pd.Series],
    *,
    metric: str,
    candidates: int,
    folds: int,
    seed: int,
    seconds: float | None = None,
) -> Found:
    """Compare ``candidates`` settings drawn from ``space`` by ``metric`` in ``folds``-fold cross-validation.

    A list is a choice; ``{distribution: loguniform, low: 0.01, high: 10}`` is drawn from (uniform,
    loguniform, randint). The seed decides which are tried, and their order. No other is begun once
    ``seconds`` have passed; the first always is. Without a space the pipeline itself is the answer. Raises
    ValueError for a space that cannot be meant, and when all candidates fail.
    """
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import KFold, ParameterSampler, StratifiedKFold

    for name, value in (("candidates", candidates), ("folds", folds)):
        check_budget(name, value)
    estimator = pipeline.named_steps["estimator"]
    if estimator.get_params().get("random_state", 0) is None:
        estimator.set_params(random_state=seed)
    if not space:
        return Found(pipeline)
    check_names(type(estimator), type(estimator).__name__, space, "search_space")
    drawn = ParameterSampler(
        {name: values_of(name, spec) for name, spec in space.items()}, candidates, random_state=seed
    )
    # Shuffled: a file is often sorted by what is to be learnt.
    splitter = StratifiedKFold if is_classifier(estimator) else KFold
    started = time.monotonic()
    prepared = _prepare(pipeline, rows, splitter(folds, shuffle=True, random_state=seed))
    outcomes: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for number, settings in enumerate(drawn, start=1):
        if number > 1 and seconds is not None and time.monotonic() - started > seconds:
            log.info("%g s have passed: %d of %d candidates were tried", seconds, number - 1, candidates)
            break
        outcome = _try(clone(estimator), settings, prepared, metric)
        outcomes.append((settings, outcome))
        if "error" in outcome:
            log.warning("candidate %d of %d failed: %s", number, candidates, outcome)
        else:
            log.info(
                "candidate %d of %d: %s %.4f in %.1f s: %s",
                *(number, candidates, metric, outcome["cv_score"], outcome["seconds"], outcome["parameters"]),
            )
    tried = [outcome for _, outcome in outcomes]
    done = [one for one in outcomes if "cv_score" in one[1]]
    if not done:
        raise ValueError(f"all {len(tried)} candidates failed; the first: {tried[0]['error']}")
    best = max if find_scorer(metric)[1] == "maximize" else min
    settings, chosen = best(done, key=lambda one: one[1]["cv_score"])
    estimator.set_params(**settings)
    return Found(pipeline, chosen["parameters"], chosen["cv_score"], tried)


def _try(candidate: Any, settings: dict[str, Any], folds: list[Fold], metric: str) -> dict[str, Any]:
    """Return what came of one candidate: its parameters, and cv_score and seconds or the error."""
    scorer, direction = find_scorer(metric)
    told: dict[str, Any] = {"parameters": {name: plain(value) for name, value in settings.items()}}
    begun = time.monotonic()
    try:
        score = _score(candidate.set_params(**settings), folds, scorer, metric)
    except Exception as error:  # whatever an estimator raises: the others may do
        return {**told, "error": f"{type(error).__name__}: {error}"[:300]}
    shown = score if direction == "maximize" else -score
    return {**told, "cv_score": shown, "seconds": round(time.monotonic() - begun, 3)}


def check_budget(name: str, value: int) -> None:
    """Raise ValueError for fewer candidates or folds than make sense."""
    if value < LEAST[name]:
        raise ValueError(f"{name} is {value}; it must be {LEAST[name]} or more")


def _prepare(pipeline: Any, rows: tuple[pd.DataFrame, pd.Series], cv: Any) -> list[Fold]:
    """Return each fold after all steps before the estimator.

    No candidate changes these steps. So they are fitted once a fold and not, as ``cross_val_score`` does it,
    once a fold and candidate, which takes twice as long on small data.
    """
    from sklearn.base import clone

    features, target = rows
    folds = []
    for learn, check in cv.split(features, target):
        steps = clone(pipeline[:-1])
        folds.append(
            (
                steps.fit_transform(features.iloc[learn], target.iloc[learn]),
                target.iloc[learn].to_numpy(),
                steps.transform(features.iloc[check]),
                target.iloc[check].to_numpy(),
            )
        )
    return folds


def _score(candidate: Any, folds: list[Fold], scorer: Any, metric: str) -> float:
    """Return the mean over the folds, greater being better; raises whatever the estimator does."""
    from sklearn.base import clone

    # A copy, as some estimators write into what they are given (copy_X: false).
    scores = [scorer(clone(candidate).fit(x.copy(), y), *checked) for x, y, *checked in folds]
    score = float(sum(scores) / len(scores))
    if not math.isfinite(score):
        raise ValueError(f"{metric} is {score}")
    return score


def plain(value: Any) -> Any:
    """Return a numpy scalar as the Python value that JSON knows."""
    return value.item() if hasattr(value, "item") else value


def values_of(name: str, spec: Any) -> Any:
    """Return what the sampler draws a setting from: a list or a distribution; ValueError if it is neither."""
    import scipy.stats

    if isinstance(spec, list) and spec:
        return spec
    if isinstance(spec, dict) and set(spec) == {"distribution", "low", "high"}:
        kind, low, high = spec["distribution"], spec["low"], spec["high"]
        for end, value in (("low", low), ("high", high)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(
                    f"search_space.{name}.{end} is {value!r}, which is no number; YAML takes 1.0e-2 and 0.01 "
                    "for one, and 1e-2 for a text"
                )
        if kind == "loguniform" and low <= 0:
            raise ValueError(f"search_space.{name}.low is {low}; loguniform needs more than 0")
        if kind in DISTRIBUTIONS and low < high:
            # scipy's uniform takes a width, the two others an upper end.
            return (
                scipy.stats.uniform(low, high - low)
                if kind == "uniform"
                else getattr(scipy.stats, kind)(low, high)
            )
    raise ValueError(
        f"search_space.{name} is {spec!r}; give a list of values, or "
        f"{{distribution: {'|'.join(DISTRIBUTIONS)}, low: …, high: …}} with low < high"
    )
