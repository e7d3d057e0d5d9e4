"""The policy by which a challenger replaces the champion, as YAML gives it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.shared.checked_by import BadValue, ValuePath, accepts, bad_values
from batch_serving.shared.errors import InvalidValueError

CHOICES = {"on_tie": ("keep", "newest"), "test": ("none", "mcnemar", "paired_bootstrap")}
LIMITS = ("floors", "guardrails")

Scores = dict[str, float]  # by metric


@dataclass(frozen=True)
class Policy:
    """When a challenger replaces the champion; the fields are arguments of ``compare``."""

    metric: str
    direction: str
    min_delta: float = 0.0
    floors: Scores = field(default_factory=dict)
    guardrails: Scores = field(default_factory=dict)
    on_tie: str = "keep"
    test: str = "none"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse, with InvalidValueError, a policy that is not valid."""
        for problem in policy_problems(vars(self)):
            raise InvalidValueError(problem.message, problem.hint)

    @property
    def metrics(self) -> list[str]:
        """All metrics that the verdict needs."""
        return sorted({self.metric, *self.floors, *self.guardrails})


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
        yield from bad_values(path, find_scorer, name)
        yield from _amount_problems(path, limit) if key == "guardrails" else _number_problems(path, limit)


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
