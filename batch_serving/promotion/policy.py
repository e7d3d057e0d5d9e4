"""The policy by which a challenger replaces the champion, as YAML gives it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.monitoring.alarm import check_alarm_metric
from batch_serving.shared.checked_by import BadValue, ValuePath, accepts, bad_values
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.suggestions import did_you_mean

CHOICES = {
    "on_tie": ("keep", "newest"),
    "test": ("none", "mcnemar", "paired_bootstrap", "cross_validated", "sequential"),
}
# These have a gain of their own: that on the holdout decides nothing.
OWN_GAIN = ("cross_validated", "sequential")
LIMITS = ("floors", "guardrails")
COSTS = ("predict_ms", "size_mb")  # guardrails in percent of what the champion costs
PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")
LEAST = {"folds": 2, "repeats": 1}  # whole numbers
SMALLEST = {"false_promotions_per_year": 0.01, "contender_days": 0.01}  # with less, no trial could end

Scores = dict[str, float]  # by metric


@dataclass(frozen=True)
class Policy:
    """When a challenger replaces the champion; the fields are arguments of ``compare``."""

    metric: str
    direction: str
    min_delta: float = 0.0
    floors: Scores = field(default_factory=dict)
    guardrails: dict[str, float | str] = field(default_factory=dict)
    on_tie: str = "keep"
    test: str = "none"
    confidence: float = 0.95
    folds: int = 5
    repeats: int = 3
    false_promotions_per_year: float = 2.0
    contender_days: float = 7.0

    def __post_init__(self) -> None:
        """Refuse, with InvalidValueError, a policy that is not valid."""
        for problem in policy_problems(vars(self)):
            raise InvalidValueError(problem.message, problem.hint)

    @property
    def metrics(self) -> list[str]:
        """All metrics that the verdict needs."""
        return sorted({self.metric, *self.floors, *self.metric_guardrails})

    @property
    def metric_guardrails(self) -> Scores:
        """By how much each metric may get worse."""
        return {name: float(loss) for name, loss in self.guardrails.items() if name not in COSTS}

    @property
    def cost_guardrails(self) -> Scores:
        """By which share of itself each cost may grow."""
        return {name: _share_of(self.guardrails[name]) for name in COSTS if name in self.guardrails}


def policy_problems(fields: Mapping[str, Any]) -> Iterator[BadValue]:
    """Yield what is wrong with the fields of a policy; a field that is not there is not judged."""
    yield from _metric_problems(fields)
    for name, choices in CHOICES.items():
        if name in fields and fields[name] not in choices:
            yield BadValue((name,), f"{name} is {fields[name]!r}", f"it must be one of {', '.join(choices)}")
    for name in LIMITS:
        if name in fields:
            yield from _limit_problems(name, fields[name])
    if "min_delta" in fields:
        yield from _amount_problems(("min_delta",), fields["min_delta"])
    if "confidence" in fields:
        yield from _confidence_problems(fields["confidence"])
    yield from _test_problems(fields)


def _test_problems(fields: Mapping[str, Any]) -> Iterator[BadValue]:
    """Check what cross_validated and sequential need."""
    for name, least in LEAST.items():
        value = fields.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            hint = f"it must be a whole number, {least} or more"
            yield BadValue((name,), f"{name} is {value!r}", hint)
    for name, smallest in SMALLEST.items():
        if name in fields:
            wrong = list(_number_problems((name,), fields[name]))
            yield from wrong
            if not wrong and fields[name] < smallest:
                yield BadValue((name,), f"{name} is {fields[name]}", f"it must be {smallest} or more")
    if fields.get("test") == "sequential" and "metric" in fields and accepts(find_scorer, fields["metric"]):
        yield from bad_values(("metric",), check_alarm_metric, fields["metric"], "sequential")


def _metric_problems(fields: Mapping[str, Any]) -> Iterator[BadValue]:
    if "metric" not in fields:
        return
    metric = fields["metric"]
    yield from bad_values(("metric",), find_scorer, metric)
    if "direction" in fields and accepts(find_scorer, metric):
        known = find_scorer(metric)[1]
        if fields["direction"] != known:
            message = f"direction is {fields['direction']!r}, but {metric!r} is {known}d"
            yield BadValue(("direction",), message, f"write direction: {known}")


def _limit_problems(key: str, limits: Any) -> Iterator[BadValue]:
    if not isinstance(limits, dict):
        yield BadValue((key,), f"{key} is {limits!r}", "it must be {metric: number, …}")
        return
    for name, limit in limits.items():
        path = (key, name)
        if not isinstance(name, str):
            yield BadValue(path, f"{key} has {name!r} as a metric", "use a name such as accuracy")
            continue
        if key == "guardrails" and name in COSTS:
            yield from bad_values(path, _share_of, limit)
            continue
        misnamed = list(_named_problems(path, key, name))
        yield from misnamed
        if misnamed and accepts(_share_of, limit):
            continue  # the limit of a cost, whose name is misspelt or belongs among the guardrails
        yield from _amount_problems(path, limit) if key == "guardrails" else _number_problems(path, limit)


def _named_problems(path: ValuePath, key: str, name: str) -> Iterator[BadValue]:
    """Check that a floor or a guardrail names a metric; a cost is a guardrail alone."""
    if name in COSTS:
        yield BadValue(path, f"{name} is a cost", "it can be a guardrail, not a floor")
    elif key == "guardrails" and not accepts(find_scorer, name) and (hint := did_you_mean(name, COSTS)):
        yield BadValue(path, f"metric {name!r} is not known", hint)
    else:
        yield from bad_values(path, find_scorer, name)


def _share_of(percent: Any) -> float:
    """Return 0.2 for ``20 %``; InvalidValueError for anything else."""
    match = PERCENT.fullmatch(percent) if isinstance(percent, str) else None
    if match is None:
        raise InvalidValueError(
            f"the guardrail of a cost is {percent!r}", "write by how much it may grow, as in 20 %"
        )
    return float(match[1]) / 100


def _number_problems(path: ValuePath, number: Any) -> Iterator[BadValue]:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        yield BadValue(path, f"{_name(path)} is {number!r}", "it must be a number")


def _amount_problems(path: ValuePath, number: Any) -> Iterator[BadValue]:
    wrong = list(_number_problems(path, number))
    yield from wrong
    if not wrong and number < 0:
        yield BadValue(path, f"{_name(path)} is {number}", "it must be 0 or more")


def _confidence_problems(confidence: Any) -> Iterator[BadValue]:
    wrong = list(_number_problems(("confidence",), confidence))
    yield from wrong
    if not wrong and not 0.5 <= confidence < 1:
        hint = "it must be at least 0.5 and less than 1, such as 0.95"
        yield BadValue(("confidence",), f"confidence is {confidence}", hint)


def _name(path: ValuePath) -> str:
    return ".".join(map(str, path))
