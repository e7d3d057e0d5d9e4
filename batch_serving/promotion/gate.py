"""The gate: from the scores of a challenger and a champion to a verdict, by a policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.promotion.policy import OWN_GAIN, Policy, Scores
from batch_serving.shared.wording import shown

TIE = 1e-12  # two sums of the same scores may differ by rounding: by this much,
NOISE = {"predict_ms": 0.5}  # smaller differences come from the measurement
RELATIVE_TIE = 1e-9  # or by this share of themselves


@dataclass(frozen=True)
class Evidence:
    """The result of a paired test on the same rows: whether the challenger's gain is more than luck."""

    sure: bool
    sentence: str
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, why in one sentence, and the paired test if one was made."""

    promote: bool
    reason: str
    evidence: Evidence | None = None


def judge(
    policy: Policy, new: Scores, old: Scores, run_test: Callable[[], Evidence] | None = None
) -> Verdict:
    """Judge a challenger's scores against the champion's on the same rows; ``old`` is empty without one.

    ``run_test`` makes the paired test, and is called only if everything else speaks for the challenger.
    Raises ValueError for a score that is not finite.
    """
    for name, value in (*new.items(), *old.items()):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: it cannot be compared; train again or promote by hand")
    verdict = _by_floors(policy, new) or _by_guardrails(policy, new, old)
    if verdict is not None:
        return verdict
    if policy.test in OWN_GAIN and run_test is not None:
        evidence = run_test()
        return Verdict(evidence.sure, evidence.sentence, evidence)
    verdict = _by_gain(policy, new, old)
    if verdict is not None:
        return verdict
    change = f"{policy.metric} {shown(old[policy.metric])} → {shown(new[policy.metric])}"
    if policy.test == "none" or run_test is None:
        return Verdict(True, f"better: {change}")
    evidence = run_test()
    word = "better" if evidence.sure else "not certainly better"
    return Verdict(evidence.sure, f"{word}: {change}; {evidence.sentence}", evidence)


def _by_floors(policy: Policy, new: Scores) -> Verdict | None:
    for name, floor in policy.floors.items():
        if gain_of(name, new[name], floor) < 0:
            return Verdict(False, f"{name} {shown(new[name])} does not reach the floor {shown(floor)}")
    return None


def _by_guardrails(policy: Policy, new: Scores, old: Scores) -> Verdict | None:
    if not old:
        kept = " keeps every floor" if policy.floors else ""
        return Verdict(True, f"the first model: {policy.metric} {shown(new[policy.metric])}{kept}")
    for name, allowed in policy.metric_guardrails.items():
        loss = -gain_of(name, new[name], old[name])
        if loss > allowed + TIE:
            reason = f"{name} got worse by {shown(loss)}, more than the {shown(allowed)} allowed"
            return Verdict(False, reason)
    for name, share in policy.cost_guardrails.items():
        cost, before = new.get(name), old.get(name)
        if cost is None or before is None or cost - before <= NOISE.get(name, 0.0):
            continue
        if cost > before * (1 + share):
            grown = f"{name} {shown(before)} → {shown(cost)}"
            return Verdict(False, f"{grown}: more than the {100 * share:g} % that it may grow")
    return None


def _by_gain(policy: Policy, new: Scores, old: Scores) -> Verdict | None:
    """Return the verdict on a gain that is none or too small; None for one that is large enough."""
    score, before = new[policy.metric], old[policy.metric]
    change = f"{policy.metric} {shown(before)} → {shown(score)}"
    if is_tie(score, before):
        reason = f"a tie at {policy.metric} {shown(score)}, and on_tie is {policy.on_tie}"
        return Verdict(policy.on_tie == "newest", reason)
    gain = gain_of(policy.metric, score, before)
    if gain < 0:
        return Verdict(False, f"worse: {change}")
    if gain < policy.min_delta - TIE:
        reason = f"better by only {shown(gain)}, less than min_delta {shown(policy.min_delta)}: {change}"
        return Verdict(False, reason)
    return None


def is_tie(score: float, before: float) -> bool:
    """Return whether two scores differ by rounding at most."""
    return math.isclose(score, before, rel_tol=RELATIVE_TIE, abs_tol=TIE)


def gain_of(metric: str, new: float, old: float) -> float:
    """Return by how much ``new`` is better than ``old``; negative if it is worse."""
    return new - old if find_scorer(metric)[1] == "maximize" else old - new
