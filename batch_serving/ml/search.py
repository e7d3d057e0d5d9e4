"""Random search for an estimator's parameters, within a budget; a candidate that fails affects no other."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import check_names, find_scorer
from batch_serving.ml.json_values import plain
from batch_serving.ml.scoring import scorer_for
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.settings import TrainingSettings

log = logging.getLogger(__name__)

Fold = tuple[Any, Any, Any, Any]  # features and target for training, features and target for validation
Candidate = dict[str, Any]  # the drawn values by parameter
LEAST = {"n_candidates": 1, "folds": 2}
KEPT_BYTES = 100e6  # of all folds together
DISTRIBUTIONS = ("uniform", "loguniform", "randint")


@dataclass(frozen=True)
class SearchResult:
    """The best candidate, not yet fitted on all rows, and the outcome of each one that was tried."""

    pipeline: Any
    parameters: dict[str, Any] = field(default_factory=dict)
    cv_score: float | None = None
    tried: list[dict[str, Any]] = field(default_factory=list)


def search(
    pipeline: Any,
    features: pd.DataFrame,
    target: pd.Series,
    settings: TrainingSettings,
    most_candidates: int | None = None,
) -> SearchResult:
    """Compare candidates drawn from the search space by the metric, in cross-validation.

    A list is a choice; ``{distribution: loguniform, low: 0.01, high: 10}`` is drawn from (uniform,
    loguniform, randint). The seed decides which candidates are tried, and their order. None is started
    after the time budget, and no more than ``most_candidates``; the first one always is. Without a space
    the result is the pipeline itself. Raises ValueError for a space that is not valid, and when all
    candidates fail.
    """
    for name, value in (("n_candidates", settings.n_candidates), ("folds", settings.folds)):
        check_budget(name, value)
    estimator = pipeline.named_steps["estimator"]
    if estimator.get_params().get("random_state", 0) is None:
        estimator.set_params(random_state=settings.search_seed)
    if not settings.search_space:
        return SearchResult(pipeline)
    candidates = itertools.islice(_draw(estimator, settings.search_space, settings), most_candidates)
    started = time.monotonic()
    folds = Folds(pipeline, features, target, settings)
    outcomes = _try_all(estimator, candidates, folds, settings, started)
    tried = [outcome for _, outcome in outcomes]
    scored = [one for one in outcomes if "cv_score" in one[1]]
    if not scored:
        raise ValueError(
            f"{counted(len(tried), 'candidate')} tried, none succeeded; first: {tried[0]['error']}"
        )
    best = max if find_scorer(settings.metric)[1] == "maximize" else min
    candidate, outcome = best(scored, key=lambda one: one[1]["cv_score"])
    estimator.set_params(**candidate)
    return SearchResult(pipeline, outcome["parameters"], outcome["cv_score"], tried)


def _draw(estimator: Any, space: dict[str, Any], settings: TrainingSettings) -> Iterable[Candidate]:
    from sklearn.model_selection import ParameterSampler

    check_names(type(estimator), type(estimator).__name__, space, "search_space")
    choices = {name: values_of(name, spec) for name, spec in space.items()}
    candidates: Iterable[Candidate] = ParameterSampler(
        choices, settings.n_candidates, random_state=settings.search_seed
    )
    return candidates


class Folds:
    """The folds of a search after all steps before the estimator, which no candidate changes.

    They are kept when they are small: preparing them once takes half the time of ``cross_val_score``, which
    does it for each candidate. Large ones are prepared again each time, so that there is only one in memory.
    """

    def __init__(
        self, pipeline: Any, features: pd.DataFrame, target: pd.Series, settings: TrainingSettings
    ) -> None:
        """Split the rows; the seed decides how."""
        from sklearn.base import is_classifier
        from sklearn.model_selection import KFold, StratifiedKFold

        self._steps, self._features, self._target = pipeline[:-1], features, target
        # Shuffled, as a file is often sorted by its target.
        splitter = StratifiedKFold if is_classifier(pipeline[-1]) else KFold
        split = splitter(settings.folds, shuffle=True, random_state=settings.search_seed)
        self._rows = list(split.split(features, target))
        first = self._prepare(*self._rows[0])
        fits = (size_of(first[0]) + size_of(first[2])) * settings.folds <= KEPT_BYTES
        self._kept = [first, *(self._prepare(*rows) for rows in self._rows[1:])] if fits else []

    def __iter__(self) -> Iterator[Fold]:
        """Yield each fold; its arrays may be written to."""
        if self._kept:
            # A copy, as some estimators write into their input (copy_X: false).
            yield from ((x.copy(), *others) for x, *others in self._kept)
        else:
            yield from (self._prepare(*rows) for rows in self._rows)

    def _prepare(self, train: Any, validate: Any) -> Fold:
        from sklearn.base import clone

        steps = clone(self._steps)
        target = self._target.to_numpy()
        return (
            steps.fit_transform(self._features.iloc[train], self._target.iloc[train]),
            target[train],
            steps.transform(self._features.iloc[validate]),
            target[validate],
        )


def size_of(matrix: Any) -> int:
    """Return the bytes of a dense or a sparse matrix."""
    parts = ("data", "indices", "indptr") if hasattr(matrix, "indptr") else ()
    return sum(getattr(matrix, part).nbytes for part in parts) if parts else int(matrix.nbytes)


def _try_all(
    estimator: Any,
    candidates: Iterable[Candidate],
    folds: Folds,
    settings: TrainingSettings,
    started: float,
) -> list[tuple[Candidate, dict[str, Any]]]:
    """Return each candidate that was tried with its outcome, within the time budget."""
    from sklearn.base import clone

    budget, total = settings.time_budget_s, settings.n_candidates
    outcomes: list[tuple[Candidate, dict[str, Any]]] = []
    for number, candidate in enumerate(candidates, start=1):
        if number > 1 and budget is not None and time.monotonic() - started > budget:
            log.info("the time budget of %g s is spent: tried %d of %d candidates", budget, number - 1, total)
            break
        outcome = _try(clone(estimator), candidate, folds, settings.metric)
        outcomes.append((candidate, outcome))
        if "error" in outcome:
            log.warning("candidate %d of %d failed: %s", number, total, outcome)
        else:
            log.info(
                "candidate %d of %d: %s %.4f in %.1f s: %s",
                number,
                total,
                settings.metric,
                outcome["cv_score"],
                outcome["seconds"],
                outcome["parameters"],
            )
    return outcomes


def _try(estimator: Any, candidate: Candidate, folds: Folds, metric: str) -> dict[str, Any]:
    """Return the outcome of one candidate: its parameters, and cv_score and seconds or the error."""
    direction = find_scorer(metric)[1]
    parameters = {name: plain(value) for name, value in candidate.items()}
    started = time.monotonic()
    try:
        score = _score(estimator.set_params(**candidate), folds, metric)
    except Exception as error:  # anything that an estimator raises: the other candidates may succeed
        return {"parameters": parameters, "error": f"{type(error).__name__}: {error}"[:300]}
    cv_score = score if direction == "maximize" else -score
    seconds = round(time.monotonic() - started, 3)
    return {"parameters": parameters, "cv_score": cv_score, "seconds": seconds}


def _score(estimator: Any, folds: Folds, metric: str) -> float:
    """Return the mean over the folds, greater being better; raises whatever the estimator raises."""
    from sklearn.base import clone

    def score_of(fold: Fold) -> float:
        x, y, features, target = fold
        model = clone(estimator).fit(x, y)
        return float(scorer_for(metric, model, target)(features, target))

    scores = [*map(score_of, folds)]  # a loop's variable would keep a fold while the next one is prepared
    score = float(sum(scores) / len(scores))
    if not math.isfinite(score):
        raise ValueError(f"{metric} is {score}")
    return score


def check_budget(name: str, value: int) -> None:
    """Raise InvalidValueError for too few candidates or folds."""
    if value < LEAST[name]:
        raise InvalidValueError(f"{name} is {value}", f"it must be {LEAST[name]} or more")


def values_of(name: str, spec: Any) -> Any:
    """Return what the sampler draws a parameter from: a list or a distribution."""
    if isinstance(spec, list) and spec:
        return spec
    if isinstance(spec, dict) and set(spec) == {"distribution", "low", "high"}:
        kind, low, high = spec["distribution"], spec["low"], spec["high"]
        _check_ends(name, kind, low, high)
        if kind in DISTRIBUTIONS and low < high:
            return _distribution(kind, low, high)
    kinds = "|".join(DISTRIBUTIONS)
    raise InvalidValueError(
        f"search_space.{name} is {spec!r}",
        f"use a list of values, or {{distribution: {kinds}, low: …, high: …}} with low < high",
    )


def _check_ends(name: str, kind: str, low: Any, high: Any) -> None:
    for end, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidValueError(
                f"search_space.{name}.{end} is {value!r}, which is not a number",
                "write 0.01 or 1.0e-2; YAML reads 1e-2 as text",
            )
    if kind == "loguniform" and low <= 0:
        raise InvalidValueError(f"search_space.{name}.low is {low}", "loguniform needs more than 0")


def _distribution(kind: str, low: float, high: float) -> Any:
    import scipy.stats

    if kind == "uniform":
        return scipy.stats.uniform(low, high - low)  # scipy's uniform takes a width
    return getattr(scipy.stats, kind)(low, high)
