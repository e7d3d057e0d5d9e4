"""The gate: from the scores of a challenger and a champion to a verdict, by a policy that YAML gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from callables._estimators import find_scorer

TIE = 1e-12  # two sums of the same scores may differ by rounding alone, and by so much of themselves
ON_TIE = ("keep", "newest")
TESTS = ("none", "mcnemar", "paired_bootstrap")


@dataclass(frozen=True)
class Policy:
    """When a challenger replaces the champion; the fields are what YAML may say."""

    metric: str
    direction: str
    min_delta: float = 0.0
    floors: dict[str, float] = field(default_factory=dict)
    guardrails: dict[str, float] = field(default_factory=dict)
    on_tie: str = "keep"
    test: str = "none"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse, with ValueError, what cannot be meant."""
        known = find_scorer(self.metric)[1]
        if self.direction != known:
            raise ValueError(
                f"direction is {self.direction!r}, but {self.metric!r} is to be {known}d; correct the YAML"
            )
        for name, value, choices in (("on_tie", self.on_tie, ON_TIE), ("test", self.test, TESTS)):
            if value not in choices:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
        numbers = {"min_delta": self.min_delta, "confidence": self.confidence}
        for key in ("floors", "guardrails"):
            if not isinstance(getattr(self, key), dict):
                raise ValueError(f"{key} is {getattr(self, key)!r}; it must be {{metric: number, …}}")
            if named := [name for name in getattr(self, key) if not isinstance(name, str)]:
                raise ValueError(f"{key} has {named[0]!r} for a metric; it must be a name, such as accuracy")
            numbers |= {f"{key}.{name}": value for name, value in getattr(self, key).items()}
        for name, number in numbers.items():
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise ValueError(f"{name} is {number!r}; it must be a number")
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; it must be from 0.5 to below 1, such as 0.95")
        allowed = {f"guardrails.{name}": amount for name, amount in self.guardrails.items()}
        for name, amount in {"min_delta": self.min_delta, **allowed}.items():
            if amount < 0:
                raise ValueError(f"{name} is {amount}; it must be 0 or more")
        for name in self.metrics:
            find_scorer(name)

    @property
    def metrics(self) -> list[str]:
        """All metrics that the verdict needs."""
        return sorted({self.metric, *self.floors, *self.guardrails})


@dataclass(frozen=True)
class Evidence:
    """What a paired test on the same rows says of the challenger's gain."""

    sure: bool
    sentence: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, why in one sentence, and the evidence if a test was asked."""

    promote: bool
    reason: str
    evidence: Evidence | None = None


def judge(
    policy: Policy,
    new: dict[str, float],
    old: dict[str, float],
    ask: Callable[[], Evidence] | None = None,
) -> Verdict:
    """Judge a challenger's scores against the champion's on the same rows; ``old`` is empty without one.

    ``ask`` makes the paired test, and is called only where all else speaks for the challenger. Raises
    ValueError for a score that is no number.
    """
    for name, value in (*new.items(), *old.items()):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: it cannot be compared; train again or promote by hand")
    for name, floor in policy.floors.items():
        if gain_of(name, new[name], floor) < 0:
            return Verdict(False, f"{name} {shown(new[name])} does not reach the floor {shown(floor)}")
    metric = policy.metric
    if not old:
        kept = " keeps every floor" if policy.floors else ""
        return Verdict(True, f"the first model: {metric} {shown(new[metric])}{kept}")
    for name, allowed in policy.guardrails.items():
        loss = -gain_of(name, new[name], old[name])
        if loss > allowed + TIE:
            return Verdict(
                False, f"{name} got worse by {shown(loss)}, more than the {shown(allowed)} allowed"
            )
    gain = gain_of(metric, new[metric], old[metric])
    change = f"{metric} {shown(old[metric])} → {shown(new[metric])}"
    if math.isclose(new[metric], old[metric], rel_tol=1e-9, abs_tol=TIE):
        reason = f"a tie at {metric} {shown(new[metric])}, and on_tie is {policy.on_tie}"
        return Verdict(policy.on_tie == "newest", reason)
    if gain < 0:
        return Verdict(False, f"worse: {change}")
    if gain < policy.min_delta - TIE:
        reason = f"better by {shown(gain)} only, less than min_delta {shown(policy.min_delta)}: {change}"
        return Verdict(False, reason)
    if policy.test == "none" or ask is None:
        return Verdict(True, f"better: {change}")
    evidence = ask()
    word = "better" if evidence.sure else "not surely better"
    return Verdict(evidence.sure, f"{word}: {change}; {evidence.sentence}", evidence)


def gain_of(metric: str, new: float, old: float) -> float:
    """Return by how much ``new`` is better than ``old``; negative if it is worse."""
    return new - old if find_scorer(metric)[1] == "maximize" else old - new


def shown(value: float) -> str:
    """Return a score as people read it: at most four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def note(result: dict[str, Any], policy: Policy) -> str:
    """Return a comparison as Markdown: the verdict in one sentence, then every number that led to it."""
    lines = [
        f"### {result['verdict']}: {result['reason']}",
        "",
        "| | challenger | champion | floor | guardrail |",
        "|---|---|---|---|---|",
        f"| version | {result['challenger']} | {result['champion'] or 'none'} | | |",
    ]
    scores = result["scores"]
    for name in sorted({*scores["challenger"], *scores["champion"]}):
        cells = [scores["challenger"].get(name), scores["champion"].get(name)]
        cells += [policy.floors.get(name), policy.guardrails.get(name)]
        lines.append(
            f"| {name} | " + " | ".join("" if cell is None else shown(cell) for cell in cells) + " |"
        )
    asked = {name: value for name, value in asdict(policy).items() if name not in ("floors", "guardrails")}
    lines += ["", "policy: " + ", ".join(f"{name} {value}" for name, value in asked.items())]
    if result["holdout"]:
        lines.append(f"rows: {result['holdout']['rows']}, fingerprint {result['holdout']['fingerprint']}")
    if result["test"]:
        lines.append("test: " + ", ".join(f"{name} {value}" for name, value in result["test"].items()))
    return "\n".join(lines)
